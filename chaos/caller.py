"""One caller: command after command on one cluster, each asked for in one of the manners there are."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from random import Random
from typing import Any, Final

from chaos.follower import follow
from chaos.kinds import Mix
from chaos.ledger import Entry
from chaos.processes import ProcessFailed
from chaos.rest import Answer, Rest

# From sending a command until its caller gives up on it. What is not ended then is asked for once more at the end.
PATIENCE_SECONDS: Final = 150.0

_AGAIN_SECONDS: Final = (0.05, 0.4)
_MAX_RETRY_SECONDS: Final = 1.0
_TTL_SECONDS: Final = 86_400
# One in so many synchronous callers hangs up early and asks again with the same key.
_HANGS_UP: Final = 10


class Caller:
    """Callers share a `Rest`; everything a caller has asked goes into `entries`."""

    def __init__(self, rest: Rest, cluster_id: str, mix: Mix, random: Random, entries: list[Entry]) -> None:
        self._rest = rest
        self._cluster_id = cluster_id
        self._mix = mix
        self._random = random
        self._entries = entries
        self._sessions: dict[str, str] = {}
        self._keys = (f"{random.getrandbits(64):016x}-{number}" for number in itertools.count())

    async def run(self, tickets: Iterator[int]) -> None:
        """Run a command for each ticket; one that was turned away is followed by another.

        Raises ProcessFailed when nothing is accepted any more.
        """
        for _ in tickets:
            give_up_at = time.monotonic() + 2 * PATIENCE_SECONDS
            while not await self._run_one(give_up_at):
                await self._pause()
                if time.monotonic() > give_up_at:
                    raise ProcessFailed(f"{self._cluster_id}: nothing was accepted for {2 * PATIENCE_SECONDS:g} s")

    async def _run_one(self, give_up_at: float) -> bool:
        """Whether the command was accepted."""
        kind, manner = self._mix.draw(self._random)
        # What is asked without a key has a session of its own: how many commands that has is not for certain.
        session = "own" if manner == "closed" else "plain" if manner == "plain" else "keyed"
        session_id = self._sessions.get(session) or await self._open(session, give_up_at)
        if session_id is None:
            return False
        key = None if manner == "plain" else next(self._keys)
        entry = Entry(kind, manner, self._cluster_id, session_id, key, time.monotonic())
        self._entries.append(entry)
        give_up_at = min(give_up_at, entry.started_at + PATIENCE_SECONDS)
        if manner == "plain":
            await self._ask_once(entry)
        else:
            await self._ask(entry, give_up_at)
        if entry.result_id is not None and entry.first is None:
            await self._see_to_the_end(entry, give_up_at)
        if manner == "closed":
            del self._sessions[session]
        return entry.is_accepted

    async def _open(self, session: str, give_up_at: float) -> str | None:
        body = {"cluster_id": self._cluster_id, "ttl_seconds": _TTL_SECONDS}
        while time.monotonic() < give_up_at:
            answer = await self._rest.call("POST", "/debug/session", body)
            if answer is not None and answer.status == 201:
                self._sessions[session] = session_id = str(answer.body["session_id"])
                return session_id
            if answer is not None and answer.status != 503:
                raise ProcessFailed(f"no session could be opened: {answer}")
            await self._pause(answer)
        return None

    async def _ask_once(self, entry: Entry) -> None:
        answer = await self._execute(entry)
        if answer is None:
            entry.is_unanswered = True
        else:
            self._answered(entry, answer)

    async def _ask(self, entry: Entry, give_up_at: float) -> None:
        """Ask until the hub has named the result, or said what cannot be mended."""
        hangs_up = entry.manner == "sync" and self._random.randrange(_HANGS_UP) == 0
        timeout_seconds = self._random.uniform(0.01, 0.3) if hangs_up else PATIENCE_SECONDS
        while time.monotonic() < give_up_at and not entry.result_ids:
            answer = await self._execute(entry, timeout_seconds)
            timeout_seconds = PATIENCE_SECONDS
            if answer is not None and self._answered(entry, answer):
                return
            await self._pause(answer)

    async def _execute(self, entry: Entry, timeout_seconds: float = PATIENCE_SECONDS) -> Answer | None:
        entry.is_turned_away = False
        headers = {} if entry.key is None else {"Idempotency-Key": entry.key}
        if entry.manner not in ("sync", "plain"):
            headers["Prefer"] = "respond-async"
        return await self._rest.call("POST", "/debug/execute", _body(entry), headers, timeout_seconds=timeout_seconds)

    def _answered(self, entry: Entry, answer: Answer) -> bool:
        """Enter what the hub said; whether that is all it will say."""
        match answer:
            case Answer(200 | 202, result):
                entry.told(result, time.monotonic())
                return True
            case Answer(503, {"details": {"result_id": str(result_id)}}):
                entry.named(result_id)
                return True
            case Answer(429 | 503, _):
                entry.is_turned_away = True
                return False
            case _:
                entry.is_turned_away = True
                entry.faults.append(f"execute was answered with {answer.status}: {answer.body}")
                return True

    async def _see_to_the_end(self, entry: Entry, give_up_at: float) -> None:
        if entry.manner == "followed":
            await self._follow(entry, give_up_at)
        elif entry.manner in ("cancelled", "closed"):
            await asyncio.sleep(self._random.uniform(0, entry.kind.timeout_seconds))
            await self._end(entry, give_up_at)
        while entry.first is None and time.monotonic() < give_up_at:
            answer = await self._rest.call("GET", f"/debug/result/{entry.result_id}?wait={self._random.randint(1, 20)}")
            if answer is not None and answer.status == 200:
                entry.told(answer.body, time.monotonic())
                continue
            if answer is not None and answer.status < 500:
                entry.faults.append(f"an accepted result was answered with {answer.status}: {answer.body}")
                return
            await self._pause(answer)

    async def _follow(self, entry: Entry, give_up_at: float) -> None:
        assert entry.result_id is not None
        followed = await follow(self._rest, entry.result_id, self._random, give_up_at)
        entry.visits = followed.visits
        entry.faults += [f"followed: {fault}" for fault in followed.faults]
        if followed.completed is None:
            entry.faults.append(f"followed: no end after {followed.visits} visits, number {followed.last_seq}")
            return
        entry.followed = followed.output

    async def _end(self, entry: Entry, give_up_at: float) -> None:
        """Cancel the command, or close its session, until the hub has heard it."""
        what = f"result/{entry.result_id}" if entry.manner == "cancelled" else f"session/{entry.session_id}"
        while time.monotonic() < give_up_at:
            answer = await self._rest.call("DELETE", f"/debug/{what}")
            if answer is not None and answer.status < 500:
                if answer.status not in (200, 202):
                    entry.faults.append(f"ending it was answered with {answer.status}: {answer.body}")
                return
            await self._pause(answer)

    async def _pause(self, answer: Answer | None = None) -> None:
        wait = self._random.uniform(*_AGAIN_SECONDS)
        await asyncio.sleep(wait if answer is None else min(_MAX_RETRY_SECONDS, wait * 2))


def _body(entry: Entry) -> dict[str, Any]:
    return {
        "cluster_id": entry.cluster_id,
        "session_id": entry.session_id,
        "command_type": entry.kind.command_type,
        "args": list(entry.kind.args),
        "timeout": entry.kind.timeout_seconds,
    }
