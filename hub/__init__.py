"""The hub: where clusters dial in and programs ask. `app.py` builds it, `ARCHITECTURE.md` shows the road."""
