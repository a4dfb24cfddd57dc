"""How the parts of the hub reach each other wherever an agent is connected: `base.py` says what, a file per backend."""
