"""The REST bodies as marshmallow schemas, a file per noun. They check what comes in, shape what goes out, and are the
OpenAPI document's components. An unknown field of a request is an error.
"""
