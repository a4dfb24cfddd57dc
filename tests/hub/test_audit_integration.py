"""What leaves which row in the audit log, who may read it, and that no noise and no full disk harms it."""

import asyncio
import csv
import io
import json
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub import keys
from hub.errors import StoreFull
from hub.records import AuditDetail, AuditEvent, Key
from hub.services.audit_repeats import Repeats, source_of
from hub.settings import Database, RateLimit
from hub.store import audit_file
from schemas.frames import SUBPROTOCOL, Cancel, Chunk, Exit, Run
from schemas.ids import hash_secret
from tests.hub.store.test_audit_integration import check_pairs, log
from tests.support.hub import ADMIN_KEY, TestHub, running_hub, settings
from tests.support.program import hub_program
from tests.support.raw_agent import canned, connected, serving
from tests.support.stream_client import streaming
from tests.support.waiting import until

AUDITOR = "auditor-key-of-the-tests-0123456789abcd"


async def rows(hub: TestHub, key: str = ADMIN_KEY, **wanted: Any) -> list[dict[str, Any]]:
    """Rows as the API has them, oldest first, when what waits is written."""
    await hub.app[keys.AUDIT].settle()
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        query = "&".join(f"{name}={value}" for name, value in {"limit": 1000, **wanted, **cursor}.items())
        answered = await hub.call("GET", f"/audit?{query}", key=key)
        assert answered.status == 200, answered.body
        found += answered.body["rows"]
        if answered.body["next_cursor"] is None:
            return found[::-1]
        cursor = {"cursor": answered.body["next_cursor"]}


async def auditor(hub: TestHub, *clusters: str) -> str:
    key = Key("key_auditor", "auditor", "auditor", hash_secret(AUDITOR), time.time(), clusters or None)
    await hub.app[keys.STORE].add_key(key)
    return AUDITOR


def only(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: row.get(name) for name in names}


async def test_a_command_has_two_rows_and_no_third(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with serving(hub.url, token, canned):
        session_id = await hub.open_session("alpha")
        answered = await hub.execute(
            session_id,
            "get",
            ("pods", "-n", "shop"),
            headers={"X-Service-Identity": "triage", "X-Correlation-ID": "t1"},
        )
        result = answered.body
        accepted, ended = await rows(hub, result_id=result["result_id"])
    own = (await hub.call("GET", "/auth/self")).body["key_id"]
    assert only(accepted, "kind", "action", "decision", "argv", "key_id", "role", "service_identity", "address") == {
        "kind": "accepted", "action": "POST /debug/execute", "decision": "allowed",
        "argv": ["get", *result["args"]], "key_id": own, "role": "admin", "service_identity": "triage",
        "address": "127.0.0.1",
    }  # fmt: skip
    assert only(accepted, "cluster_id", "session_id", "correlation_id") == {
        "cluster_id": "alpha", "session_id": session_id, "correlation_id": "t1"
    }  # fmt: skip
    assert accepted["request_id"].startswith("req_")
    assert only(ended, "kind", "status", "exit_code", "stdout_bytes", "duration_ms", "cluster_id", "session_id") == {
        "kind": "ended", "status": "completed", "exit_code": 0, "stdout_bytes": result["output_bytes"],
        "duration_ms": result["execution_time_ms"], "cluster_id": "alpha", "session_id": session_id,
    }  # fmt: skip


async def test_requests_leave_a_row_with_who_what_and_where(hub: TestHub) -> None:
    made = (await hub.call("POST", "/admin/keys", {"name": "u", "role": "user"})).body
    await hub.call("POST", "/admin/clusters", {"cluster_id": "alpha"})
    for method, path, body in (
        ("GET", "/debug/sessions", None),
        ("GET", "/debug/session/sess_none", None),
        ("POST", "/debug/execute", {"cluster_id": "alpha", "session_id": "s", "command_type": "exec", "args": ["x"]}),
        ("POST", "/debug/session", {"cluster_id": "alpha"}),
        ("POST", "/debug/session", {"cluster_id": 5}),
        ("PUT", "/debug/session", None),
        ("GET", "/no/such", None),
        ("GET", "/health", None),
    ):
        await hub.call(method, path, body, key=made["api_key"])
    await hub.call("DELETE", f"/admin/keys/{made['key_id']}")
    found = await rows(hub)
    assert [
        only(row, "kind", "action", "decision", "rule", "http_status") for row in found if row["kind"] != "hub"
    ] == [
        {"kind": kind, "action": action, "decision": decision, "rule": rule, "http_status": status}
        for kind, action, decision, rule, status in (
            ("admin", "POST /admin/keys", "allowed", None, 201),
            ("admin", "POST /admin/clusters", "allowed", None, 201),
            ("request", "GET /debug/sessions", "refused", "forbidden", 403),
            ("request", "GET /debug/session/{session_id}", "refused", "not_found", 404),
            ("request", "POST /debug/execute", "refused", "denied_verb", 403),
            ("request", "POST /debug/session", "error", "service_unavailable", 503),
            ("request", "POST /debug/session", "refused", "invalid_request", 400),
            ("admin", "DELETE /admin/keys/{key_id}", "allowed", None, 204),
        )
    ]
    by_action = {row["action"]: row for row in found}
    assert by_action["GET /debug/session/{session_id}"]["session_id"] == "sess_none"
    assert by_action["POST /debug/execute"]["argv"] == ["exec"]
    assert by_action["POST /debug/execute"]["argv_omitted"] == 1
    assert by_action["POST /admin/keys"]["target"] == made["key_id"]
    assert by_action["DELETE /admin/keys/{key_id}"]["target"] == made["key_id"]
    assert by_action["POST /admin/clusters"]["cluster_id"] == "alpha"
    assert by_action["POST /admin/clusters"]["token_id"].startswith("tok_")


async def test_an_admins_change_is_stored_before_it_is_answered(hub: TestHub, tmp_path: Path) -> None:
    await hub.register("alpha")
    with sqlite3.connect(f"file:{tmp_path}/kubently.db?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM audit WHERE kind = 'admin'").fetchone() == (1,)
    db.close()


async def test_a_repeated_request_runs_nothing_and_leaves_its_row(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with serving(hub.url, token, canned):
        session_id = await hub.open_session("alpha")
        for _ in range(2):
            answered = await hub.execute(session_id, headers={"Idempotency-Key": "once"})
        found = await rows(hub, result_id=answered.body["result_id"])
    assert [row["kind"] for row in found] == ["accepted", "ended", "request"]


async def test_agents_leave_rows(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token):
        await until(lambda: hub.app[keys.REGISTRY].find("alpha") is not None)
    await until(lambda: hub.app[keys.REGISTRY].find("alpha") is None)
    headers = {"Authorization": f"Bearer {token}", "X-Kubently-Cluster": "beta"}
    assert (await hub.call("GET", "/agent/connect", key=None, headers=headers)).status in (403, 426)
    async with hub.http.ws_connect(
        f"{hub.url}/agent/connect", headers={"Authorization": f"Bearer {token}"}, protocols=[SUBPROTOCOL]
    ) as socket:
        await socket.send_str("no hello")
        await socket.receive()
    found = await rows(hub, kind="agent")
    token_id = (await rows(hub, kind="admin"))[0]["token_id"]
    assert [only(row, "action", "decision") for row in found[:3]] == [
        {"action": "connect", "decision": "allowed"},
        {"action": "disconnect", "decision": "allowed"},
        {"action": "GET /agent/connect", "decision": "refused"},
    ]
    assert all(row["cluster_id"] == "alpha" and row["token_id"] == token_id for row in found)
    assert all(row["address"] == "127.0.0.1" for row in found)
    assert found[0]["version"]


async def test_ten_thousand_failed_authentications_are_a_few_rows(hub: TestHub, tmp_path: Path) -> None:
    async def knock(number: int) -> None:
        await hub.call("GET", "/debug/sessions", key=f"wrong-{number}")

    token = await hub.register("alpha")
    async with serving(hub.url, token, canned):
        session_id = await hub.open_session("alpha")
        for start in range(0, 10_000, 200):
            await asyncio.gather(*(knock(number) for number in range(start, start + 200)))
        answered = await hub.execute(session_id)
        assert [row["kind"] for row in await rows(hub, result_id=answered.body["result_id"])] == ["accepted", "ended"]
    found = await rows(hub, decision="unauthenticated")
    assert 1 <= len(found) <= 4
    await hub.app[keys.AUDIT].close()
    found = await rows(hub, decision="unauthenticated")
    assert len(found) <= 4
    assert sum(row.get("count", 1) for row in found) == 10_000
    assert {(row["address"], row["rule"]) for row in found} == {("127.0.0.1", "unauthorized")}
    assert not [row for row in await rows(hub) if row["kind"] == "dropped"]


async def test_a_key_over_its_limit_is_a_few_rows(tmp_path: Path) -> None:
    limits = RateLimit(standard_per_minute=5, execute_per_minute=0, session_per_minute=0, address_per_minute=0)
    async with running_hub(settings(tmp_path, ratelimit=limits)) as hub:
        key = await hub.make_key()
        for _ in range(50):
            await hub.call("GET", "/auth/self", key=key)
        await hub.app[keys.AUDIT].settle()
        with sqlite3.connect(f"file:{tmp_path}/kubently.db?mode=ro", uri=True) as db:
            assert db.execute("SELECT count(*) FROM audit WHERE kind = 'request'").fetchone() == (6,)
        db.close()


async def test_an_agent_that_comes_and_goes_is_a_few_rows(hub: TestHub) -> None:
    token = await hub.register("alpha")
    for _ in range(12):
        async with connected(hub.url, token):
            pass
    await until(lambda: hub.app[keys.REGISTRY].find("alpha") is None)
    found = await rows(hub, kind="agent")
    assert [row["action"] for row in found] == ["connect", "disconnect"]
    await hub.app[keys.AUDIT].close()
    found = await rows(hub, kind="agent")
    assert {row["action"]: row.get("count") for row in found} == {"connect": 11, "disconnect": 11}


async def test_an_export_whose_reader_has_read_enough_ends_quietly(tmp_path: Path) -> None:
    await log(tmp_path / "hub.db", rows=20_000)
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m hub audit export --database sqlite:///{tmp_path}/hub.db | head -n 1",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    stdout, stderr = await process.communicate()
    assert (json.loads(stdout)["seq"], stderr) == (1, b"")


async def test_stream_messages_leave_rows(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as agent:
        session_id = await hub.open_session("alpha")
        async with streaming(hub.url, session_id) as client:
            await client.execute("1", "logs", "-f", "pod/x")
            run = await agent.expect(Run)
            await client.execute("2", "exec", "--token=hunter2")
            await client.expect("error", request_id="2")
            await client.send("follow", result_id="res_none", after_seq=0)
            await client.expect("error", result_id="res_none")
            await client.send("cancel", result_id=run.result_id)
            await agent.expect(Cancel)
            await agent.send(Exit(run.result_id, 1, "cancelled"))
            await client.expect("completed")
        found = await rows(hub)
    assert [
        only(row, "kind", "action", "decision", "rule") for row in found if row.get("action", "").startswith("stream")
    ] == [
        {"kind": "accepted", "action": "stream execute", "decision": "allowed", "rule": None},
        {"kind": "stream", "action": "stream execute", "decision": "refused", "rule": "denied_verb"},
        {"kind": "stream", "action": "stream follow", "decision": "refused", "rule": "not_found"},
        {"kind": "stream", "action": "stream cancel", "decision": "allowed", "rule": None},
    ]
    upgrade = next(row for row in found if row.get("action") == "GET /debug/session/{session_id}/stream")
    assert (upgrade["http_status"], upgrade["cluster_id"]) == (101, "alpha")
    assert "hunter2" not in json.dumps(found)


async def test_no_secret_and_no_output_is_in_the_log(hub: TestHub, tmp_path: Path) -> None:
    planted = [
        "plant-output",
        "plant-error",
        "plant-metadata",
        "plant-name",
        "plant-argument",
        "plant-key",
        "plant-path",
    ]
    token = await hub.register("alpha")
    user = await hub.make_key(name="plant-name")
    async with connected(hub.url, token) as agent:
        session_id = await hub.open_session("alpha", key=user, metadata={"password": "plant-metadata"})
        waiting = asyncio.create_task(hub.execute(session_id, key=user))
        run = await agent.expect(Run)
        chunks = [Chunk("stdout", "plant-output"), Chunk("stderr", "plant-error")]
        await agent.send(Exit(run.result_id, 1, "failed", exit_code=1, error="plant-error", chunks=chunks))
        await waiting
        await hub.execute(session_id, "get", ("pods", "--token", "plant-argument"), key=user)
        await hub.call("GET", "/debug/sessions?x=plant-path", key=user)
        await hub.call("GET", "/debug/sessions", key="plant-key")
        found = json.dumps(await rows(hub))
    for secret in (*planted, token, user, ADMIN_KEY):
        assert secret not in found
        with sqlite3.connect(f"file:{tmp_path}/kubently.db?mode=ro", uri=True) as db:
            assert db.execute("SELECT count(*) FROM audit WHERE instr(detail, ?)", (secret,)).fetchone() == (0,)
        db.close()


async def test_who_may_read_what(hub: TestHub) -> None:
    await hub.register("alpha")
    await hub.register("beta")
    user = await hub.make_key()
    assert (await hub.call("GET", "/audit", key=user)).status == 403
    assert (await hub.call("GET", "/audit", key=None)).status == 401
    whole = await rows(hub)
    assert {row.get("cluster_id") for row in whole} >= {"alpha", "beta", None}
    limited = await auditor(hub, "al*")
    seen = await rows(hub, limited)
    assert {row.get("cluster_id") for row in seen if row.get("key_id") != "key_auditor"} == {"alpha"}
    assert next(row["action"] for row in await rows(hub, limited, key_id="key_auditor")) == "GET /audit"


async def test_filters_pages_and_csv(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with serving(hub.url, token, canned):
        session_id = await hub.open_session("alpha")
        for _ in range(5):
            await hub.execute(session_id)
    await hub.call("GET", "/debug/sessions", headers={"X-Service-Identity": "=cmd()"})
    every = await rows(hub)
    assert [row["seq"] for row in every] == list(range(1, len(every) + 1))
    assert len(await rows(hub, kind="accepted", limit=2)) == 5
    assert len(await rows(hub, session_id=session_id, decision="allowed")) >= 10
    assert await rows(hub, until="2020-01-01T00:00:00Z") == []
    assert await rows(hub, since="2099-01-01T00:00:00Z") == []
    assert len(await rows(hub, since="2020-01-01T00:00:00Z", kind="ended")) == 5
    assert (await hub.call("GET", "/audit?cursor=x")).status == 400
    async with hub.http.get(
        f"{hub.url}/audit?format=csv&limit=1000", headers={"Authorization": f"Bearer {ADMIN_KEY}"}
    ) as response:
        assert response.content_type == "text/csv"
        table = list(csv.DictReader(io.StringIO(await response.text(), newline="")))
    assert "'=cmd()" in {row["service_identity"] for row in table}
    assert not [cell for row in table for cell in row.values() if cell[:1] in {"=", "+", "-", "@"}]


async def test_a_full_store_answers_reads_and_counts_what_it_drops(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.services.audit._MAX_WAITING", 10)
    audit, store = hub.app[keys.AUDIT], hub.app[keys.STORE]
    await audit.settle()
    append = store.append_audit

    async def full(events: Any) -> None:
        raise StoreFull

    monkeypatch.setattr(store, "append_audit", full)
    for _ in range(25):
        assert (await hub.call("GET", "/auth/self")).status == 200
    monkeypatch.setattr(store, "append_audit", append)
    found = await rows(hub)
    assert len([row for row in found if row.get("action") == "GET /auth/self"]) == 10
    assert [row["count"] for row in found if row["kind"] == "dropped"] == [15]


async def test_a_killed_hub_has_a_whole_chain_with_two_rows_for_each_command(tmp_path: Path) -> None:
    token = ""
    for number in range(3):
        async with hub_program(tmp_path) as (program, client):
            if not token:
                token = (await client.call("POST", "/admin/clusters", {"cluster_id": "alpha"})).body["agent_token"]
            async with serving(client.url, token, canned):
                session_id = (await client.call("POST", "/debug/session", {"cluster_id": "alpha"})).body["session_id"]
                done = 0

                async def work(url: str, session_id: str) -> None:
                    nonlocal done
                    body = {"cluster_id": "alpha", "session_id": session_id, "command_type": "get", "args": ["pods"]}
                    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
                    async with aiohttp.ClientSession() as http:
                        while True:
                            async with http.post(f"{url}/debug/execute", json=body, headers=headers) as response:
                                assert response.status == 200
                                done += 1

                workers = [asyncio.create_task(work(client.url, session_id)) for _ in range(6)]
                async with asyncio.timeout(30):
                    while done < 60 + 31 * number:
                        await asyncio.sleep(0.001)
                program.kill()
                await program.ended()
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        assert check_pairs(tmp_path / "hub.db") >= 60
    async with hub_program(tmp_path) as (program, _):
        program.terminate()
        head = (await program.find(r"the head of the audit log head=(\S+)"))[1]
        assert await program.ended() == 0
    verified = await run("verify", tmp_path, "--head", head)
    assert verified[0] == 0, verified
    seq, _, mac = head.partition(":")
    assert (await run("verify", tmp_path, "--head", f"{int(seq) + 1}:{mac}"))[0] == 1
    code, printed = await run("export", tmp_path)
    assert (code, len(printed.splitlines())) == (0, int(seq))
    assert {json.loads(line)["kind"] for line in printed.splitlines()} >= {"hub", "admin", "accepted", "ended", "agent"}
    code, printed = await run("export", tmp_path, "--format", "csv", "--since", "2099-01-01T00:00:00Z")
    assert (code, len(printed.splitlines())) == (0, 1)
    with sqlite3.connect(tmp_path / "hub.db") as db:
        db.execute("DROP TRIGGER audit_is_not_changed")
        db.execute("UPDATE audit SET detail = replace(detail, 'alpha', 'alphb') WHERE seq = 5")
    db.close()
    code, printed = await run("verify", tmp_path)
    assert code == 1
    assert printed.startswith("the trigger audit_is_not_changed is gone\nrow 5 was changed")
    (tmp_path / "hub.db.audit-key").unlink()
    assert (await run("verify", tmp_path))[0] == 2


async def run(what: str, folder: Path, *args: str) -> tuple[int, str]:
    """`kubently-hub audit`; its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub", "audit", what, "--database", f"sqlite:///{folder}/hub.db", *args,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    stdout, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stdout.decode()


async def test_verify_and_a_full_disk_of_a_hub_that_runs(tmp_path: Path) -> None:
    database = Database(url=f"sqlite:///{tmp_path}/hub.db")
    async with running_hub(settings(tmp_path, database=database)) as hub:
        store: Any = hub.app[keys.STORE]
        await store._writer.submit(lambda db: db.execute("PRAGMA max_page_count = 100").fetchone())
        for number in range(300):
            answered = await hub.call("GET", "/auth/self", headers={"X-Service-Identity": "x" * 120 + str(number)})
            assert answered.status == 200
            if number % 100 == 99:
                await hub.app[keys.AUDIT].settle()
        await store._writer.submit(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchone())
        await hub.app[keys.AUDIT].settle()
        key_file = Path(f"{tmp_path}/hub.db.audit-key")
        assert audit_file.verify(tmp_path / "hub.db", key_file, None).faults == []
        found = await rows(hub, kind="request")
        assert len([row for row in found if row["action"] == "GET /auth/self"]) == 300


async def test_the_head_is_told_when_it_has_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hub.services.audit._HEAD_SECONDS", 0.0)
    monkeypatch.setattr("hub.services.audit._LOOK_SECONDS", 0.01)
    caplog.set_level("INFO", "hub.services.audit")

    def heads() -> list[str]:
        return [str(vars(record)["head"]) for record in caplog.records if record.message == "the head of the audit log"]

    async with running_hub(settings(tmp_path)) as hub:
        await hub.register("alpha")
        await until(lambda: bool(heads()))
        told = len(heads())
        await hub.register("beta")
        await until(lambda: len(heads()) > told)
    assert len(set(heads())) == len(heads())
    seq, _, mac = heads()[-1].partition(":")
    key_file = Path(f"{tmp_path}/kubently.db.audit-key")
    assert audit_file.verify(tmp_path / "kubently.db", key_file, (int(seq), mac)).faults == []
    assert audit_file.verify(tmp_path / "kubently.db", key_file, (int(seq) + 1, mac)).faults != []


async def test_one_faulty_row_does_not_hold_up_the_others(hub: TestHub, caplog: pytest.LogCaptureFixture) -> None:
    bad: Any = {1, 2}
    hub.app[keys.AUDIT].record("request", AuditDetail(action="x", target=bad, count=object()))  # type: ignore[arg-type]
    await until(lambda: any(record.message == "the audit log could not be written" for record in caplog.records))
    await hub.register("alpha")
    assert [row["count"] for row in await rows(hub, kind="dropped")] == [1]
    assert (await rows(hub, kind="admin"))[0]["cluster_id"] == "alpha"


def test_repeats_are_bounded() -> None:
    repeats = Repeats(128)

    def refuse(address: str, at: float) -> bool:
        detail = AuditDetail(action="GET /x", decision="unauthenticated", address=address, rule="unauthorized")
        event = AuditEvent(at, "unauthenticated", detail)
        source = source_of(event)
        assert source is not None
        return repeats.take(source, event)

    own = [refuse(f"10.0.{number // 256}.{number % 256}", 1000.0) for number in range(5000)]
    assert own.count(True) == 128
    assert not refuse("10.0.0.1", 1001.0)
    assert repeats.due(1030.0) == []
    counts = {event.detail.address: event.detail.count for event in repeats.due(1060.0)}
    assert counts == {None: 5000 - 128, "10.0.0.1": 1}
    assert refuse("10.0.0.1", 1061.0)
    assert refuse("2001:db8::1", 1061.0)
    assert not refuse("2001:db8::2", 1061.0)  # of the same network
    assert [event.detail.count for event in repeats.due(1062.0, is_last=True)] == [1]
    assert repeats.due(9999.0) == []
