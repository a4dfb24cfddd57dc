"""Commands without kubectl: requests to the API server itself, answers printed as kubectl prints them.

    executor.py    the executor named "native": which verbs it has, one `Call` per command
    access.py      the way to the API server: credentials, certificates, the session
    transport.py   the one place that sends to the API server; it can only read
    discovery.py   which resources the server has, kept in memory
    resources.py   a resource, and what a word such as `po` or `deploy.apps` means; pure
    openapi.py     the server's OpenAPI v3 documents, for explain; kept in memory
    call.py        what a verb is given: the command, the server, where its output goes
    selection.py   what a command's operands mean
    listing.py     asking for what they mean, page by page; pages.py as typed objects, watches.py event by event
    errors.py      what can go wrong
    statuses.py    what the API server says when it says no, in kubectl's words; pure
    printers/      objects to text; pure
    verbs/         one file per command

It prints what kubectl 1.33 prints, byte for byte; tests/differential holds the two side by side.
"""
