"""The REST edge: `routes.py` is the whole table; each other file one noun: parse, one service call, dump."""
