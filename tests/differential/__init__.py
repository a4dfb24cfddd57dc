"""The native executor beside the real kubectl, on the same API server: same words in, same bytes out."""
