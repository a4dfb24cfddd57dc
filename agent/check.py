"""`kubently-agent check`: what the agent's account may do in the cluster, beside what the policy promises.

It asks the API server with SelfSubjectAccessReviews, which any account may make and which change nothing. No hub is
needed, and no token.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from agent.errors import StartError
from agent.executors import kubeconfig
from agent.permissions import READS_SECRETS, TOO_MUCH, Need, Question, needs
from agent.policy import Policy
from agent.settings import Settings
from schemas.globs import is_glob
from schemas.kubectl.kinds import SECRETS, kind_of, may_be

# Beside those of agent/errors.py: 2 is a cluster that cannot be asked.
EXIT_MISSING: Final = 1
EXIT_TOO_MUCH: Final = 3

_AT_ONCE: Final = 8
_SECONDS: Final = 60.0  # for all questions together; a hundred take about one


class Finding(msgspec.Struct, frozen=True):
    """One line of the report. `state`: `ok`, `missing`, `absent` (missing, and nothing to miss), `too much`, `note`."""

    state: str
    subject: str
    text: str


async def run(settings: Settings, policy: Policy, *, as_json: bool, out: TextIO = sys.stdout) -> int:
    """Ask, print, and return the exit code. Raises StartError when there is no cluster that answers."""
    # Here, as in app.py: it brings aiohttp.
    from agent.executors.native.access import Access
    from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
    from agent.executors.native.transport import Transport

    access = Access(kubeconfig.resolve(os.environ, Path(settings.execution.service_account_dir)))
    transport = Transport(access, settings.execution.max_response_bytes)
    wanted = list(needs(policy))
    needed = list(dict.fromkeys(question for need in wanted for question in need.questions))
    beyond = [*(question for question, _ in TOO_MUCH), *READS_SECRETS]
    namespaces = _namespaces(policy)
    free = asyncio.Semaphore(_AT_ONCE)

    async def ask(question: Question, namespace: str) -> bool:
        async with free:
            return await _may(transport, question, namespace)

    async def everywhere(question: Question) -> bool:
        return all(await asyncio.gather(*(ask(question, each) for each in namespaces)))

    async def anywhere(question: Question) -> bool:
        return any(await asyncio.gather(*(ask(question, each) for each in {"", *namespaces})))

    try:
        async with asyncio.timeout(_SECONDS):
            may = dict(zip(needed, await asyncio.gather(*map(everywhere, needed)), strict=True))
            might = dict(zip(beyond, await asyncio.gather(*map(anywhere, beyond)), strict=True))
            user = await _user(transport)
    except TimeoutError:
        raise StartError(f"the API server did not answer within {_SECONDS:g} s") from None
    except (StatusError, CommandFailed, Unreachable) as error:
        raise StartError(f"the API server cannot be asked: {error}") from None
    finally:
        await access.close()
    findings = [*_promised(wanted, may), *_beyond(policy, might)]
    code = _exit_code(findings)
    _print(findings, user, code, out, as_json=as_json)
    return code


def _namespaces(policy: Policy) -> tuple[str, ...]:
    """Where to ask: in each namespace of the policy if it names them, else in all at once, which is ""."""
    names = policy.scope.namespaces
    return names if names and not any(map(is_glob, names)) else ("",)


async def _may(transport: Any, question: Question, namespace: str) -> bool:
    attributes = {
        "verb": question.verb,
        "group": question.group,
        "resource": question.resource,
        "subresource": question.subresource,
        "namespace": namespace,
    }
    body = {"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
    answer = await transport.review("selfsubjectaccessreviews", body)
    status = answer.get("status")
    return isinstance(status, dict) and status.get("allowed") is True


async def _user(transport: Any) -> str:
    """Who the account is; "" where the server does not tell: before Kubernetes 1.28 it need not."""
    from agent.executors.native.errors import StatusError

    try:
        answer = await transport.review("selfsubjectreviews", {"kind": "SelfSubjectReview"})
        return str(answer["status"]["userInfo"]["username"])
    except (StatusError, KeyError, TypeError):
        return ""


def _promised(wanted: Iterable[Need], answers: dict[Question, bool]) -> Iterable[Finding]:
    for need in wanted:
        lacking = [question for question in need.questions if not answers[question]]
        subject = f"{need.command} {need.what}"
        if not lacking:
            yield Finding("ok", subject, "")
        else:
            state = "absent" if need.is_optional else "missing"
            is_of_one = need.what in {str(question).partition(" ")[2] for question in lacking}
            yield Finding(
                state, subject, "may not " + ", ".join(each.verb if is_of_one else str(each) for each in lacking)
            )


def _beyond(policy: Policy, answers: dict[Question, bool]) -> Iterable[Finding]:
    for question, why in TOO_MUCH:
        if answers[question]:
            yield Finding("too much", str(question), f"{why}; no command needs it")
    if not any(answers[question] for question in READS_SECRETS):
        return
    scope = policy.scope
    is_denied = any(may_be(SECRETS, kind_of(word)) for word in scope.denied_kinds) or (
        scope.kinds is not None and SECRETS not in map(kind_of, scope.kinds)
    )
    if policy.redaction == "off":
        yield Finding("too much", "secrets", "can be read, and the policy has redaction: off")
    elif is_denied:
        yield Finding("too much", "secrets", "can be read, and the policy allows none of them")
    else:
        yield Finding("note", "secrets", "can be read; the agent hides their values, see docs/security.md")


def _exit_code(findings: Sequence[Finding]) -> int:
    states = {finding.state for finding in findings}
    if "missing" in states:
        return EXIT_MISSING
    return EXIT_TOO_MUCH if "too much" in states else 0


def _print(findings: Sequence[Finding], user: str, code: int, out: TextIO, *, as_json: bool) -> None:
    if as_json:
        content = {"user": user, "exit_code": code, "findings": [msgspec.structs.asdict(each) for each in findings]}
        json.dump(content, out, indent=2)
        out.write("\n")
        return
    out.write(f"account   {user or 'the API server does not say which'}\n")
    wide = max((len(finding.subject) for finding in findings), default=0)
    lines = (f"{each.state:<9} {each.subject:<{wide}}  {each.text}".rstrip() for each in findings)
    out.writelines(f"{line}\n" for line in lines)
    out.write(f"\n{_SAID[code]}\n")


_SAID: Final = {
    0: "The account can do what the policy promises, and no more than reading.",
    EXIT_MISSING: (
        "Something that the policy allows is missing: add it to the ClusterRole, or take it out of the policy."
    ),
    EXIT_TOO_MUCH: "The account can do more than any command needs: take it out of its roles, see docs/rbac.md.",
}
