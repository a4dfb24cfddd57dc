"""`describe`: Secrets without their values, and, where there is no kubectl to ask, all other kinds in one plain form.

kubectl describes each kind in a form of its own that differs with every release. That is left to kubectl.
"""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from agent.executors.describable import is_describable
from agent.executors.native import statuses
from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, NotNative, StatusError
from agent.executors.native.listing import Answer, Failure, Request, answers
from agent.executors.native.printers import describe
from agent.executors.native.printers.tabwriter import TabWriter
from agent.executors.native.printers.typed import NO_TIME, decode, escaped
from agent.executors.native.resources import Resource
from agent.executors.native.selection import Selection, Target, select
from agent.executors.native.verbs.events import EVENTS, EventList, seen
from agent.executors.native.verbs.outputs import Object, ObjectsPage, chunk_size, is_secret

_NO_TYPE: Final = (
    'error: You must specify the type of resource to describe. Use "kubectl api-resources" for a complete list of '
    "supported resources."
)
_MAX_EVENTS: Final = "500"  # of one object; kubectl's own page size


async def run(call: Call) -> int:
    """Describe what the operands name. Raises NotNative for what kubectl does better, while it can be asked."""
    if not call.command.operands:
        raise CommandFailed(_NO_TYPE)
    selection = await select(call)
    resources = [target.resource for target in selection.targets]
    # Of what kubectl prints of the others too much could stay in sight.
    is_kubectls = not call.screen.hides or all(is_describable(each.plural, each.group) for each in resources)
    if not call.is_last and is_kubectls and not all(map(is_secret, resources)):
        raise NotNative("describe of anything but Secrets")
    if len(call.command.operands) == 2:
        return await _describe_named(call, selection)
    failures: list[Failure] = []
    separator = ""
    async with aclosing(answers(call, selection, _request(call))) as found:
        async for answer in found:
            if answer.failure is not None:
                failures.append(answer.failure)
            for obj in _objects(answer):
                await call.out(separator + await _description(call, answer.target.resource, obj))
                separator = "\n\n"
    if failures:
        raise statuses.several(failures)
    if not separator:
        where = "" if call.command.is_set("all-namespaces") else f" in {call.namespace} namespace"
        await call.err(f"No resources found{where}.\n" if where else "No resources found\n")
    return 0


async def _describe_named(call: Call, selection: Selection) -> int:
    """`TYPE NAME`, where the name may be the beginning of one, or `TYPE/NAME TYPE/NAME`."""
    found = [answer async for answer in answers(call, selection, _request(call))]
    failures = [answer.failure for answer in found if answer.failure is not None]
    if len(failures) == 1 and isinstance(failures[0], StatusError) and failures[0].reason == "NotFound":
        return await _describe_beginning(call, selection.targets, failures[0])
    described = [await _description(call, answer.target.resource, obj) for answer in found for obj in _objects(answer)]
    if described:
        await call.out("\n\n".join(described))
    if failures:
        raise statuses.several(failures)
    return 0


async def _describe_beginning(call: Call, targets: Sequence[Target], missing: StatusError) -> int:
    """All objects whose names begin with what was given; when there are none, the error stands."""
    words, beginning = call.command.operands
    if "/" in words:
        raise missing
    if len(targets) > 1:
        raise CommandFailed("error: you may only specify a single resource type")
    everything = Selection((Target(targets[0].resource, targets[0].namespace),), is_single=False)
    is_found = False
    async with aclosing(answers(call, everything, _request(call))) as pages:
        async for answer in pages:
            if answer.failure is not None:
                raise statuses.several([answer.failure])
            for obj in _objects(answer):
                if str((obj.get("metadata") or {}).get("name", "")).startswith(beginning):
                    is_found = True
                    await call.out(f"{await _description(call, answer.target.resource, obj)}\n")
    if not is_found:
        raise missing
    return 0


def _request(call: Call) -> Request[ObjectsPage]:
    return Request(lambda body: ObjectsPage.of(call.load(body)), chunk_size=chunk_size(call.command))


def _objects(answer: Answer[ObjectsPage]) -> Sequence[Object]:
    return answer.page.items if answer.page is not None else ()


async def _description(call: Call, resource: Resource, obj: Object) -> str:
    if is_secret(resource):
        text = describe.secret(obj)
    else:
        text = describe.anything(obj)
        if call.command.flag("show-events") != "false":
            text += describe.events(await _events(call, resource, obj))
    writer = TabWriter.of_descriptions()
    writer.feed(escaped(text))
    return writer.flush()


async def _events(call: Call, resource: Resource, obj: Object) -> list[tuple[str, ...]]:
    """The events of an object, oldest first; none where they may not be read, as for kubectl."""
    metadata = obj.get("metadata") or {}
    namespace = metadata.get("namespace", "")
    fields = {"name": metadata.get("name", ""), "namespace": namespace, "kind": resource.kind}
    if metadata.get("uid") and resource.kind != "Node":  # kubelets put a node's name where its uid belongs
        fields["uid"] = metadata["uid"]
    selector = ",".join(f"involvedObject.{field}={value}" for field, value in fields.items())
    try:
        body = await call.transport.get(
            EVENTS.path(namespace or None), [("fieldSelector", selector), ("limit", _MAX_EVENTS)]
        )
    except StatusError:
        return []
    return [
        (
            event.type,
            event.reason,
            seen(event, call.clock()),
            event.source.component or event.reporting_component,
            event.message.strip(),
        )
        for event in sorted(decode(body, EventList).items, key=lambda event: event.last_timestamp or NO_TIME)
    ]
