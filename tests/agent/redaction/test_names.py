"""Which names are credentials'."""

import pytest

from agent.redaction.names import is_credential


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
