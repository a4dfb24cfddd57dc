"""`kubectl rollout status` and `rollout history`: what becomes of a change, and which changes there were."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Final

from agent.executors.native import label_selectors, listing, scheme, statuses, watches
from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, NotNative, StatusError, Unreachable
from agent.executors.native.listing import Failure, Request
from agent.executors.native.printers.names import print_name
from agent.executors.native.printers.typed import TypedPrinter
from agent.executors.native.resources import Resource
from agent.executors.native.selection import Selection, Target, select
from agent.executors.native.verbs import rollout_history, rollout_progress
from agent.executors.native.verbs.outputs import Object, ObjectsPage
from schemas.kubectl import seconds

_NOTHING_NAMED: Final = "error: required resource not specified"
_AGAIN_SECONDS: Final = 1.0  # from the end of a watch until it is begun anew, about as in client-go
_GONE: Final = 410  # a version is too old to be watched from

# What is done with each object of a command; raises a Failure.
_Visit = Callable[[Resource, Object], Awaitable[None]]


async def status(call: Call) -> int:
    """Follow the rollouts of the workloads named, one after another: each until it is done, or --timeout has passed.

    Raises CommandFailed with all that went wrong, once every workload had its turn, and what the sink raises.
    """
    _check_operands(call)
    if not await _visit(call, await select(call), partial(_follow, call)):
        await call.err(f"No resources found in {call.namespace} namespace.\n")
    return 0


async def history(call: Call) -> int:
    """Print the revisions of the workloads named.

    Raises as `status`, and NotNative for the description of one revision and for DaemonSets and StatefulSets as
    objects, which would have to be put together from patches.
    """
    _check_operands(call)
    command = call.command
    printer = None
    if command.output:
        # kubectl takes --allow-missing-template-keys here and makes nothing of it.
        shows_managers = command.is_set("show-managed-fields")
        printer = TypedPrinter(command.flag("output") or "", allow_missing=True, show_managed_fields=shows_managers)
    elif int(command.flag("revision") or 0):
        raise NotNative("rollout history --revision")
    selection = await select(call)
    if command.output not in {"", "name"} and any(
        rollout_history.is_patched(target.resource) for target in selection.targets
    ):
        raise NotNative(f"rollout history of a DaemonSet or StatefulSet as {command.output}")
    await _visit(call, selection, partial(_print_history, call, printer))
    return 0


def _check_operands(call: Call) -> None:
    if not call.command.operands:
        raise CommandFailed(_NOTHING_NAMED)


async def _visit(call: Call, selection: Selection, visit: _Visit) -> bool:
    """Visit all objects selected, in order; whether there were any. Raises CommandFailed with all failures."""
    failures: list[Failure] = []
    has_any = False
    async with aclosing(listing.answers(call, selection, _objects(call))) as answers:
        async for answer in answers:
            failure = answer.failure or _unknown(answer.target)
            if failure is not None:
                failures.append(failure)
                continue
            for obj in answer.page.items if answer.page is not None else ():
                has_any = True
                try:
                    await visit(answer.target.resource, obj)
                except (StatusError, CommandFailed, Unreachable) as error:
                    failures.append(error)
    if failures:
        raise statuses.several(failures)
    return has_any


def _unknown(target: Target) -> CommandFailed | None:
    """What kubectl says of an object, or of a list of them, that it has no type for; None when it has."""
    resource = target.resource
    try:
        scheme.go_type(resource if target.name is not None else replace(resource, kind=f"{resource.kind}List"))
    except CommandFailed as failure:
        return failure
    return None


# status


def _objects(call: Call) -> Request[ObjectsPage]:
    return Request(lambda body: ObjectsPage.of(call.load(body)))  # a list in one piece, as kubectl has it here


async def _follow(call: Call, resource: Resource, workload: Object) -> None:
    """Print how far the rollout of a workload is with every change, until it is done."""
    command = call.command
    progress_of = rollout_progress.viewer_of(resource)
    revision = int(command.flag("revision") or 0)
    timeout = command.flag("timeout")
    try:
        async with (
            asyncio.timeout(seconds(timeout) if timeout else None),
            aclosing(_states(call, resource, workload)) as states,
        ):
            async for state in states:
                text, is_done = progress_of(state, revision)
                await call.out(text)
                if is_done or command.flag("watch") == "false":
                    return
    except TimeoutError:
        raise CommandFailed("error: timed out waiting for the condition") from None


async def _states(call: Call, resource: Resource, workload: Object) -> AsyncGenerator[Object, None]:
    """The workload as it is now, and after each change, without end. A watch that ends is begun anew, where it ended.

    To be closed. Raises CommandFailed when the workload is deleted.
    """
    path = resource.path(workload["metadata"].get("namespace"))
    query = (("fieldSelector", f"metadata.name={workload['metadata']['name']}"),)
    version = ""
    while True:
        if not version:
            page = ObjectsPage.of(call.load(await call.transport.get(path, query)))
            if not page.items:
                raise CommandFailed("error: object has been deleted")
            for item in page.items:
                yield item
            version = page.resource_version
        watched = (*query, ("allowWatchBookmarks", "true"), ("resourceVersion", version), ("watch", "true"))
        try:
            async with call.transport.stream(path, watched) as response:
                async for line in watches.lines(response):
                    event = call.load(line)
                    if event["type"] == "ERROR":
                        version = ""
                        break
                    if event["type"] == "DELETED":
                        raise CommandFailed("error: object has been deleted")
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event["object"]
        except Unreachable:
            pass  # the server may be starting anew
        except StatusError as error:
            if error.code != _GONE:
                raise
            version = ""
        await asyncio.sleep(_AGAIN_SECONDS)


# history


async def _print_history(call: Call, printer: TypedPrinter | None, resource: Resource, workload: Object) -> None:
    kept = rollout_history.kept_in(resource)
    revisions = rollout_history.revisions(workload, await _kept(call, kept, workload))
    if printer is None:
        await call.out(f"{print_name(workload).rstrip()} \n{rollout_history.table(revisions)}")
        return
    wanted = int(call.command.flag("revision") or 0)
    if wanted and wanted not in revisions:
        raise CommandFailed("error: unable to find the specified revision")
    is_patched = rollout_history.is_patched(resource)
    for obj in (revisions[wanted],) if wanted else revisions.values():
        printed = workload if is_patched else rollout_history.as_typed(obj)
        await call.out(await listing.beside_others(partial(printer.text, printed), 0, is_costly=True))


async def _kept(call: Call, kept: Resource, workload: Object) -> Sequence[Object]:
    """The objects of a resource that a workload selects. Raises CommandFailed."""
    metadata = workload["metadata"]
    try:
        selector = label_selectors.as_query((workload.get("spec") or {}).get("selector") or {})
    except ValueError as error:
        raise CommandFailed(f"error: invalid label selector: {error}") from None
    query = (("labelSelector", selector),) if selector else ()
    selection = Selection((Target(kept, metadata.get("namespace")),), is_single=False, query=query)
    try:
        pages = await listing.everything(call, selection, _objects(call))
    except (StatusError, CommandFailed, Unreachable) as error:
        raise CommandFailed(f"error: {rollout_history.failed(workload, kept)}: {error}") from None
    return [obj for page in pages for obj in page.items]
