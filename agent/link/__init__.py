"""The link to the hub: everything that touches the socket, and nothing else.

`backoff.py` says when to dial, `dial.py` opens one socket, `connection.py` speaks on it until it ends, `link.py` does
the three over and over.
"""
