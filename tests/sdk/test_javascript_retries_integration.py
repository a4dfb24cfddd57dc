"""What the JavaScript library does with hubs, and things in front of them, that misbehave, byte by byte."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub import ADMIN_KEY
from tests.support.javascript import script
from tests.support.raw_server import raw_server
from tests.support.scripted_answers import HANG_UP, SILENCE, Answer, Script, refusal, response, scripted
from tests.support.sdk_world import sdk_world
from tests.support.tls import make_certificate

HEALTH = {"status": "healthy", "version": "9", "timestamp": "2026-01-20T10:30:45Z", "uptime_seconds": 1}
BROKEN = response(200, b"short", Connection="close").replace(b"Content-Length: 5", b"Content-Length: 50")
BAD_GATEWAY = response(502, b"<html>", content_type="text/html")
FROM_A_PROXY = response(503, b"<html>", content_type="text/html", Retry_After="0")
OFFLINE = refusal(503, "service_unavailable", {"cluster_id": "a", "last_seen": None}, Retry_After="1")
LINES = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"

ASK = """
const shown = (error) => [error.name, error.code, error.status, error.retryable, error.retryAfter, error.correlationId];
const options = JSON.parse(process.env.OPTIONS);
const ask = async (call) => {
  const client = new kubently.Client(options);
  const begun = performance.now();
  try {
    print(await call(client));
  } catch (error) {
    print({ shown: shown(error), message: error.message, took: performance.now() - begun });
  }
};
"""


async def asked(call: str, *answers: Answer, **options: Any) -> tuple[Any, Script]:
    """What `call` gives of a client whose hub answers so: a value, or what an error shows."""
    async with scripted(*answers) as hub:
        (printed,) = await script(f"{ASK} await ask({call});", hub.url, OPTIONS=json.dumps(options))
        return printed, hub


HEALTH_OF = "async (client) => (await client.health()).version"


async def test_what_may_come_right_is_tried_again() -> None:
    answers = [
        refusal(429, "rate_limited", {"retry_after": 0}, Retry_After="0"),
        refusal(503, "queue_full", {"queue_depth": 100}, Retry_After="0"),
        HANG_UP,
        refusal(503, "draining"),
        response(200, HEALTH),
    ]
    version, hub = await asked(HEALTH_OF, *answers, retries=4)
    assert version == "9"
    assert hub.header("Authorization") == [f"Bearer {ADMIN_KEY}"] * 5


@pytest.mark.parametrize(
    ("answer", "name", "code", "status", "is_retryable"),
    [
        (OFFLINE, "ClusterOffline", "service_unavailable", 503, True),
        (refusal(503, "store_full", Retry_After="1", X_Correlation_ID="c1"), "StoreFull", "store_full", 503, True),
        (refusal(401, "unauthorized"), "Unauthorized", "unauthorized", 401, False),
        (refusal(500, "internal_error"), "InternalError", "internal_error", 500, True),
        (refusal(418, "brand_new"), "HubError", "brand_new", 418, False),
        # Too long a wait for the time there is, which is then for the caller to decide about.
        (refusal(429, "rate_limited", Retry_After="600"), "RateLimited", "rate_limited", 429, True),
        (refusal(429, "rate_limited", {"retry_after": 31}), "RateLimited", "rate_limited", 429, True),
    ],
)
async def test_what_is_news_is_told_at_once(
    answer: bytes, name: str, code: str, status: int, is_retryable: bool
) -> None:
    said, hub = await asked(HEALTH_OF, answer)
    assert said["shown"][:4] == [name, code, status, is_retryable]
    assert len(hub.heads) == 1
    assert said["took"] < 5000


async def test_an_error_has_what_the_hub_said() -> None:
    said, _ = await asked(HEALTH_OF, refusal(429, "rate_limited", Retry_After="77", X_Correlation_ID="trace-7"))
    assert said["shown"] == ["RateLimited", "rate_limited", 429, True, 77, "trace-7"]
    assert said["message"] == "no: rate_limited"


@pytest.mark.parametrize("retries", [0, 2])
async def test_as_often_as_was_asked_for_and_no_more(retries: int) -> None:
    said, hub = await asked(HEALTH_OF, BROKEN, retries=retries)
    assert said["shown"][0] == "ConnectionFailed"
    assert len(hub.heads) == retries + 1


@pytest.mark.parametrize("answer", [BROKEN, BAD_GATEWAY, FROM_A_PROXY, HANG_UP])
async def test_what_may_have_happened_is_not_done_twice(answer: Answer) -> None:
    said, hub = await asked("(client) => client.admin.addCluster('fresh')", answer)
    assert said["shown"][0] in ("ConnectionFailed", "HubError")
    assert len(hub.heads) == 1
    _, hub = await asked(HEALTH_OF, answer, retries=2)
    assert len(hub.heads) == 3


async def test_a_command_is_repeated_under_one_key() -> None:
    session = {"session_id": "sess_1", "cluster_id": "a", "status": "active"}
    result = {"result_id": "res_1", "status": "completed", "output": "x\n"}
    call = """async (client) => {
      const { sessionId } = await client.createDebugSession("a");
      return (await client.execute(sessionId, "get", ["pods"])).output;
    }"""
    output, hub = await asked(call, response(201, session), HANG_UP, BAD_GATEWAY, response(200, result))
    assert output == "x\n"
    keys = hub.header("Idempotency-Key")
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert len(set(hub.bodies[1:])) == 1
    assert json.loads(hub.bodies[1]) == {
        "cluster_id": "a",
        "session_id": "sess_1",
        "command_type": "get",
        "args": ["pods"],
    }


async def test_a_hub_that_says_nothing_is_not_waited_for_for_ever() -> None:
    said, hub = await asked(HEALTH_OF, SILENCE, timeoutSeconds=0.2)
    assert said["shown"][:4] == ["TimedOut", "timed_out", None, True]
    assert 150 < said["took"] < 5000
    assert len(hub.heads) == 1
    said, _ = await asked("(client) => client.health({ timeoutSeconds: 0.1 })", SILENCE)
    assert said["shown"][0] == "TimedOut"


async def test_all_tries_together_take_no_longer_than_the_time_there_is() -> None:
    said, hub = await asked(HEALTH_OF, HANG_UP, timeoutSeconds=0.6, retries=1000)
    assert said["shown"][0] in ("ConnectionFailed", "TimedOut")
    assert said["took"] < 5000
    assert 2 <= len(hub.heads) <= 5


async def test_an_abort_ends_a_wait_between_tries() -> None:
    said, hub = await asked(
        "(client) => client.health({ signal: AbortSignal.timeout(100) })",
        refusal(429, "rate_limited", Retry_After="20"),
    )
    assert said["shown"][0] == "TimeoutError"
    assert said["took"] < 5000
    assert len(hub.heads) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (response(302, b"", Location="https://elsewhere.example.com/"), "sends on to https://elsewhere.example.com/"),
        (response(200, b"<html>hello", content_type="text/html"), "no JSON object"),
        (response(200, b"[1]"), "no JSON object"),
        (response(200, b"{", content_type="application/json"), "no JSON object"),
        (response(200, b""), "no JSON object"),
        (response(404, b"<html>", content_type="text/html"), "not from a Kubently hub"),
        (response(403, b"x" * 100_000, content_type="text/html"), "not from a Kubently hub"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nshort", "broke off"),
        (b"SSH-2.0-OpenSSH_9.2\r\nConnection: close\r\n\r\n", "broke off"),
    ],
)
async def test_what_is_no_hub_is_said_to_be_none(answer: bytes, words: str) -> None:
    said, _ = await asked(HEALTH_OF, answer, retries=0, apiKey="kubently_key_of_the_tests")
    assert words in said["message"]
    assert "kubently_key_of_the_tests" not in json.dumps(said)


@pytest.mark.parametrize(
    "line", [b"no json\n", b"[]\n", b'"' + b"x" * 9_000_000, b'{"type": "output"}\n', b'{"type": "completed"}\n']
)
async def test_lines_that_are_none_end_a_stream(line: bytes) -> None:
    said, _ = await asked("(client) => whole(client.follow('res_1'))", LINES + line, HANG_UP, awaySeconds=0.2)
    assert said["shown"][0] == "ConnectionFailed"


async def test_lines_in_pieces_and_parts_of_characters_are_put_together() -> None:
    """Every byte comes on its own connection's end: what was not a whole line is asked for again."""
    first = '{"type":"output","result_id":"res_1","seq":1,"stream":"stdout","data":"zürich\\n"}\n'.encode()
    second = '{"type":"output","result_id":"res_1","seq":2,"stream":"stderr","data":"東京 😀\\n"}\n'.encode()
    end = b'{"type":"completed","result":{"result_id":"res_1","status":"completed","exit_code":0}}\n'
    call = """async (client) => {
      const stream = client.follow("res_1");
      return [await whole(stream), stream.lastSeq, stream.result.ok, stream.result.output, stream.result.exitCode];
    }"""
    said, hub = await asked(
        call,
        LINES + first[:72],  # in the middle of a character
        LINES + first + b'{"type":"heartbeat"}\n' + second[:-1],
        LINES + first + second,  # a hub that says one again
        LINES + end,
    )
    assert said == ["zürich\n東京 😀\n", 2, True, "", 0]
    assert [head.split()[1].rpartition("=")[2] for head in hub.heads] == ["0", "0", "1", "2"]


async def test_a_stream_that_is_silent_is_connected_anew() -> None:
    end = b'{"type":"completed","result":{"result_id":"res_1","status":"completed","exit_code":0}}\n'
    said, hub = await asked(
        "(client) => whole(client.follow('res_1'))", SILENCE, LINES + end, stallSeconds=0.2, awaySeconds=20
    )
    assert said == ""
    assert len(hub.heads) == 2


@pytest.mark.parametrize(
    ("message", "name", "connections"),
    [
        ({"error": "draining", "message": "going"}, "", 2),
        ({"error": "subscriber_lagging", "message": "slow", "details": {"last_seq": 0}}, "", 2),
        ({"error": "output_expired", "message": "gone", "details": {"first_seq": 9}}, "OutputExpired", 1),
        ({"error": "unauthorized", "message": "no more"}, "Unauthorized", 1),
    ],
)
async def test_an_error_in_the_middle_of_a_stream(message: dict[str, Any], name: str, connections: int) -> None:
    line = json.dumps({"type": "error"} | message).encode() + b"\n"
    end = b'{"type":"completed","result":{"result_id":"res_1","status":"completed","exit_code":0}}\n'
    said, hub = await asked("(client) => whole(client.follow('res_1'))", LINES + line, LINES + end)
    assert (said["shown"][0] if name else said) == name
    assert len(hub.heads) == connections


async def test_newer_hubs_and_older_ones() -> None:
    newer = HEALTH | {"brand_new": {"as_it": 1}}
    said, _ = await asked("(client) => client.health()", response(200, newer))
    assert said["brandNew"] == {"as_it": 1}
    said, _ = await asked("(client) => client.health()", response(200, {"status": "healthy"}))
    assert said == {"status": "healthy"}


async def test_nobody_there() -> None:
    async def closed(*_: object) -> None:
        return

    async with raw_server(closed) as port:
        pass
    source = """
    for (const endpoint of [process.env.KUBENTLY_ENDPOINT, "http://no-such-host.invalid"]) {
      try {
        await new kubently.Client({ endpoint, retries: 1 }).health();
      } catch (error) {
        print([error.name, error.isSent, error.message.includes("cannot be reached")]);
      }
    }
    """
    said = await script(source, f"http://127.0.0.1:{port}")
    assert said == [["ConnectionFailed", False, True]] * 2


async def test_what_cannot_work_is_said_when_the_client_is_made() -> None:
    source = """
    delete process.env.KUBENTLY_ENDPOINT;
    delete process.env.KUBENTLY_API_KEY;
    const apiKey = "kubently_key_of_the_tests", endpoint = "http://hub";
    for (const [options, words] of [
      [{ apiKey }, "KUBENTLY_ENDPOINT"],
      [{ endpoint }, "KUBENTLY_API_KEY"],
      [undefined, "KUBENTLY_"],
      [{ apiKey, endpoint: "hub:8080" }, "no address of a hub"],
      [{ apiKey, endpoint: "ftp://hub" }, "no address of a hub"],
      [{ apiKey, endpoint: "http://" }, "no address of a hub"],
      [{ apiKey, endpoint: "http:hub" }, "no address of a hub"],
      [{ apiKey, endpoint: "http://hub:port" }, "no address of a hub"],
      [{ apiKey, endpoint: "http://hub:99999" }, "no address of a hub"],
      [{ apiKey, endpoint: "http://me:secret@hub" }, "no address of a hub"],
      [{ apiKey, endpoint: "http://hub?x=1" }, "no address of a hub"],
      [{ apiKey, endpoint: "http://hub\\n" }, "no address of a hub"],
      [{ endpoint, apiKey: apiKey + "\\n" }, "apiKey"],
      [{ endpoint, apiKey: "schlüssel" }, "apiKey"],
      [{ endpoint, apiKey, timeoutSeconds: 0 }, "timeoutSeconds"],
      [{ endpoint, apiKey, timeoutSeconds: "5" }, "timeoutSeconds"],
      [{ endpoint, apiKey, retries: -1 }, "retries"],
      [{ endpoint, apiKey, serviceIdentity: "a\\r\\nb: c" }, "serviceIdentity"],
      [{ endpoint, apikey: apiKey }, "apikey"],
    ]) {
      let error = null;
      try {
        new kubently.Client(options);
      } catch (thrown) {
        error = thrown;
      }
      const isRight = error instanceof kubently.ConfigurationError && error.message.includes(words);
      if (!isRight || /of_the_tests|secret/.test(error.message)) print([options, String(error)]);
    }
    """
    assert await script(source, "") == []


async def test_arguments_that_can_be_none_are_mistakes() -> None:
    source = """
    const client = new kubently.Client();
    const tried = async (call) => {
      try {
        await call();
        print("nothing was thrown");
      } catch (error) {
        print([error.name, error.message]);
      }
    };
    await tried(() => client.execute("sess_1", "get", "pods -A"));
    await tried(() => client.stream("sess_1", "get", "pods -A"));
    await tried(() => client.execute("sess_1", "get", [], { tail_lines: 1 }));
    await tried(() => client.stream("sess_1", "get", [], { keepFullOutput: true }));
    await tried(() => client.createDebugSession("a", { ttl: 60 }));
    await tried(() => client.execute(undefined, "get", []));
    await tried(() => client.follow("res_1", { afterSeq: -1 }));
    await tried(() => client.debugSession("a"));
    for (const id of ["", ".", ".."]) await tried(() => client.result(id));
    """
    async with scripted(refusal(404, "not_found")) as hub:
        said = await script(source, hub.url)
        assert hub.heads == []
    assert [name for name, _ in said] == ["TypeError"] * 11
    assert "list of words" in said[0][1]
    assert "tailLines" in said[2][1]


async def test_ids_stay_one_part_of_the_path() -> None:
    source = """
    const client = new kubently.Client();
    for (const id of ["../../admin/keys", "a/b?c=d", "%2e%2e", "a#b"]) print(await client.result(id).catch(nameOf));
    """
    async with scripted(refusal(404, "not_found")) as hub:
        assert await script(source, hub.url) == ["NotFound"] * 4
        assert all(head.startswith("GET /debug/result/") for head in hub.heads)
        assert not any("/admin" in head.splitlines()[0] or "?" in head.splitlines()[0] for head in hub.heads)


async def test_what_is_sent_says_who_calls() -> None:
    source = """
    const client = new kubently.Client({ serviceIdentity: "triage", correlationId: "trace-1" });
    await client.health();
    await client.health({ correlationId: "trace-2" });
    print(inspect(client, { depth: 9, showHidden: true }).includes(process.env.KUBENTLY_API_KEY));
    """
    source = 'import { inspect } from "node:util";' + source
    async with scripted(response(200, HEALTH)) as hub:
        assert await script(source, hub.url) == [False]
        assert hub.header("X-Service-Identity") == ["triage", "triage"]
        assert hub.header("X-Correlation-ID") == ["trace-1", "trace-2"]
        assert hub.header("User-Agent") == ["kubently-js/0.1.0"] * 2


async def test_an_answer_that_node_does_not_wait_for_is_asked_for_again() -> None:
    """Node gives up after 300 s, which a command may take: it says so, and the same key gets the same command."""
    source = """
    const keys = [];
    const client = new kubently.Client({
      retries: 0,
      fetch: async (url, { method, headers }) => {
        if (method === "GET") return Response.json({ session_id: "s", cluster_id: "a" });
        keys.push(headers["Idempotency-Key"]);
        if (keys.length > 2) return Response.json({ result_id: "res_1", status: "completed", output: "x" });
        throw new TypeError("fetch failed", { cause: { code: "UND_ERR_HEADERS_TIMEOUT", message: "Headers Timeout" } });
      },
    });
    const result = await client.execute("s", "get", ["pods"], { timeout: 300 });
    print([result.output, keys.length, new Set(keys).size]);
    """
    assert await script(source, "http://hub") == [["x", 3, 1]]


async def test_who_waits_for_an_agent_waits_in_every_call() -> None:
    """`start` and `stream` look themselves: with a `wait` the hub would hold back what runs already."""
    source = """
    const sent = [];
    const offline = { error: "service_unavailable", message: "away", details: { cluster_id: "a", last_seen: null } };
    let looked = 0;
    const client = new kubently.Client({
      fetch: async (url, { method, headers }) => {
        const { pathname } = new URL(url);
        if (pathname === "/debug/session/s") return Response.json({ session_id: "s", cluster_id: "a" });
        if (pathname === "/clusters/a/status") {
          looked += 1;
          return Response.json({ status: "connected" });
        }
        sent.push([headers["Idempotency-Key"], headers.Prefer]);
        if (looked === 0) return Response.json(offline, { status: 503, headers: { "Retry-After": "5" } });
        return Response.json({ result_id: "res_1", status: "running" }, { status: 202 });
      },
    });
    print((await client.start("s", "get", [], { wait: 20 })).resultId);
    print([sent[0][0] === sent[1][0], sent.length, looked, sent.map(([, prefer]) => prefer)]);
    await client.execute("s", "get", [], { wait: 20 });
    print(sent.at(-1)[1]);
    looked = 0;
    print(await client.start("s", "get").catch(nameOf));
    """
    assert await script(source, "http://hub") == [
        "res_1",
        [True, 2, 1, ["respond-async", "respond-async"]],
        "wait=20",
        "ClusterOffline",
    ]


async def test_a_client_waits_for_an_agent_that_is_on_its_way(tmp_path: Path) -> None:
    source = """
    const client = new kubently.Client();
    for (const wait of [undefined, 1.5]) {
      const begun = performance.now();
      const error = await client.createDebugSession("dark", { wait }).catch((thrown) => thrown);
      print([error.name, error.clusterId, error.lastSeen, performance.now() - begun >= 1400]);
    }
    print(await client.createDebugSession("nowhere", { wait: 20 }).catch(nameOf));
    const waiting = client.createDebugSession("dark", { wait: 20, signal: AbortSignal.timeout(300) });
    print(await waiting.catch(nameOf));
    """
    async with sdk_world(tmp_path) as world:
        assert await script(source, world.url) == [
            ["ClusterOffline", "dark", None, False],
            ["ClusterOffline", "dark", None, True],
            "NotFound",
            "TimeoutError",
        ]


async def test_a_fleet_that_was_not_begun_is_asked_again_and_one_that_broke_off_is_not() -> None:
    call = """async (client) => {
      const answers = [];
      for await (const { clusterId, result } of client.fleet("get", ["pods"], { clusters: ["*"] })) {
        answers.push([clusterId, result.output]);
      }
      return answers;
    }"""
    started = b'{"type":"started","clusters":["a","b"],"total":2}\n'
    one = b'{"type":"result","cluster_id":"a","result":{"result_id":"res_1","status":"completed","output":"x"}}\n'
    end = b'{"type":"completed","total":2,"succeeded":1,"failed":1}\n'
    limited = refusal(429, "rate_limited", Retry_After="0")
    answers, hub = await asked(call, limited, LINES + started + b'{"type":"heartbeat"}\n' + one + end)
    assert answers == [["a", "x"]]
    assert [json.loads(body) for body in hub.bodies] == [
        {"command_type": "get", "args": ["pods"], "clusters": ["*"]}
    ] * 2
    for broken in (LINES + started + one, LINES, HANG_UP, LINES + started + b'{"type":"error","error":"draining"}\n'):
        said, hub = await asked(call, broken, LINES + started + one + end)
        assert said["shown"][0] in ("ConnectionFailed", "Draining"), broken
        assert len(hub.heads) == 1, broken


async def test_a_certificate_that_is_not_trusted_is_told_at_once(tmp_path: Path) -> None:
    source = """
    try {
      print((await new kubently.Client({ retries: 5 }).health()).status);
    } catch (error) {
      print([error.name, error.isSent, error.retryable, error.message.includes("NODE_EXTRA_CA_CERTS")]);
    }
    """
    made = make_certificate(tmp_path / "tls")
    script_of_hub = Script(response(200, HEALTH))
    server = await asyncio.start_server(script_of_hub.serve, "127.0.0.1", 0, ssl=made.server())
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await script(source, url) == [["NotTrusted", False, False, True]]
        assert await script(source, url, NODE_EXTRA_CA_CERTS=str(made.cert)) == ["healthy"]
        assert len(script_of_hub.heads) == 1


async def test_a_hub_may_be_below_a_path() -> None:
    source = """
    const client = new kubently.Client({ endpoint: `${process.env.KUBENTLY_ENDPOINT}/hub/` });
    await client.health();
    print([client.endpoint.endsWith("/hub"), new URL(client.streamSocket("sess_1").url).pathname]);
    """
    async with scripted(response(200, HEALTH)) as hub:
        assert await script(source, hub.url) == [[True, "/hub/debug/session/sess_1/stream"]]
        assert hub.heads[0].startswith("GET /hub/health ")


async def test_a_signal_of_many_calls_keeps_nothing_of_them() -> None:
    source = """
    import { getEventListeners } from "node:events";
    const { signal } = new AbortController();
    const client = new kubently.Client();
    for (let number = 0; number < 20; number += 1) await client.health({ signal });
    await whole(client.follow("res_1", { signal }));
    print(getEventListeners(signal, "abort").length);
    print(process.getActiveResourcesInfo().filter((each) => each === "Timeout").length);
    """
    end = b'{"type":"completed","result":{"result_id":"res_1","status":"completed","exit_code":0}}\n'
    answers = [response(200, HEALTH)] * 20
    async with scripted(*answers, LINES + end) as hub:
        listeners, timers = await script(source, hub.url)
    assert listeners == 0
    assert timers <= 2  # those of the platform's own connections
