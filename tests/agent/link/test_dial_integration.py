"""agent/link/dial.py against real servers: token, refusals, TLS, proxies."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agent.errors import Rejected, StartError
from agent.link.dial import Unreachable, dial
from agent.settings import Link, Settings
from tests.support.proxy import connect_proxy
from tests.support.raw_server import raw_server, silent
from tests.support.scripted_hub import Answer, ScriptedHub, scripted_hub
from tests.support.tls import make_certificate

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "WS_PROXY", "WSS_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def settings(url: str, **fields: object) -> Settings:
    values: dict[str, object] = {"link": Link(open_timeout_seconds=5.0), "insecure": True} | fields
    return Settings(hub_url=url, cluster_id="alpha", **values)  # type: ignore[arg-type]


async def dialled(url: str, **fields: object) -> None:
    """Dial and hang up."""
    socket = await dial(settings(url, **fields), lambda: "t0ken", "1.2.3")
    await socket.close()


def port(hub: ScriptedHub) -> int:
    return urlsplit(hub.url).port or 0


async def test_what_the_hub_is_told() -> None:
    async with scripted_hub() as hub:
        await dialled(hub.url + "/")
        headers = hub.dials[0]
    assert headers["Authorization"] == "Bearer t0ken"
    assert headers["X-Kubently-Cluster"] == "alpha"
    assert headers["Sec-WebSocket-Protocol"] == "kubently.agent.v1"
    assert headers["User-Agent"] == "kubently-agent/1.2.3"
    assert "Sec-WebSocket-Extensions" not in headers


@pytest.mark.parametrize("status", [401, 403, 426])
async def test_a_rejection_carries_the_hubs_words(status: int) -> None:
    async with scripted_hub() as hub:
        hub.answers.append(Answer(status, body=b'{"error": "x", "message": "Invalid agent token"}'))
        with pytest.raises(Rejected, match=r"^Invalid agent token$") as caught:
            await dialled(hub.url)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({}, None), ({"Retry-After": "7"}, 7.0), ({"Retry-After": "soon"}, None), ({"Retry-After": "-1"}, None)],
)
@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_other_refusals_are_for_now(status: int, headers: dict[str, str], seconds: float | None) -> None:
    async with scripted_hub() as hub:
        hub.answers.append(Answer(status, headers, b"\xff not json"))
        with pytest.raises(Unreachable, match=f"the hub answered {status}") as caught:
            await dialled(hub.url)
    assert caught.value.retry_after_seconds == seconds


async def test_retry_after_may_be_a_date() -> None:
    async with scripted_hub() as hub:
        hub.answers.append(Answer(503, {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}))
        with pytest.raises(Unreachable) as caught:
            await dialled(hub.url)
    assert (caught.value.retry_after_seconds or 0) > 1e9


async def test_no_redirect_is_followed() -> None:
    async with scripted_hub() as hub, scripted_hub() as other:
        for status in (301, 302, 307, 308):
            hub.answers.append(Answer(status, {"Location": other.url + "/agent/connect"}))
            with pytest.raises(Unreachable, match=str(status)):
                await dialled(hub.url)
        assert other.dials == []


async def test_something_else_that_answers() -> None:
    async with scripted_hub(subprotocol=None) as hub:
        with pytest.raises(Unreachable, match=r"does not speak kubently\.agent\.v1"):
            await dialled(hub.url)


async def test_nobody_there() -> None:
    async with scripted_hub() as hub:
        url = hub.url
    with pytest.raises(Unreachable, match=r"refused|Connect call failed"):
        await dialled(url)
    with pytest.raises(Unreachable):
        await dialled("ws://no-such-host.invalid:80")


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async with raw_server(silent) as number:
        with pytest.raises(Unreachable, match=r"no answer within 0\.1 s"):
            await dialled(f"ws://127.0.0.1:{number}", link=Link(open_timeout_seconds=0.1))


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 banana\r\n\r\n", b"\x00" * 100_000, b""])
async def test_garbage_for_an_answer(answer: bytes) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with raw_server(babble) as number:
        with pytest.raises(Unreachable):
            await dialled(f"ws://127.0.0.1:{number}")


async def test_a_token_that_is_gone() -> None:
    def gone() -> str:
        raise StartError("token_file /run/token: No such file or directory")

    with pytest.raises(Unreachable, match="No such file"):
        await dial(settings("ws://127.0.0.1:1"), gone, "1.2.3")


async def test_tls_is_verified_with_the_given_authority(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    async with scripted_hub(tls=certificate.server()) as hub:
        await dialled(hub.url, ca_file=str(certificate.cert))
        with pytest.raises(Unreachable, match=r"(?i)certificate verify failed"):
            await dialled(hub.url)
        assert len(hub.dials) == 1


async def test_tls_checks_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path)
    async with scripted_hub(tls=certificate.server()) as hub, connect_proxy(port(hub)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            await dialled("wss://other.test", ca_file=str(certificate.cert))
        assert len(proxy.requests) == 1


@pytest.mark.parametrize("content", [None, "not PEM"])
async def test_an_authority_file_that_cannot_be_used(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.crt"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Unreachable, match=f"ca_file {file}"):
        await dialled("wss://127.0.0.1:1", ca_file=str(file))


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"])
async def test_a_proxy_for_ws(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_hub() as hub, connect_proxy(port(hub)) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        await dialled("ws://hub.test:8080")
        assert proxy.requests[0].startswith("CONNECT hub.test:8080 HTTP/1.1\r\n")
        assert "t0ken" not in proxy.requests[0]
        assert hub.dials[0]["Authorization"] == "Bearer t0ken"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
async def test_a_proxy_for_wss_sees_nothing_of_the_inside(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    async with scripted_hub(tls=certificate.server()) as hub, connect_proxy(port(hub)) as proxy:
        monkeypatch.setenv(variable, proxy.url.replace("http://", "http://user:pa55@"))
        await dialled("wss://hub.test", ca_file=str(certificate.cert))
        assert proxy.requests[0].startswith("CONNECT hub.test:443 HTTP/1.1\r\n")
        assert "Proxy-Authorization: Basic dXNlcjpwYTU1" in proxy.requests[0]
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            await dialled("wss://hub.test")


async def test_a_proxy_for_http_is_not_for_wss(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_hub() as hub, connect_proxy(port(hub)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with pytest.raises(Unreachable):
            await dialled("wss://hub.invalid")
        assert proxy.requests == []


@pytest.mark.parametrize("value", ["hub.invalid", ".invalid", "*", "other, hub.invalid"])
async def test_no_proxy(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_hub() as hub, connect_proxy(port(hub)) as proxy:
        for variable in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(variable, proxy.url)
        monkeypatch.setenv("NO_PROXY", value)
        for url in ("ws://hub.invalid", "wss://hub.invalid"):
            with pytest.raises(Unreachable):
                await dialled(url)
        assert proxy.requests == []


async def test_a_hub_on_this_machine_is_not_asked_for_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_hub() as hub, connect_proxy(port(hub)) as proxy:
        for variable in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(variable, proxy.url)
        await dialled(hub.url)
        assert proxy.requests == []


@pytest.mark.parametrize("value", ["ftp://user:pa55@proxy", "http://user@proxy", "socks5://user:pa55@127.0.0.1:1"])
async def test_a_proxy_that_cannot_be_used_is_told_without_its_password(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(Unreachable, match="proxy") as caught:
        await dialled("wss://hub.invalid")
    assert "pa55" not in str(caught.value)


async def test_cancelling_leaves_no_socket() -> None:
    closed = asyncio.Event()

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent(reader, writer)
        closed.set()

    async with raw_server(quiet) as number:
        task = asyncio.create_task(dialled(f"ws://127.0.0.1:{number}"), name="dial")
        done, _ = await asyncio.wait({task}, timeout=0.1)
        assert not done
        task.cancel()
        async with asyncio.timeout(2):
            await closed.wait()
