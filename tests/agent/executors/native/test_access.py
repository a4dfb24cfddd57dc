"""agent/executors/native/access.py: credentials and authorities that change while the agent runs."""

import asyncio
import base64
import json
import shutil
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.executors import kubeconfig
from agent.executors.native import access as access_module
from agent.executors.native.access import Access
from agent.executors.native.errors import StatusError, Unreachable
from agent.executors.native.transport import Transport
from tests.cluster.cluster import Cluster
from tests.support.fake_api_server import FakeApiServer, authorized, fake_api_server, never, pieces
from tests.support.proxy import connect_proxy
from tests.support.tls import Certificate, make_certificate
from tests.support.waiting import until

_PODS = "/api/v1/pods"
_LIST = {"kind": "PodList"}


@asynccontextmanager
async def opened(config: bytes) -> AsyncIterator[Transport]:
    access = Access(config)
    try:
        yield Transport(access, 1 << 20)
    finally:
        await access.close()


def certificate(folder: Path) -> Certificate:
    folder.mkdir()
    return make_certificate(folder)


async def test_a_token_file_is_read_again_after_a_401(server: FakeApiServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    server.route(_PODS, authorized("first", _LIST))
    async with opened(server.config(user={"tokenFile": str(token), "token": "not-this"})) as transport:
        await transport.get(_PODS)
        server.route(_PODS, authorized("second", _LIST))
        token.write_text("second\n")
        await transport.get(_PODS)
        assert [asked.headers["Authorization"] for asked in server.requests] == [
            *("Bearer first", "Bearer first", "Bearer second")
        ]


async def test_a_token_file_is_read_again_after_a_while(
    server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    server.route(_PODS, _LIST)
    async with opened(server.config(user={"tokenFile": str(token)})) as transport:
        await transport.get(_PODS)
        token.write_text("second")
        await transport.get(_PODS)
        assert server.requests[-1].headers["Authorization"] == "Bearer first"
    monkeypatch.setattr(access_module, "_REFRESH_SECONDS", 0.0)
    async with opened(server.config(user={"tokenFile": str(token)})) as transport:
        for text in ("third", "fourth"):
            token.write_text(text)
            await transport.get(_PODS)
            assert server.requests[-1].headers["Authorization"] == f"Bearer {text}"
        token.unlink()  # for a moment, while it is replaced
        await transport.get(_PODS)
        assert server.requests[-1].headers["Authorization"] == "Bearer fourth"


async def test_no_token_file_at_all(server: FakeApiServer, tmp_path: Path) -> None:
    async with opened(server.config(user={"tokenFile": str(tmp_path / "absent")})) as transport:
        with pytest.raises(Unreachable, match=r"Unable to connect to the server: .*absent"):
            await transport.get(_PODS)
        (tmp_path / "absent").write_text("there now")
        server.route(_PODS, _LIST)
        await transport.get(_PODS)


async def test_name_and_password(server: FakeApiServer) -> None:
    server.route(_PODS, _LIST)
    async with opened(server.config(user={"username": "ann", "password": "b"})) as transport:
        await transport.get(_PODS)
    assert server.requests[0].headers["Authorization"] == "Basic YW5uOmI="


@asynccontextmanager
async def https(made: Certificate, port: int = 0) -> AsyncIterator[FakeApiServer]:
    async with fake_api_server(tls=made.server(), port=port) as server:
        server.route(_PODS, _LIST)
        yield server


async def test_an_authority_as_data_leaves_nothing_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = certificate(tmp_path / "ca")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    data = base64.b64encode(made.cert.read_bytes()).decode()
    key = base64.b64encode(made.key.read_bytes()).decode()
    async with https(made) as server:
        user = {"client-certificate-data": data, "client-key-data": key}
        async with opened(server.config(cluster={"certificate-authority-data": data}, user=user)) as transport:
            await transport.get(_PODS)
            assert list((tmp_path / "tmp").iterdir()) == []


async def test_a_server_nobody_vouches_for(tmp_path: Path) -> None:
    made, other = certificate(tmp_path / "ca"), certificate(tmp_path / "other")
    async with https(made) as server:
        async with opened(server.config(cluster={"certificate-authority": str(other.cert)})) as transport:
            with pytest.raises(Unreachable, match="tls: failed to verify certificate"):
                await transport.get(_PODS)
        async with opened(server.config(cluster={"insecure-skip-tls-verify": True})) as transport:
            await transport.get(_PODS)


async def test_the_name_on_the_certificate_can_be_set(tmp_path: Path) -> None:
    made = certificate(tmp_path / "ca")
    async with https(made) as server:
        cluster = {"certificate-authority": str(made.cert), "tls-server-name": "elsewhere.test"}
        async with opened(server.config(cluster=cluster)) as transport:
            with pytest.raises(Unreachable, match="elsewhere"):
                await transport.get(_PODS)
        async with opened(server.config(cluster=cluster | {"tls-server-name": "hub.test"})) as transport:
            await transport.get(_PODS)


async def test_a_proxy_of_the_kubeconfig_is_used(tmp_path: Path) -> None:
    made = certificate(tmp_path / "ca")
    async with https(made) as server, connect_proxy(int(server.url.rpartition(":")[2])) as proxy:
        cluster = {"certificate-authority": str(made.cert), "proxy-url": proxy.url}
        async with opened(server.config(cluster=cluster)) as transport:
            await transport.get(_PODS)
        assert proxy.requests[0].startswith(f"CONNECT {server.url.removeprefix('https://')} ")


async def test_a_new_authority_is_trusted_as_soon_as_the_old_one_fails(tmp_path: Path) -> None:
    first, second = certificate(tmp_path / "first"), certificate(tmp_path / "second")
    trusted = tmp_path / "ca.crt"
    trusted.write_bytes(first.cert.read_bytes())
    async with https(first) as server:
        port = int(server.url.rpartition(":")[2])
        config = server.config(cluster={"certificate-authority": str(trusted)})
        access = Access(config)
        transport = Transport(access, 1 << 20)
        await transport.get(_PODS)
    async with https(second, port):
        with pytest.raises(Unreachable, match="tls: failed to verify certificate"):
            await transport.get(_PODS)
        trusted.write_bytes(second.cert.read_bytes())
        await transport.get(_PODS)
    await access.close()


async def test_a_stream_outlives_a_change_of_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, more = certificate(tmp_path / "ca"), certificate(tmp_path / "more")
    trusted = tmp_path / "ca.crt"
    trusted.write_bytes(made.cert.read_bytes())
    monkeypatch.setattr(access_module, "_REFRESH_SECONDS", 0.0)
    async with https(made) as server:
        server.route("/log", pieces(b"one\n", b"two\n" * 100_000, b"three\n", content_type="text/plain"))
        access = Access(server.config(cluster={"certificate-authority": str(trusted)}))
        transport = Transport(access, 1 << 20)
        old = await access.pool()
        async with transport.stream("/log") as response:
            chunks = response.chunks()
            first = await anext(aiter(chunks))
            trusted.write_bytes(made.cert.read_bytes() + more.cert.read_bytes())
            await transport.get(_PODS)
            assert await access.pool() is not old
            assert not old.session.closed
            rest = [chunk async for chunk in chunks]
        assert (first + b"".join(rest)).endswith(b"three\n")
        assert old.session.closed
        await access.close()


@pytest.mark.parametrize("is_answered", [True, False])
async def test_a_connection_let_go_waits_for_no_goodbye(tmp_path: Path, is_answered: bool) -> None:
    made = certificate(tmp_path / "ca")
    asked = asyncio.Event()

    async def deaf(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.pause_reading()  # it neither hears the client's goodbye nor answers it
        asked.set()
        return await (pieces(b"one\n", is_endless=True) if is_answered else never())(request)

    async with https(made) as server:
        server.route("/log", deaf)
        access = Access(server.config(cluster={"certificate-authority": str(made.cert)}))
        transport = Transport(access, 1 << 20)
        connector = (await access.pool()).session.connector

        async def follow() -> None:
            async with transport.stream("/log") as response:
                async for _ in response.chunks():
                    pass

        task = asyncio.create_task(follow())
        await asked.wait()
        await until(lambda: transport.has_answer is is_answered)
        (connection,) = connector._acquired
        socket = connection.transport.get_extra_info("socket")
        task.cancel()
        await asyncio.wait([task])
        await access.close()
        await until(lambda: socket.fileno() == -1)


def plugin(folder: Path, body: str) -> dict[str, Any]:
    """A credential plugin as `kubeconfig.resolve` leaves it; it counts its runs in `runs`."""
    path = folder / "plugin"
    path.write_text(
        f"#!{sys.executable} -SE\nimport json, os, sys\n"
        f"with open({str(folder / 'runs')!r}, 'a') as file: file.write('x')\n"
        "def say(**status): print(json.dumps("
        "{'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential', 'status': status}))\n" + body
    )
    path.chmod(0o755)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(path),
            "args": ["a", "b"],
            "env": [{"name": "GIVEN", "value": "yes"}],
        }
    }


async def test_a_plugin_is_asked_once(server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBENTLY_AGENT_TOKEN", "not for plugins")
    body = "say(token='-'.join(sys.argv[1:] + sorted(os.environ.keys() - {'LC_CTYPE'})))"
    server.route(_PODS, _LIST)
    async with opened(server.config(user=plugin(tmp_path, body))) as transport:
        await asyncio.gather(*(transport.get(_PODS) for _ in range(3)))
    assert server.requests[0].headers["Authorization"] == "Bearer a-b-GIVEN-KUBERNETES_EXEC_INFO"
    assert (tmp_path / "runs").read_text() == "x"


async def test_a_plugin_is_asked_again_after_a_401_and_when_its_answer_expires(
    server: FakeApiServer, tmp_path: Path
) -> None:
    server.route(_PODS, authorized("x", _LIST))
    body = f"say(token=open({str(tmp_path / 'runs')!r}).read()[1:], expirationTimestamp='2020-01-01T00:00:00Z')"
    async with opened(server.config(user=plugin(tmp_path, body))) as transport:
        await transport.get(_PODS)
    assert (tmp_path / "runs").read_text() == "xx"


@pytest.mark.parametrize(
    "body",
    ["sys.exit('cannot log in')", "print('hello')", "print('[]')", "say(expirationTimestamp='x')", "print('{}')"],
)
async def test_a_plugin_that_fails(server: FakeApiServer, tmp_path: Path, body: str) -> None:
    async with opened(server.config(user=plugin(tmp_path, body))) as transport:
        with pytest.raises(Unreachable, match="Unable to connect to the server: getting credentials: "):
            await transport.get(_PODS)
    assert server.requests == []


async def test_a_plugin_may_give_a_certificate(tmp_path: Path) -> None:
    made = certificate(tmp_path / "ca")
    context = made.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(made.cert)
    body = f"say(clientCertificateData=open({str(made.cert)!r}).read(), clientKeyData=open({str(made.key)!r}).read())"
    async with fake_api_server(tls=context) as server:
        server.route(_PODS, _LIST)
        cluster = {"certificate-authority": str(made.cert)}
        async with opened(server.config(cluster=cluster, user=plugin(tmp_path, body))) as transport:
            await transport.get(_PODS)
        async with opened(server.config(cluster=cluster)) as transport:
            with pytest.raises(Unreachable):
                await transport.get(_PODS)


async def test_a_plugin_that_is_not_there(server: FakeApiServer, tmp_path: Path) -> None:
    user = plugin(tmp_path, "")
    (tmp_path / "plugin").unlink()
    async with opened(server.config(user=user)) as transport:
        with pytest.raises(Unreachable, match="No such file"):
            await transport.get(_PODS)


async def test_without_credentials(server: FakeApiServer) -> None:
    server.route(_PODS, authorized("x", _LIST))
    config = json.loads(server.config())
    del config["contexts"][0]["context"]["namespace"]
    async with opened(json.dumps(config).encode()) as transport:
        assert transport.namespace == "default"
        with pytest.raises(StatusError):
            await transport.get(_PODS)
    assert "Authorization" not in server.requests[0].headers


async def test_a_real_server_and_a_token_that_is_replaced(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "serviceaccount"
    shutil.copytree(cluster.service_account, folder)
    token = (folder / "token").read_text()
    host, port = cluster.host_and_port
    config = kubeconfig.resolve({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}, folder)
    async with opened(config) as transport:
        assert b"PodList" in await transport.get("/api/v1/namespaces/samples/pods")
        (folder / "token").write_text("expired")
        await transport.get("/version")  # the one it has is good for now
    async with opened(config) as transport:
        with pytest.raises(StatusError, match="Unauthorized"):
            await transport.get("/api/v1/namespaces/samples/pods")
        (folder / "token").write_text(f"{token}\n")
        assert b"PodList" in await transport.get("/api/v1/namespaces/samples/pods")
        assert transport.namespace == "kubently"
