"""What a cluster keeps to itself: credentials are hidden before anything of them travels.

Objects are redacted before they are formatted, text on its way to the hub; what the first pass hides the second leaves.

    names.py      whether a name is a credential's
    patterns.py   what credentials look like in text
    markers.py    what stands in their place
    text.py       a stream of output, line by line
    objects.py    an object of the API server's
    descriptions.py  what kubectl describes
    screen.py     the three for one command, and how often each rule was used
"""
