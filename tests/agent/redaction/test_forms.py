"""Credentials in the forms in which programs, files and people write them."""

import pytest

from agent.redaction.text import Text

VALUE = "hunter2Zq9"
FORMS = [
    "psql postgres://u:{}@db/x", "redis://:{}@h:6379", "mongodb+srv://u:{}@h/x", "Server=h;User Id=u;Password={};",
    "jdbc:mysql://h/x?user=u&password={}", "AccountKey={}AbCdEfGh==;EndpointSuffix=x", "?sv=1&sig={}%2Babcdefghij",
    "machine h login u password {}", "curl -u user:{} https://h", "curl -s --user 'user:{}' h", "mysql -p{} -u root",
    "mysql --password {}", "sshpass -p {} ssh h", "--token={}", "export DB_PASSWORD={}", "PASSWORD='{}'",
    '"password" : "{}"', "password\t=\t{}", 'password => "{}"', "password:={}", "<password>{}</password>",
    '<add key="Password" value="{}"/>', '"Authorization":["Bearer {}"]', "authorization: Token {}",
    "X-Vault-Token: {}", "x-amz-security-token: {}", "Cookie: session={}", '{{\\"password\\":\\"{}\\"}}',
    '{{\\\\\\"password\\\\\\":\\\\\\"{}\\\\\\"}}', "password: {}", "db.pass={}", "DB_PW={}", "dbPass={}",
    "spring.datasource.password={}", "'SECRET_KEY': '{}'", 'api.key="{}"', "client_secret={}&grant", "pwd: {}",
    'login failed for user root with password "{}"', "the password is {}", "Generated root password: {}",
    "?access_token={}", "\x1b[33mpassword\x1b[0m={}", "\x1b[36mtoken=\x1b[0m{}", "password=\x1b[31m{}",
    "pass\u200bword={}", '"password":\x00"{}"', "bindpw {}", "requirepass {}", "masterauth {}",
    "//registry.npmjs.org/:_authToken={}", "_auth={}", '{{"level":"info","msg":"password={}"}}',
    "args=[--password {}]", 'args: ["--password", "{}"]', "level=info msg=login password={}",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_it_is_hidden_in_this_form(form: str) -> None:
    line = form.format(VALUE).encode() + b"\n"
    for text in (line, b'{"log":"x"} ' + line, b"2026-01-20T10:30:45Z " + line):
        if form.startswith(("password:", "pwd:")) and text is not line:
            continue  # in the middle of a line such a word begins a sentence
        counts: dict[str, int] = {}
        screen = Text(counts)
        shown = screen.feed(text) + screen.finish()
        assert VALUE.encode() not in shown
        assert counts


@pytest.mark.parametrize(
    "line",
    [
        "curl -s https://example.com:8080/healthz", "mysql -u root -h db", "docker run -u 1000:1000 x",
        "password authentication failed for user root", "password scram-sha-256 is on", "using password YES",
        "<title>token</title>", '<a key="name" value="x"/>', '"auth": "disabled"', "login shop password required",
        "the password is required", "password check took 12ms", '"--config", "/etc/x"', "_authenticated=true",
    ],
)  # fmt: skip
def test_words_about_credentials_are_none(line: str) -> None:
    counts: dict[str, int] = {}
    screen = Text(counts)
    raw = line.encode() + b"\n"
    assert screen.feed(raw) + screen.finish() == raw
