"""The scenario, done with the Python library: one line of JSON for each step. README.md says which."""

import asyncio
import contextlib
import hashlib
import json
import re
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import kubently

_IDS = re.compile(r"\b(sess|res|key|tok)_[0-9a-f]{20,}")
_RESULT = (
    *("command_type", "args", "status", "ok", "output", "error", "reason", "exit_code", "truncated", "output_bytes"),
    *("omitted_bytes", "omitted_lines", "redactions", "content_trust", "executor", "correlation_id"),
)
_FIELDS: dict[type, tuple[str, ...]] = {
    kubently.Result: _RESULT,
    kubently.Health: ("status", "version"),
    kubently.Key: ("name", "role", "clusters", "denied_kinds", "namespaces", "max_output_bytes"),
    kubently.Cluster: ("cluster_id", "name", "status", "agent_version", "labels"),
    kubently.ClusterState: ("cluster_id", "status", "agent_version", "active_sessions", "queue_depth"),
    kubently.Verdict: ("allowed", "command", "is_stream", "by", "rule", "reason", "argument", "nearest"),
    kubently.Session: ("session_id", "cluster_id", "status", "commands_executed", "metadata", "service_identity"),
    kubently.Token: ("token_id",),
    kubently.AuditRow: ("kind", "decision", "action", "cluster_id", "argv", "role"),
}

Step = dict[str, Any]
Line = dict[str, Any]


class Scenario:
    """What the steps share."""

    def __init__(self) -> None:
        self.client = kubently.Client()
        self.session: kubently.DebugSession | None = None
        self.result_id = ""
        self.stdout = ""
        self.token_id = ""
        self.key: kubently.NewKey | None = None

    async def run(self, step: Step) -> Line:
        """Do one step; its line."""
        arguments = {name: value for name, value in step.items() if name != "op"}
        try:
            return {"op": step["op"], **await getattr(self, f"do_{step['op']}")(**arguments)}
        except kubently.HubError as error:
            return {
                "op": step["op"],
                "error": type(error).__name__,
                "code": error.code,
                "status": error.status,
                "message": error.message,
                "details": error.details,
                "retry_after": error.retry_after is not None,
            }

    async def do_health(self) -> Line:
        return shown(await self.client.health())

    async def do_ready(self) -> Line:
        return {"ready": await self.client.ready()}

    async def do_key(self) -> Line:
        return shown(await self.client.key())

    async def do_clusters(self, **query: Any) -> Line:
        return {"rows": [shown(row) for row in await self.client.clusters(**query)]}

    async def do_cluster(self, cluster_id: str) -> Line:
        return shown(await self.client.cluster(cluster_id))

    async def do_policy(self, cluster_id: str) -> Line:
        found = await self.client.policy(cluster_id)
        policy = found.policy
        return {"verbs": policy and policy.verbs, "max_seconds": policy and policy.limits.max_seconds}

    async def do_validate(self, **question: Any) -> Line:
        return shown(await self.client.validate(**question))

    async def do_open(self, cluster_id: str, **options: Any) -> Line:
        session = self.client.debug_session(cluster_id, **options)
        await session.open()
        self.session = session
        return {"cluster_id": session.info.cluster_id, "metadata": session.info.metadata}

    async def do_session(self) -> Line:
        return shown(await self.client.session(self.opened.session_id))

    async def do_sessions(self, **query: Any) -> Line:
        return {"rows": [shown(row) for row in await self.client.sessions(**query)]}

    @property
    def opened(self) -> kubently.DebugSession:
        assert self.session is not None
        return self.session

    async def do_execute(self, **command: Any) -> Line:
        result = await self.opened.execute(**command)
        self.result_id = result.result_id
        return shown(result)

    async def do_start(self, **command: Any) -> Line:
        result = await self.opened.start(**command)
        self.result_id = result.result_id
        return {"is_open": result.is_open}

    async def do_stream(self, **command: Any) -> Line:
        stream = self.opened.stream(**command)
        line = await whole(stream)
        self.result_id, self.stdout = stream.result_id or "", line["stdout"]
        return line

    async def do_follow(self, after_seq: int, result_id: str | None = None) -> Line:
        line = await whole(self.client.follow(result_id or self.result_id, after_seq))
        if after_seq:
            line["stdout"] = 0 < len(line["stdout"]) < len(self.stdout) and self.stdout.endswith(line["stdout"])
        return line

    async def do_leave(self, after_pieces: int, **command: Any) -> Line:
        stream = self.opened.stream(**command)
        async with stream:
            async for _ in stream:
                after_pieces -= 1
                if after_pieces == 0:
                    break
        result = await self.client.result(stream.result_id or "", wait=10)
        return {"status": result.status, "reason": result.reason}

    async def do_abort(self, **command: Any) -> Line:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await self.opened.execute(**command)
        (row,) = await self.client.audit(kind="ended", limit=1)
        return {"status": row.status}

    async def do_result(self, result_id: str | None = None, **part: Any) -> Line:
        return shown(await self.client.result(result_id or self.result_id, **part))

    async def do_cancel(self, result_id: str | None = None) -> Line:
        result = await self.client.cancel(result_id or self.result_id)
        return {"status": result.status, "reason": result.reason, "exit_code": result.exit_code}

    async def do_fleet(self, **command: Any) -> Line:
        answers = [answer async for answer in self.client.fleet(**command)]
        rows = [
            {
                "cluster_id": answer.cluster_id,
                "ok": answer.ok,
                "output": answer.result and answer.result.output,
                "error": answer.error and type(answer.error).__name__,
            }
            for answer in answers
        ]
        return {"rows": sorted(rows, key=lambda row: str(row["cluster_id"]))}

    async def do_close(self) -> Line:
        await self.opened.close()
        return {"closed": True}

    async def do_close_session(self, session_id: str) -> Line:
        await self.client.close_session(session_id)
        return {"closed": True}

    async def do_add_cluster(self, **fields: Any) -> Line:
        made = await self.client.admin.add_cluster(**fields)
        return shown(made) | {"token_id": made.token_id, "has_secret": made.agent_token.startswith("kubently_agent_")}

    async def do_change_cluster(self, cluster_id: str, **fields: Any) -> Line:
        return shown(await self.client.admin.change_cluster(cluster_id, **fields))

    async def do_admin_cluster(self, cluster_id: str) -> Line:
        found = await self.client.admin.cluster(cluster_id)
        return shown(found) | {"tokens": [shown(token) for token in found.tokens]}

    async def do_add_token(self, cluster_id: str, expires_at: str) -> Line:
        made = await self.client.admin.add_token(cluster_id, expires_at=datetime.fromisoformat(expires_at))
        self.token_id = made.token_id
        return {"cluster_id": made.cluster_id, "has_secret": made.agent_token.startswith("kubently_agent_")}

    async def do_remove_token(self, cluster_id: str, token_id: str | None = None) -> Line:
        await self.client.admin.remove_token(cluster_id, token_id or self.token_id)
        return {"removed": True}

    async def do_remove_cluster(self, cluster_id: str) -> Line:
        await self.client.admin.remove_cluster(cluster_id)
        return {"removed": True}

    async def do_add_key(self, **fields: Any) -> Line:
        self.key = await self.client.admin.add_key(**fields)
        rates = self.key.rate_limits
        return shown(self.key) | {"execute_per_minute": rates and rates.execute_per_minute}

    @property
    def made(self) -> kubently.NewKey:
        assert self.key is not None
        return self.key

    async def do_rotate_key(self, **fields: Any) -> Line:
        self.key = await self.client.admin.rotate_key(self.made.key_id, **fields)
        return shown(self.key)

    async def do_keys(self) -> Line:
        return {"rows": [shown(row) for row in await self.client.admin.keys()]}

    async def do_remove_key(self) -> Line:
        await self.client.admin.remove_key(self.made.key_id)
        return {"removed": True}

    async def do_with_key(self, then: Step) -> Line:
        other = Scenario()
        other.client = kubently.Client(api_key=self.made.api_key)
        return {"then": await other.run(then)}

    async def do_audit(self, **query: Any) -> Line:
        return {"rows": [shown(row) for row in await self.client.audit(**query)]}


def shown(value: Any) -> Line:
    """The fields of a value that every run has alike."""
    names = next(names for kind, names in _FIELDS.items() if isinstance(value, kind))
    return {name: getattr(value, name) for name in names}


def short(line: Line) -> Line:
    """Long texts as their size and hash."""
    return {
        name: digest(value) if isinstance(value, str) and len(value) > 1000 else value for name, value in line.items()
    }


def digest(text: str) -> Line:
    """Of the UTF-8."""
    content = text.encode()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


async def whole(stream: kubently.Stream) -> Line:
    """A stream, read to its end."""
    texts = {"stdout": "", "stderr": ""}
    seqs = []
    async for piece in stream:
        texts[piece.stream] += piece.data
        seqs.append(piece.seq)
    result = stream.result
    assert result is not None
    is_growing = seqs == sorted(set(seqs))
    ending = {"status": result.status, "exit_code": result.exit_code, "seqs": "growing" if is_growing else "odd"}
    return texts | ending


async def lines(steps: list[Step]) -> AsyncIterator[str]:
    """The lines of the steps."""
    scenario = Scenario()
    async with scenario.client:
        for step in steps:
            line = short(await scenario.run(step))
            text = json.dumps(line, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            yield _IDS.sub(r"<\1>", text)


async def main() -> None:
    """Print them."""
    steps = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    async for line in lines(steps):
        print(line, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
