"""Streams of the JavaScript library: nothing is lost or doubled, whatever breaks; leaving ends what runs."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.chaos_proxy import Cut, chaos_proxy
from tests.support.fake_api_server import fake_api_server
from tests.support.javascript import ended, running, script
from tests.support.program import agent_program, hub_program
from tests.support.sdk_world import CLUSTER_ID, LOG, SdkWorld, fill, sdk_world

WHOLE = "".join(f"{line}\n" for line in LOG)

READ_ALL = """
const client = new kubently.Client();
const session = await client.createDebugSession("alpha");
const stream = session.stream("logs", ["-f", "web-0"]);
let text = "", seqs = [];
for await (const piece of stream) {
  if (text === "") print("begun");
  text += piece.data;
  seqs.push(piece.seq);
}
print({ text, seqs, ok: stream.result.ok, lastSeq: stream.lastSeq });
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SdkWorld]:
    async with sdk_world(tmp_path) as made:
        yield made


@pytest.mark.parametrize("how", ["rst", "fin"])
async def test_a_stream_through_a_proxy_that_cuts_it_is_whole(world: SdkWorld, how: Cut) -> None:
    port = int(world.url.rsplit(":", 1)[1])
    async with chaos_proxy(port) as proxy:
        proxy.down.bytes_per_second = 300_000

        async def cut() -> None:
            # In the middle of whatever passes: 97 bytes into the next ones, again and again.
            while True:
                proxy.cut_after(97 + 61 * proxy.cuts, "down", how)
                await asyncio.sleep(0.4)

        async with running(READ_ALL, f"http://127.0.0.1:{proxy.port}") as program:
            assert program.stdout is not None
            assert json.loads(await program.stdout.readline()) == "begun"
            cutting = asyncio.create_task(cut())
            (line,) = (await ended(program)).splitlines()
            cutting.cancel()
        cuts = proxy.cuts
    read = json.loads(line)
    assert cuts >= 3
    assert read["text"] == WHOLE
    assert read["seqs"] == sorted(set(read["seqs"]))
    assert read["ok"] is True
    assert read["lastSeq"] == read["seqs"][-1]


async def test_commands_through_a_proxy_that_cuts_run_once(world: SdkWorld) -> None:
    source = """
    const session = await new kubently.Client({ retries: 20 }).createDebugSession("alpha");
    print(session.sessionId);
    for (let number = 0; number < 12; number += 1) {
      const result = await session.execute("get", ["pods", "-o", "name"]);
      print(result.output);
      await sleep(20);
    }
    """
    port = int(world.url.rsplit(":", 1)[1])
    async with chaos_proxy(port) as proxy, running(source, f"http://127.0.0.1:{proxy.port}") as program:
        assert program.stdout is not None
        session_id = json.loads(await program.stdout.readline())
        for number in range(12):
            proxy.cut_after(20 + 50 * number, "down", "rst")
            assert json.loads(await program.stdout.readline()) == "pod/quiet\npod/talker\npod/web-0\n"
        await ended(program)
        assert proxy.cuts >= 4
    session = await world.hub.call("GET", f"/debug/session/{session_id}")
    assert session.body["commands_executed"] == 12


@pytest.mark.timeout(120)
@pytest.mark.parametrize("is_killed", [True, False])
async def test_a_stream_goes_on_with_the_next_hub(tmp_path: Path, *, is_killed: bool) -> None:
    async with fake_api_server() as server, contextlib.AsyncExitStack() as stack:
        fill(server)
        env = {"KUBECONFIG": str(server.kubeconfig(tmp_path)), "KUBENTLY_AGENT_EXECUTORS": "native"}
        hub, rest = await stack.enter_async_context(hub_program(tmp_path))
        port = int(rest.url.rsplit(":", 1)[1])
        token = (await rest.call("POST", "/admin/clusters", {"cluster_id": CLUSTER_ID})).body["agent_token"]
        await stack.enter_async_context(agent_program(rest.url, token, cluster_id=CLUSTER_ID, env=env))
        source = READ_ALL.replace('"alpha"', '"alpha", { wait: 20 }')
        program = await stack.enter_async_context(running(source, rest.url))
        assert program.stdout is not None
        assert json.loads(await program.stdout.readline()) == "begun"
        (hub.kill if is_killed else hub.terminate)()
        await hub.ended()
        await stack.enter_async_context(hub_program(tmp_path, port=port))
        (line,) = (await ended(program)).splitlines()
    read = json.loads(line)
    assert read["text"] == WHOLE
    assert read["ok"] is True


async def test_leaving_a_stream_cancels_it_in_the_cluster(world: SdkWorld) -> None:
    source = """
    const client = new kubently.Client();
    const session = await client.createDebugSession("alpha");
    const ended = async ({ resultId }) => (await client.result(resultId)).status;
    const talker = (options) => session.stream("logs", ["-f", "talker"], options);

    const broken = talker();
    for await (const _ of broken) break;
    print(await ended(broken)); // already

    const thrown = talker();
    try {
      for await (const _ of thrown) throw new RangeError();
    } catch {}
    print(await ended(thrown));

    const returned = talker();
    const first = async () => {
      for await (const piece of returned) return piece.seq;
    };
    print([await first(), await ended(returned)]);

    const closed = talker();
    const iterator = closed[Symbol.asyncIterator]();
    await iterator.next();
    const hanging = (async () => { while (!(await iterator.next()).done); return "done"; })();
    await closed.close();
    print([await hanging, await ended(closed)]);

    const disposed = talker();
    for await (const _ of disposed) await disposed[Symbol.asyncDispose]();
    print(await ended(disposed));

    // An abort cancels though the reader is busy with a piece, and comes as the signal's reason.
    const aborting = new AbortController();
    const busy = talker({ signal: aborting.signal });
    try {
      for await (const _ of busy) {
        aborting.abort(new RangeError("enough"));
        await sleep(1000);
        print(await ended(busy));
      }
    } catch (error) {
      print(error.message);
    }

    // Before the hub has said which result it is: that is asked for, and cancelled.
    const early = talker();
    const starting = early[Symbol.asyncIterator]().next();
    await sleep(1);
    await early.close();
    print((await starting).done);
    await client.close();
    const last = (await client.audit({ kind: "accepted", limit: 1 }))[0].resultId;
    print((await client.result(last, { wait: 10 })).status);

    const unread = talker();
    await unread.close();
    print(await whole(unread).catch(nameOf));
    print(await whole(broken).catch(nameOf));
    await session.close();
    """
    assert await script(source, world.url) == [
        *("cancelled", "cancelled", [1, "cancelled"], ["done", "cancelled"], "cancelled"),
        *("cancelled", "enough", True, "cancelled", "TypeError", "TypeError"),
    ]


async def test_an_abort_is_told_at_once_and_cancels_in_the_cluster(world: SdkWorld) -> None:
    source = """
    const client = new kubently.Client();
    const session = await client.createDebugSession("alpha");
    for (const milliseconds of [0, 1, 3, 10, 100, 400]) {
      for (const way of ["execute", "start", "stream"]) {
        const signal = AbortSignal.timeout(milliseconds);
        const begun = performance.now();
        const answer = session[way]("logs", ["-f", "quiet"], { timeout: 60, signal });
        try {
          const result = await (way === "stream" ? whole(answer) : answer);
          if (way === "start") await client.cancel(result.resultId); // it was quicker
          else print([way, milliseconds]);
        } catch (error) {
          if (error.name !== "TimeoutError") throw error;
        }
        if (performance.now() - begun > milliseconds + 3000) print([way, "late", performance.now() - begun]);
      }
    }
    const before = AbortSignal.abort(new RangeError("before"));
    print(await session.execute("get", ["pods"], { signal: before }).catch(nameOf));
    await client.close();
    const left = await client.audit({ kind: "accepted", limit: null });
    const ended = await client.audit({ kind: "ended", limit: null });
    print([left.length === ended.length, [...new Set(ended.map((row) => row.status))]]);
    """
    assert await script(source, world.url) == ["RangeError", [True, ["cancelled"]]]


async def test_a_session_that_is_given_up_while_it_opens_is_closed(world: SdkWorld) -> None:
    source = """
    const client = new kubently.Client();
    for (let number = 0; number < 20; number += 1) {
      try {
        await client.debugSession("alpha", { signal: AbortSignal.timeout(4) }, () => sleep(5));
      } catch (error) {
        if (error.name !== "TimeoutError") throw error;
      }
    }
    await client.close();
    print(await client.sessions());
    """
    assert await script(source, world.url) == [[]]


async def test_following_leaves_the_command_alone(world: SdkWorld) -> None:
    source = """
    const client = new kubently.Client();
    const session = await client.createDebugSession("alpha");
    const begun = await session.start("logs", ["-f", "talker"]);
    const first = session.follow(begun.resultId);
    let text = "";
    for await (const piece of first) {
      text += piece;
      if (text.split("\\n").length > 4) break;
    }
    print((await client.result(begun.resultId)).status);
    for await (const piece of client.follow(begun.resultId, { afterSeq: first.lastSeq })) {
      text += piece;
      if (text.split("\\n").length > 7) break;
    }
    print(text.split("\\n").slice(0, 6));
    print((await client.cancel(begun.resultId)).status);
    """
    assert await script(source, world.url) == ["running", [f"tick {number}" for number in range(6)], "cancelled"]


async def test_a_reader_that_takes_its_time_gets_everything(world: SdkWorld) -> None:
    source = """
    const session = await new kubently.Client().createDebugSession("alpha");
    let text = "";
    for await (const piece of session.stream("logs", ["-f", "web-0"])) {
      await sleep(20);
      text += piece;
    }
    print(text);
    """
    assert await script(source, world.url) == [WHOLE]


async def test_a_hub_that_stays_away_is_an_error_that_says_where_to_go_on(world: SdkWorld) -> None:
    source = """
    const client = new kubently.Client({ awaySeconds: 0.6, timeoutSeconds: 2 });
    const session = await client.createDebugSession("alpha");
    const stream = session.stream("logs", ["-f", "talker"]);
    try {
      for await (const piece of stream) if (piece.seq === 1) print("begun");
    } catch (error) {
      print([error.name, error.retryable, error.resultId === stream.resultId, error.lastSeq === stream.lastSeq]);
      print(stream.resultId);
    }
    """
    port = int(world.url.rsplit(":", 1)[1])
    async with chaos_proxy(port) as proxy, running(source, f"http://127.0.0.1:{proxy.port}") as program:
        assert program.stdout is not None
        assert json.loads(await program.stdout.readline()) == "begun"
        proxy.refuse()
        proxy.cut("rst")
        said, result_id = (json.loads(line) for line in (await ended(program)).splitlines())
        assert said == ["ConnectionFailed", True, True, True]
        assert result_id.startswith("res_")
        await proxy.heal()


async def test_leaving_a_fleet_cancels_what_runs(world: SdkWorld) -> None:
    source = """
    const client = new kubently.Client();
    // The offline cluster answers at once, the other one takes its time.
    const slow = ["quiet", "-f"];
    const both = { clusters: ["*"], timeout: 60 };
    print(await whole(client.fleet("logs", slow, both)).catch(nameOf)); // has no end
    const ended = async (count) => {
      for (;;) {
        const rows = await client.audit({ kind: "ended" });
        if (rows.length >= count) return rows.map((row) => row.status);
        await sleep(20);
      }
    };
    const fleet = client.fleet("get", ["pods", "-n", "slow"], both);
    for await (const { clusterId, error, ok } of fleet) {
      print([clusterId, error.name, ok, fleet.clusters]);
      break;
    }
    print(await ended(1));
    const signal = AbortSignal.timeout(1000);
    const begun = performance.now();
    const answers = [];
    try {
      for await (const answer of client.fleet("get", ["pods", "-n", "slow"], { ...both, signal })) answers.push(answer);
    } catch (error) {
      print([error.name, answers.length, performance.now() - begun < 5000]);
    }
    print(await ended(2));
    print(await whole(fleet).catch(nameOf));
    """

    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    world.server.route("/api/v1/namespaces/slow/pods", never)
    assert await script(source, world.url) == [
        "InvalidRequest",
        ["dark", "ClusterOffline", False, ["alpha", "dark"]],
        ["cancelled"],
        ["TimeoutError", 1, True],
        ["cancelled", "cancelled"],
        "TypeError",
    ]
