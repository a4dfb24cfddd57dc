"""Whether a name is one of a credential: `DB_PASSWORD`, `clientSecret`, `x-api-key`. Pure.

A name is read as its words, so that `tokens`, `secretName` and `passwordPolicy` are none.
"""

import functools
import itertools
import re
from typing import Final

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_CREDENTIALS: Final = frozenset(
    {
        *("password", "passwd", "passwort", "passphrase", "passcode", "pwd", "pass", "pw"),
        *("secret", "token", "jwt", "bearer", "apikey", "credential", "credentials", "creds"),
        *("accesskey", "privatekey", "secretkey", "authkey", "dsn", "authtoken", "accesstoken"),
        *("dockerconfigjson", "dockercfg", "htpasswd", "kubeconfig"),
    }
)
# Two words that make a credential only together.
_PAIRS: Final = frozenset(
    {
        *(("api", "key"), ("access", "key"), ("private", "key"), ("signing", "key"), ("encryption", "key")),
        *(("master", "key"), ("account", "key"), ("shared", "key"), ("auth", "key"), ("license", "key")),
        *(("connection", "string"), ("ssh", "key"), ("deploy", "key"), ("hmac", "key"), ("session", "key")),
        *(("storage", "key"), ("secret", "key"), ("id", "rsa")),
    }
)
_PLAIN_KEY: Final = re.compile(r"[a-z]+(?:[._-][a-z]+)*")
_ENDINGS: Final = ("password", "passwd", "passphrase", "apikey")
_STRONG: Final = frozenset({"password", "passwd", "passphrase", "apikey", "credential", "credentials"})
# What stands behind a name and says which one, or in what form.
_WHICH: Final = frozenset(
    {
        *("value", "data", "plain", "plaintext", "raw", "encoded", "decoded", "hex", "old", "new"),
        *("prod", "production", "staging", "stage", "dev", "test", "current", "previous", "next", "default", "primary"),
        *("secondary", "main", "backup", "prd", "stg", "env", "x", "a", "b"),
    }
)
# A name that ends so is about a credential, and holds none: where it is, how long it lasts, whether it is wanted.
_ABOUT: Final = frozenset(
    {
        *(
            "name",
            "names",
            "ref",
            "refs",
            "reference",
            "path",
            "paths",
            "file",
            "files",
            "filename",
            "dir",
            "directory",
        ),
        *("mount", "volume", "namespace", "selector", "type", "kind", "mode", "policy", "format", "version", "class"),
        *("enabled", "disabled", "required", "optional", "allowed", "supported", "rotation", "algorithm", "header"),
        *("ttl", "seconds", "minutes", "hours", "days", "expiry", "expiration", "expires", "timeout", "interval"),
        *("length", "len", "size", "count", "limit", "max", "min", "bytes", "bits", "hash", "checksum", "id", "ids"),
        *("url", "uri", "endpoint", "host", "issuer", "audience", "audiences", "review", "request", "requests"),
        *("provider", "store", "engine", "manager", "controller", "generator", "template", "field", "annotation"),
        *("label", "resource", "resources", "scope", "scopes", "prefix", "suffix", "var", "user", "username"),
    }
)


def is_key_in_secret(name: str, value: str) -> bool:
    """Whether a value says which key of a Secret is meant, `secretKey: db-password`, as controllers have it."""
    return name == "secretKey" and _PLAIN_KEY.fullmatch(value) is not None


@functools.lru_cache(maxsize=8192)
def is_credential(name: str) -> bool:
    """Whether what is called so is a credential."""
    words = [word.lower() for word in _WORDS.findall(name[-256:])]
    while words and (words[-1].isdigit() or words[-1] in _WHICH):
        words.pop()
    if not words or words[-1] in _ABOUT:
        return False
    last = words[-1]
    return (
        last in _CREDENTIALS
        or last.endswith(_ENDINGS)  # PGPASSWORD
        or "".join(words[-2:]) in _CREDENTIALS
        or any(pair in _PAIRS for pair in itertools.pairwise(words))  # SECRET_KEY_BASE
        or any(word in _STRONG for word in words[:-1])  # PASSWORD_BILLING: the word behind says whose
    )
