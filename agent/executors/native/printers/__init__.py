"""Objects to text, byte for byte as kubectl 1.33 prints them. Pure: no I/O, no clock, nothing of the API server."""
