"""Commands and results over REST."""

from typing import Any

from aiohttp import web

from hub import keys
from hub.api.documentation import endpoint
from hub.api.validation import Quick
from hub.records import OutputText, Result
from hub.responses import json_response
from hub.services.commands import Answer, Request
from schemas.api import commands as wire
from schemas.api.fields import rfc3339

_NOTHING = OutputText("", "")


@endpoint(
    "Run a command",
    wire.Result,
    tag="commands",
    body=wire.Execute,
    headers=wire.ExecuteHeaders,
    quick=Quick(wire.QuickExecute, wire.ExecuteHeaders),
    also={202: wire.Result},
    errors=(403, 404, 409, 503),
    links={"get_result": "result_id"},
)
async def execute(request: web.Request) -> web.Response:
    """Answers when the command ends, however it ends; with `Prefer: respond-async` once it is accepted."""
    body, headers = request[keys.BODY], request[keys.HEADERS]
    wanted = Request(
        cluster_id=body["cluster_id"],
        session_id=body["session_id"],
        command_type=body["command_type"],
        args=body["args"],
        timeout_seconds=body.get("timeout") or headers.get("timeout") or wire.DEFAULT_TIMEOUT_SECONDS,
        idempotency_key=headers.get("idempotency_key"),
    )
    service, caller = request.app[keys.COMMANDS], request[keys.CALLER]
    preferences = {part.strip().lower() for part in headers.get("prefer", "").split(",")}
    if "respond-async" in preferences:
        result = await service.start(caller, wanted)
        applied = {"Preference-Applied": "respond-async", "Location": f"/debug/result/{result.result_id}"}
        return _respond(request, Answer(result, _NOTHING), status=202, headers=applied)
    return _respond(request, await service.execute(caller, wanted))


@endpoint("Look at a result", wire.Result, tag="commands", query=wire.ResultQuery, errors=(404,))
async def get_result(request: web.Request) -> web.Response:
    """Of a command that runs or has ended; `wait` for its end, read a large output by `offset` and `limit`."""
    query = request[keys.QUERY]
    answer = await request.app[keys.COMMANDS].get(
        request[keys.CALLER],
        request.match_info["result_id"],
        wait_seconds=query["wait"],
        offset=query["offset"],
        limit=query.get("limit"),
    )
    return json_response(dump(answer))


def dump(answer: Answer) -> dict[str, Any]:
    """The JSON of a result, `schemas.api.commands.Result`; written out here because every command passes through."""
    result, output = answer.result, answer.output
    return {
        "result_id": result.result_id,
        "session_id": result.session_id,
        "cluster_id": result.cluster_id,
        "command_type": result.command_type,
        "args": result.args,
        "status": result.status,
        "output": output.stdout,
        "error": _error(result, output.stderr),
        "exit_code": result.exit_code,
        "truncated": result.omitted_bytes > 0,
        "output_bytes": result.output_bytes,
        "omitted_bytes": result.omitted_bytes,
        "executor": result.executor,
        "execution_time_ms": result.execution_time_ms,
        "executed_at": rfc3339(result.accepted_at),
        "completed_at": rfc3339(result.ended_at),
        "correlation_id": result.correlation_id,
        "service_identity": result.service_identity,
    }


def _error(result: Result, stderr: str) -> str | None:
    if result.reason is None:
        return stderr or None
    separator = "" if not stderr or stderr.endswith("\n") else "\n"
    return f"{stderr}{separator}{result.reason}"


def _respond(
    request: web.Request, answer: Answer, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    if answer.result.correlation_id is not None:  # the session's, when the request had none
        request[keys.CORRELATION_ID] = answer.result.correlation_id
    return json_response(dump(answer), status=status, headers=headers)
