"""Which names are credentials'."""

from collections.abc import Iterator

import pytest

from agent.redaction import names
from agent.redaction.names import is_credential
from agent.redaction.patterns import hide


@pytest.mark.parametrize(
    "name",
    [
        *("password", "DB_PASSWORD", "PGPASSWORD", "mysql-root-password", "password1", "PASSWORD_PROD", "smtpPass"),
        *("token", "AUTH_TOKEN", "github-token", "accessToken", "jwt", "SLACK_BOT_TOKEN", "bearerToken"),
        *("secret", "clientSecret", "CLIENT_SECRET", "AWS_SECRET_ACCESS_KEY", "aws_secret_access_key", "app.secret"),
        *("apiKey", "x-api-key", "API_KEY", "APIKEY", "privateKey", "ssh-key", "signing_key", "encryptionKey"),
        *("SECRET_KEY_BASE", "token_value", "API_KEY_PROD", "secret-key", "PASSWORD_OLD", "signingKeyData"),
        *("credentials", "creds", "DATABASE_DSN", "connectionString", ".dockerconfigjson", "htpasswd", "kubeconfig"),
    ],
)
def test_credentials(name: str) -> None:
    assert is_credential(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "-", "key", "name", "keys", "monkey", "compass", "bypass", "passthrough", "author", "secretary"),
        *("secretName", "secretKeyRef", "passwordSecretRef", "imagePullSecrets", "tokens", "tokenReview", "TOKEN_URL"),
        *("PASSWORD_FILE", "tokenExpirationSeconds", "passwordPolicy", "AWS_ACCESS_KEY_ID", "secret_path", "TOKEN_TTL"),
        *("serviceAccountTokenVolume", "secretStoreRef", "kubernetes.io/service-account.name", "tokenEnabled"),
    ],
)
def test_no_credentials(name: str) -> None:
    assert not is_credential(name)


def test_no_name_of_a_credential_escapes_the_first_look() -> None:
    """`SUSPICION` decides what is looked at: it knows each name that `is_credential` knows, however it is written."""
    missed = []
    for name in written(names._CREDENTIALS, names._PAIRS):
        line = f"{name}=abcdef12345".encode()
        if is_credential(name) and b"abcdef12345" in hide(line, {}):
            missed.append(name)
    assert missed == []


def written(words: frozenset[str], pairs: frozenset[tuple[str, str]]) -> Iterator[str]:
    joined = [first + sign + second for first, second in pairs for sign in ("", "_", "-", ".")]
    camels = [first + second.capitalize() for first, second in pairs]
    for word in [*words, *joined, *camels]:
        capital = word[0].upper() + word[1:]
        yield from (word, word.upper(), capital, f"my{capital}", f"DB{capital}")
        yield from (f"db{sign}{word}" for sign in "_-.")
        yield from (f"DB_{word.upper()}", f"{word}1", f"{word}_value", f"{word}Value", f"{word}-prod")
