"""Commands and results over REST."""

import time
from typing import Any, Final

import msgspec
from aiohttp import web

from hub import keys
from hub.api import preferences
from hub.api.documentation import endpoint
from hub.api.lasting import lasting
from hub.api.validation import Quick
from hub.errors import OutputExpired
from hub.records import OutputText, Result
from hub.responses import json_response
from hub.services.commands import Answer, Request
from schemas.api import commands as wire
from schemas.api.fields import rfc3339
from schemas.frames import Contract

# Why a command ended that a client cancelled.
CANCELLED: Final = "the client cancelled it"
_NOTHING: Final = OutputText("", "")


@endpoint(
    "Run a command",
    wire.Result,
    tag="commands",
    body=wire.Execute,
    headers=wire.ExecuteHeaders,
    quick=Quick(wire.QuickExecute, wire.ExecuteHeaders),
    also={202: wire.Result},
    errors=(403, 404, 409, 503),
    links=dict.fromkeys(("get_result", "cancel_result", "stream_result"), "result_id"),
)
async def execute(request: web.Request) -> web.Response:
    """Answers when the command ends, however it ends; with `Prefer: respond-async` once it is accepted. A caller that
    leaves cancels the command, unless it has an `Idempotency-Key`.
    """
    body, headers = request[keys.BODY], request[keys.HEADERS]
    wanted = preferences.read(request.headers.getall("Prefer")) if "prefer" in headers else preferences.NONE
    asked = Request(
        cluster_id=body["cluster_id"],
        session_id=body["session_id"],
        command_type=body["command_type"],
        args=body["args"],
        timeout_seconds=body.get("timeout") or headers.get("timeout"),
        idempotency_key=headers.get("idempotency_key"),
        max_output_bytes=body.get("max_output_bytes"),
        contract=contract(body.get("grep"), body.get("tail_lines"), body.get("max_lines")),
        keep_full_output=body.get("keep_full_output", False),
        wait_seconds=wanted.wait_seconds or 0,
        is_live=wanted.is_async,
    )
    service, caller = request.app[keys.COMMANDS], request[keys.CALLER]
    if not wanted.is_async:
        return _respond(request, await service.execute(caller, asked), headers=wanted.applied())
    give_up_at = time.monotonic() + asked.wait_seconds
    answer, status = Answer(await service.start(caller, asked), _NOTHING), 202
    if asked.wait_seconds:
        patience = max(0.0, give_up_at - time.monotonic())
        answer = await service.get(caller, answer.result.result_id, wait_seconds=patience, limit=_most_output(request))
        status = 202 if answer.result.is_open else 200
    applied = wanted.applied() | {"Location": f"/debug/result/{answer.result.result_id}"}
    return _respond(request, answer, status=status, headers=applied)


@endpoint("Ask whether a command may run", wire.Verdict, tag="commands", body=wire.Validate, errors=(403, 404))
async def validate(request: web.Request) -> web.Response:
    """By the grammar, the hub, the key and the cluster's policy, and by whose rule it may not; nothing runs."""
    body = request[keys.BODY]
    verdict = await request.app[keys.COMMANDS].validate(
        request[keys.CALLER], body["cluster_id"], body["command_type"], body["args"]
    )
    command, refusal = verdict.command, verdict.refusal
    content = {
        "allowed": command is not None,
        "command": None if command is None else command.argv(),
        "is_stream": command is not None and command.is_streaming,
        "by": None if refusal is None else refusal.by,
        "rule": None if refusal is None else refusal.rule,
        "reason": None if refusal is None else refusal.reason,
        "argument": None if refusal is None else refusal.argument,
        "nearest": verdict.nearest,
        "is_policy_known": verdict.is_policy_known,
    }
    return json_response(wire.Verdict().dump(content))


@endpoint(
    "Look at a result",
    wire.Result,
    tag="commands",
    query=wire.ResultQuery,
    errors=(404, 410),
)
async def get_result(request: web.Request) -> web.Response:
    """Of a command that runs or has ended; `wait` for its end, read a large output by `offset` and `limit`."""
    query = request[keys.QUERY]
    offset, is_full = query.get("offset"), query["full"]
    answer = await request.app[keys.COMMANDS].get(
        request[keys.CALLER],
        request.match_info["result_id"],
        wait_seconds=query["wait"],
        offset=offset or 0,
        limit=query.get("limit", _most_output(request)),
        is_full=is_full,
    )
    _note(request, answer.result)
    return json_response(dump(answer if is_full else _of_what_is_held(answer, offset)))


@endpoint(
    "Cancel a command",
    wire.Result,
    tag="commands",
    also={202: wire.Result},
    errors=(404, 503),
)
@lasting
async def cancel_result(request: web.Request) -> web.Response:
    """Answers when it has ended, with its output so far; one that had ended stays as it is. 202: it has not ended yet,
    but will.
    """
    service, caller, result_id = request.app[keys.COMMANDS], request[keys.CALLER], request.match_info["result_id"]
    await service.cancel(caller, result_id, CANCELLED)
    answer = await service.get(caller, result_id, limit=_most_output(request))
    return _respond(request, answer, status=202 if answer.result.is_open else 200)


def contract(grep: str | None, tail_lines: int | None, max_lines: int | None) -> Contract | None:
    """The rules a request has for its output; None: none."""
    if grep is None and tail_lines is None and max_lines is None:
        return None
    return Contract(grep=grep, tail_lines=tail_lines, max_lines=max_lines)


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
        "reason": result.reason,
        "exit_code": result.exit_code,
        "truncated": result.is_truncated,
        "output_bytes": result.output_bytes,
        "omitted_bytes": result.omitted_bytes,
        "omitted_lines": result.omitted_lines,
        "expired_bytes": result.expired_bytes,
        "redactions": {} if result.redactions is None else msgspec.json.decode(result.redactions),
        "content_trust": wire.CONTENT_TRUST,
        "executor": result.executor,
        "execution_time_ms": result.execution_time_ms,
        "executed_at": rfc3339(result.accepted_at),
        "completed_at": rfc3339(result.ended_at),
        "correlation_id": result.correlation_id,
        "service_identity": result.service_identity,
    }


def dump_ending(result: Result) -> dict[str, Any]:
    """The same without output, for those who have read it; `error` is the reason alone."""
    content = dump(Answer(result, _NOTHING))
    del content["output"]
    return content


def _error(result: Result, stderr: str) -> str | None:
    if result.reason is None:
        return stderr or None
    separator = "" if not stderr or stderr.endswith("\n") else "\n"
    return f"{stderr}{separator}{result.reason}"


def _of_what_is_held(answer: Answer, offset: int | None) -> Answer:
    """The answer with what has expired as of its output, which was read after the result. Raises OutputExpired."""
    result, start = answer.result, answer.output.start
    # A part begins with a whole character, up to three bytes behind what was asked for.
    expired_bytes = max(result.expired_bytes, start if start > (offset or 0) + 3 else 0)
    if offset is not None and offset < expired_bytes:
        message = f"The first {expired_bytes} bytes of this stream are no longer held; ask from details.first_offset on"
        raise OutputExpired(message, details={"result_id": result.result_id, "first_offset": expired_bytes})
    if expired_bytes == result.expired_bytes:
        return answer
    return Answer(msgspec.structs.replace(result, expired_bytes=expired_bytes), answer.output)


def _most_output(request: web.Request) -> int:
    """How much output an answer carries where nobody said how much: of a stream there may be a great deal."""
    return request.app[keys.SETTINGS].commands.max_output_bytes


def _note(request: web.Request, result: Result) -> None:
    """For the audit log: where a result is that the request knows by its id alone, or not at all."""
    request[keys.NOTED] |= {
        "cluster_id": result.cluster_id,
        "session_id": result.session_id,
        "result_id": result.result_id,
    }


def _respond(
    request: web.Request, answer: Answer, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    _note(request, answer.result)
    if answer.result.correlation_id is not None:  # the session's, when the request had none
        request[keys.CORRELATION_ID] = answer.result.correlation_id
    return json_response(dump(answer), status=status, headers=headers)
