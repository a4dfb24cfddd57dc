"""Where agents arrive: `endpoint.py` lets them in, `connection.py` is one socket, `registry.py` knows who is here."""
