"""The hub's side of the link under whatever may happen: agents that keep the protocol, and agents that do not.

One hub serves all examples of a test; each example has a cluster of its own, and beside it lives another cluster whose
agent is honest and must notice nothing.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web_protocol
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from hub import keys
from hub.bus.base import Ended
from hub.records import OutputChunk, Result
from hub.settings import Agents, Commands, Server
from schemas import codec
from schemas.frames import Chunk, Exit, Heartbeat, Held, Hello, Leaving, Output, Welcome
from tests.support.hub import TestHub, running_hub, settings
from tests.support.model_agent import ModelAgent
from tests.support.raw_agent import RawAgent, dialled
from tests.support.waiting import until

WAIT_SECONDS = 20.0
CUTS = ["close", "end", "reset", "amid"]
TEXT = st.text(st.sampled_from("aé\N{PILE OF POO}\n"), max_size=4)

Action = tuple[Any, ...]
NUMBER = st.integers(0, 7)
ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.tuples(st.just("start"), st.sampled_from(["plain", "keyed", "async", "stream"]), st.booleans()),
    st.tuples(st.just("start"), st.just("async"), st.booleans()),
    st.tuples(st.just("write"), NUMBER, st.sampled_from(["stdout", "stderr", "full"]), TEXT),
    st.tuples(st.just("write"), NUMBER, st.just("stdout"), TEXT),
    st.tuples(st.just("exit"), NUMBER, st.lists(TEXT, max_size=3)),
    st.tuples(st.just("repeat"), NUMBER),
    st.tuples(st.just("cut"), st.sampled_from(CUTS)),
    st.tuples(st.just("back")),
    st.tuples(st.just("back")),
    st.tuples(st.just("restart"), st.sampled_from(CUTS)),
    st.tuples(st.just("leave")),
    st.tuples(st.just("cancel"), NUMBER),
    st.tuples(st.just("caller leaves"), NUMBER),
    st.tuples(st.just("close session")),
    st.tuples(st.just("follow"), NUMBER),
    st.tuples(st.just("settle")),
)


class Stage:
    """A hub for many examples. `endings` counts what the bus told of each result."""

    def __init__(self, hub: TestHub) -> None:
        self.hub = hub
        self.app = hub.app
        self.endings: Counter[str] = Counter()
        self.dispatcher = hub.app[keys.DISPATCHER]
        self.commands = hub.app[keys.COMMANDS]
        self.registry = hub.app[keys.REGISTRY]
        self.store = hub.app[keys.STORE]
        self.subscribers = self.commands._subscribers
        self.bus = self.dispatcher._bus
        self.bus.on_ended(self._on_ended)
        self._clusters = 0

    def _on_ended(self, ended: Ended) -> None:
        self.endings[ended.result.result_id] += 1

    def new_cluster_id(self) -> str:
        self._clusters += 1
        return f"c{self._clusters}"

    async def results_of(self, cluster_id: str) -> list[Result]:
        ids = await self.store._read(  # type: ignore[attr-defined]
            lambda db: db.execute("SELECT result_id FROM results WHERE cluster_id = ?", (cluster_id,)).fetchall()
        )
        found = [await self.store.get_result(row[0]) for row in ids]
        return [result for result in found if result is not None]

    async def stored(self, result_id: str) -> list[OutputChunk]:
        chunks: list[OutputChunk] = []
        while True:
            after = chunks[-1].seq if chunks else 0
            more = (await self.store.read_chunks(result_id, after_seq=after, max_bytes=10**6)).chunks
            if not more:
                return chunks
            chunks += more

    def leftovers(self, cluster_id: str, result_ids: Sequence[str], before: set[asyncio.Task[Any]]) -> list[str]:
        """What the hub still has of a cluster whose agent is gone and whose commands have ended."""
        left = [f"lane {lane}" for lane in self.dispatcher._lanes if lane[0] == cluster_id]
        for name in ("_connections", "_retiring", "_parting"):
            left += [name for each in getattr(self.registry, name, {}) if each == cluster_id]
        left += [f"lock {each}" for each in self.registry._admissions if each == cluster_id]
        left += [f"feed {each}" for each in self.subscribers._feeds if each in result_ids]
        left += [f"watch {each}" for each in self.bus._watches if each in result_ids]  # type: ignore[attr-defined]
        for task in asyncio.all_tasks() - before:
            if not task.done() and task is not asyncio.current_task() and not _is_kept_alive(task):
                left.append(f"task {task.get_name()} {task.get_coro()}")
        return left


def _is_kept_alive(task: asyncio.Task[Any]) -> bool:
    """Whether it is aiohttp's task of an HTTP connection on which nothing is asked."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    owner = frame.f_locals.get("self") if frame is not None else None
    return isinstance(owner, web_protocol.RequestHandler) and owner._current_request is None


@contextlib.asynccontextmanager
async def a_stage(folder: Path) -> AsyncIterator[Stage]:
    chosen = settings(
        folder,
        server=Server(port=0, drain_seconds=0.1),
        agents=Agents(admissions_per_second=1_000_000, max_concurrent_commands=3, max_concurrent_per_key=3),
        commands=Commands(grace_seconds=30.0),
    )
    async with running_hub(chosen) as hub:
        yield Stage(hub)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[tuple[asyncio.Runner, Stage]]:
    """A loop, and on it a hub that is the same for all examples of a test."""
    with asyncio.Runner() as loop:
        context = a_stage(tmp_path)
        made = loop.run(context.__aenter__())
        yield loop, made
        loop.run(context.__aexit__(None, None, None))


class Following:
    """A follower and what it has read, with the result at its end."""

    def __init__(self, stage: Stage, result: Result) -> None:
        self.result_id = result.result_id
        self.chunks: list[OutputChunk] = []
        self.result: Result | None = None
        self._follower = stage.subscribers.follow(result, 0)
        self.task = asyncio.create_task(self._read(), name=f"follow {result.result_id}")

    async def _read(self) -> None:
        with self._follower:
            while True:
                more = await self._follower.next()
                if isinstance(more, Result):
                    self.result = more
                    return
                self.chunks += more


class Play:
    """One example with an honest agent."""

    def __init__(self, stage: Stage, agent: ModelAgent, session_id: str) -> None:
        self.stage = stage
        self.agent = agent
        self.session_id = session_id
        self.callers: list[asyncio.Task[Any]] = []
        self.followings: list[Following] = []

    async def do(self, action: Action) -> None:
        """One step; steps that cannot be taken now are passed over."""
        name, *rest = action
        await getattr(self, f"_do_{name.replace(' ', '_')}")(*rest)
        for _ in range(3):
            await asyncio.sleep(0)

    async def _do_start(self, kind: str, is_followed: bool) -> None:
        hub, cluster_id = self.stage.hub, self.agent.cluster_id
        headers = {
            "keyed": {"Idempotency-Key": f"{cluster_id}-{len(self.callers)}"},
            "plain": {},
        }.get(kind, {"Prefer": "respond-async"})
        args = ("web", "-f") if kind == "stream" else ("web",)
        calling = asyncio.create_task(
            hub.execute(self.session_id, "logs", args, cluster_id=cluster_id, headers=headers, timeout=100),
            name="caller",
        )
        self.callers.append(calling)
        if kind in ("async", "stream"):
            answered = await calling
            if answered.status == 202 and is_followed:
                await self._follow(answered.body["result_id"])

    async def _follow(self, result_id: str) -> None:
        result = await self.stage.store.get_result(result_id)
        assert result is not None
        self.followings.append(Following(self.stage, result))

    async def _do_follow(self, number: int) -> None:
        results = await self.stage.results_of(self.agent.cluster_id)
        if results:
            await self._follow(results[number % len(results)].result_id)

    async def _do_write(self, number: int, stream: Any, data: str) -> None:
        running = self.agent.running
        if running:
            await self.agent.write(running[number % len(running)], stream, data)

    async def _do_exit(self, number: int, texts: list[str]) -> None:
        running = self.agent.running
        if running:
            await self.agent.exit(running[number % len(running)], texts)

    async def _do_repeat(self, number: int) -> None:
        held = list(self.agent.commands.values())
        if held:
            await self.agent.repeat(held[number % len(held)])

    async def _do_cut(self, how: str) -> None:
        await self.agent.cut(how)

    async def _do_back(self) -> None:
        if not self.agent.is_connected:
            await self.agent.connect()

    async def _do_restart(self, how: str) -> None:
        await self.agent.restart(how)
        await self.agent.connect()

    async def _do_leave(self) -> None:
        await self.agent.leave()

    async def _do_cancel(self, number: int) -> None:
        results = [result for result in await self.stage.results_of(self.agent.cluster_id) if result.is_open]
        if results:
            result_id = results[number % len(results)].result_id
            await self.stage.dispatcher.cancel(self.agent.cluster_id, result_id, "the test said so")

    async def _do_caller_leaves(self, number: int) -> None:
        waiting = [calling for calling in self.callers if not calling.done()]
        if waiting:
            waiting[number % len(waiting)].cancel()

    async def _do_close_session(self) -> None:
        if not self.agent.is_connected or self.agent.is_leaving:
            return
        await self.stage.hub.call("DELETE", f"/debug/session/{self.session_id}")
        opened = await self.stage.hub.call("POST", "/debug/session", {"cluster_id": self.agent.cluster_id})
        if opened.status == 201:  # else its link has just broken
            self.session_id = opened.body["session_id"]

    async def _do_settle(self) -> None:
        await asyncio.sleep(0.005)  # not to wait for anything: this much may happen between two steps

    async def finish(self) -> None:
        """The agent ends what it has, and is there until the hub has no open command of its cluster."""
        quiet = 0
        async with asyncio.timeout(WAIT_SECONDS):
            while quiet < 2:
                # What callers sent before they left is read by the hub before this is.
                await self.stage.hub.call("GET", "/health")
                if not self.agent.is_connected:
                    await self.agent.connect()
                if self.agent.is_leaving:
                    await self.agent.cut("close")
                for command in self.agent.running:
                    await self.agent.exit(command, ["the end\n"])
                is_quiet = (
                    all(calling.done() for calling in self.callers)
                    and not self.stage.commands._detached._tasks
                    and not any(result.is_open for result in await self.stage.results_of(self.agent.cluster_id))
                )
                quiet = quiet + 1 if is_quiet else 0
                await asyncio.sleep(0.002)

    async def check(self) -> None:
        """What was written is what is stored is what was followed, and each command ended once."""
        for result in await self.stage.results_of(self.agent.cluster_id):
            result_id = result.result_id
            assert self.stage.endings[result_id] == 1, (result_id, result.status)
            stored = [(chunk.seq, chunk.stream) for chunk in await self.stage.stored(result_id)]
            whole = self.agent.written.get(result_id, [])
            assert stored == [(seq, stream) for seq, stream, _ in whole][: len(stored)], result_id
            output = await self.stage.store.read_output(result_id)
            said: dict[str, str] = {"stdout": "", "stderr": "", "full": ""}
            for _, stream, data in whole[: len(stored)]:
                said[stream] += data
            assert (output.stdout, output.stderr) == (said["stdout"], said["stderr"])
            exited = self.agent.exited.get(result_id)
            if exited is not None and result.status == "completed":
                assert len(stored) == len(whole)
            assert result.status in ("completed", "cancelled", "lost"), result
        for following in self.followings:
            async with asyncio.timeout(WAIT_SECONDS):
                await following.task
            stored_chunks = [each for each in await self.stage.stored(following.result_id) if each.stream != "full"]
            assert following.chunks == stored_chunks
            assert following.result == await self.stage.store.get_result(following.result_id)


@contextlib.asynccontextmanager
async def a_bystander(stage: Stage) -> AsyncIterator[None]:
    """Another cluster with a command that runs all the while, and gets to its end."""
    cluster_id = stage.new_cluster_id()
    token = await stage.hub.register(cluster_id)
    async with aiohttp.ClientSession() as http:
        agent = ModelAgent(http, stage.hub.url, token, cluster_id, version=2)
        await agent.connect()
        session_id = await stage.hub.open_session(cluster_id)
        calling = asyncio.create_task(stage.hub.execute(session_id, "get", ("pods",), cluster_id=cluster_id))
        await until(lambda: bool(agent.running))
        await agent.write(agent.running[0], "stdout", "before\n")
        yield
        await agent.exit(agent.running[0], ["after\n"])
        answered = await calling
        assert (answered.body["status"], answered.body["output"]) == ("completed", "before\nafter\n")
        await agent.cut("close")


def clean(
    stage: Stage, cluster_id: str, result_ids: Sequence[str], before: set[asyncio.Task[Any]]
) -> Callable[[], bool]:
    return lambda: not stage.leftovers(cluster_id, result_ids, before)


async def nothing_is_left(
    stage: Stage, cluster_id: str, result_ids: Sequence[str], before: set[asyncio.Task[Any]]
) -> None:
    try:
        await until(clean(stage, cluster_id, result_ids, before))
    except TimeoutError:
        raise AssertionError(stage.leftovers(cluster_id, result_ids, before)) from None


@given(version=st.sampled_from([2, 2, 2, 1]), actions=st.lists(ACTIONS, min_size=1, max_size=30))
@examples(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=80, deadline=None
)
def test_an_honest_agents_commands_end_once_with_all_they_wrote(
    stage: tuple[asyncio.Runner, Stage], version: int, actions: list[Action]
) -> None:
    loop, made = stage

    async def example() -> None:
        before = asyncio.all_tasks()
        cluster_id = made.new_cluster_id()
        token = await made.hub.register(cluster_id)
        async with a_bystander(made), aiohttp.ClientSession() as http:
            agent = ModelAgent(http, made.hub.url, token, cluster_id, version=version)
            await agent.connect()
            play = Play(made, agent, await made.hub.open_session(cluster_id))
            for action in actions:
                await play.do(action)
            await play.finish()
            await play.check()
            await agent.cut("close")
        result_ids = [result.result_id for result in await made.results_of(cluster_id)]
        await nothing_is_left(made, cluster_id, result_ids, before)

    loop.run(example())


SEQ = st.integers(1, 6) | st.sampled_from([2**31, 2**53])
DISHONEST: st.SearchStrategy[Action] = st.one_of(
    st.tuples(st.just("start"), st.sampled_from(["async", "stream"])),
    st.tuples(st.just("output"), NUMBER, SEQ),
    st.tuples(st.just("output"), NUMBER, SEQ),
    st.tuples(st.just("exit"), NUMBER, SEQ, st.integers(0, 3)),
    st.tuples(st.just("say"), st.sampled_from(["", "{", "[]", '{"type":"run"}', '{"type":"hello"}', "\x00"])),
    st.tuples(st.just("hello again")),
    st.tuples(st.just("leave")),
    st.tuples(st.just("binary")),
    st.tuples(st.just("away")),
    st.tuples(st.just("another"), st.integers(1, 2), st.lists(st.tuples(NUMBER, st.integers(0, 9)), max_size=3)),
    st.tuples(st.just("cancel"), NUMBER),
)


class Mischief:
    """One example with agents that lie: several links of a cluster at once, any frame at any time, about any result."""

    def __init__(self, stage: Stage, token: str, cluster_id: str, http: aiohttp.ClientSession) -> None:
        self.stage = stage
        self.token = token
        self.cluster_id = cluster_id
        self.links: list[RawAgent] = []
        self.result_ids: list[str] = []
        self.session_id = ""
        self.others: list[str] = []
        self._http = http
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Mischief":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _result_id(self, number: int) -> str:
        """One of its own, or another cluster's, or nobody's."""
        known = [*self.result_ids, *self.others, "res_nobody_knows"]
        return known[number % len(known)]

    async def do(self, action: Action) -> None:
        """One step; a link that is gone makes it none."""
        name, *rest = action
        with contextlib.suppress(ConnectionError, TypeError):
            await getattr(self, f"_do_{name.replace(' ', '_')}")(*rest)
        for _ in range(3):
            await asyncio.sleep(0)

    async def _say(self, text: str) -> None:
        if self.links:
            await self.links[-1].socket.send_str(text)

    async def _do_start(self, kind: str) -> None:
        answered = await self.stage.hub.execute(
            self.session_id,
            "logs",
            ("web", "-f") if kind == "stream" else ("web",),
            cluster_id=self.cluster_id,
            headers={"Prefer": "respond-async"},
        )
        if answered.status == 202:
            self.result_ids.append(answered.body["result_id"])

    async def _do_output(self, number: int, seq: int) -> None:
        await self._say(codec.encode(Output(self._result_id(number), seq, "stdout", f"{seq};")))

    async def _do_exit(self, number: int, seq: int, count: int) -> None:
        chunks = [Chunk("stdout", f"{seq + place};") for place in range(count)]
        await self._say(codec.encode(Exit(self._result_id(number), seq, "completed", exit_code=0, chunks=chunks)))

    async def _do_say(self, text: str) -> None:
        await self._say(text)

    async def _do_hello_again(self) -> None:
        await self._say(codec.encode(Hello(self.cluster_id, "1", "boot-1")))

    async def _do_leave(self) -> None:
        await self._say(codec.encode(Leaving("not really")))
        await self._say(codec.encode(Heartbeat()))

    async def _do_binary(self) -> None:
        if self.links:
            await self.links[-1].socket.send_bytes(b"\x00\x01")

    async def _do_away(self) -> None:
        if self.links:
            await self.links.pop().socket.close()

    async def _do_another(self, process: int, claims: list[tuple[int, int]]) -> None:
        held = [Held(self._result_id(number), seq, is_running=seq % 2 == 0) for number, seq in claims]
        link = await self._stack.enter_async_context(dialled(self.stage.hub.url, self.token))
        await link.send(Hello(self.cluster_id, "1", f"boot-{process}", held=held))
        await link.expect(Welcome)
        self.links.append(link)

    async def _do_cancel(self, number: int) -> None:
        if self.result_ids:
            result_id = self.result_ids[number % len(self.result_ids)]
            await self.stage.dispatcher.cancel(self.cluster_id, result_id, "the test said so")


@given(actions=st.lists(DISHONEST, min_size=1, max_size=30))
@examples(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60, deadline=None
)
def test_a_lying_agent_hurts_nobody_else(stage: tuple[asyncio.Runner, Stage], actions: list[Action]) -> None:
    loop, made = stage

    async def example() -> None:
        before = asyncio.all_tasks()
        cluster_id = made.new_cluster_id()
        token = await made.hub.register(cluster_id)
        async with a_bystander(made), aiohttp.ClientSession() as http, Mischief(made, token, cluster_id, http) as play:
            play.others = list(made.dispatcher._lanes[next(iter(made.dispatcher._lanes))].running)
            await play._do_another(1, [])
            play.session_id = await made.hub.open_session(cluster_id)
            for action in actions:
                await play.do(action)
            # Its cluster gets an honest agent: all that the liar had is lost, what waits gets its turn.
            await play._stack.aclose()
            agent = ModelAgent(http, made.hub.url, token, cluster_id, version=2)
            await agent.connect()
            async with asyncio.timeout(WAIT_SECONDS):
                while any(result.is_open for result in await made.results_of(cluster_id)):
                    for command in agent.running:
                        await agent.exit(command, [])
                    await asyncio.sleep(0.005)
            await agent.cut("close")
            for result in await made.results_of(cluster_id):
                assert made.endings[result.result_id] == 1
                numbers = [chunk.seq for chunk in await made.stored(result.result_id)]
                assert numbers == list(range(1, len(numbers) + 1))
        await nothing_is_left(made, cluster_id, play.result_ids, before)

    loop.run(example())
