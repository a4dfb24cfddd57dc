"""What the hub keeps: `base.py` the operations every store offers, `sqlite.py` and its parts the one there is."""
