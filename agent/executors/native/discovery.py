"""Which resources the API server has: aggregated discovery where there is one, else group by group; kept in memory."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
from agent.executors.native.resources import Catalogue, Resource
from agent.executors.native.transport import JSON, Transport

# https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery; a server that knows neither version
# answers with the old form. The order of g, v and as matters to it.
_AGGREGATED: Final = ",".join(
    (
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        JSON,
    )
)
_KEEP_SECONDS: Final = 600.0
# A word nobody knows may be a new resource; asking for it again and again must not burden the server.
_REFRESH_SECONDS: Final = 5.0
# client-go gives so long to each request of discovery. Here it is for all of a look: many wait for it.
_LOOK_SECONDS: Final = 32.0
_CONCURRENT: Final = 16  # group versions asked for at once, where each is a request of its own

_Found = TypeVar("_Found")
_Document = TypeVar("_Document", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Discovered:
    """What one look at the server found. `failed` has the group versions that could not be read, with why:
    `{"metrics.k8s.io/v1beta1": "the server is currently unable to handle the request"}`. With aggregated discovery
    there are none: a version that its own server does not tell of is left out there.
    """

    catalogue: Catalogue
    group_versions: tuple[str, ...] = ()  # all that are served, with resources or without, core first
    failed: Mapping[str, str] = field(default_factory=dict)


class Discovery:
    """The server's resources, as one command asks for them; what was found is kept for all."""

    def __init__(self, transport: Transport, kept: "_Kept | None" = None) -> None:
        self._transport = transport
        self._kept = kept or _Kept(transport)

    def for_command(self, transport: Transport) -> "Discovery":
        """The same for one command: its transport gets the warnings, and its time limit holds."""
        return Discovery(transport, self._kept)

    async def close(self) -> None:
        """End what is under way."""
        await self._kept.close()

    async def discovered(self, *, is_fresh: bool = False) -> Discovered:
        """All there is to know; `is_fresh`: as of now, give or take 5 s. Raises what `Transport.get` raises."""
        return await self._within_limit(self._kept.refreshed() if is_fresh else self._kept.get())

    async def resources(self) -> Sequence[Resource]:
        """All resources of all served versions, groups in the server's order, core first, versions by preference."""
        return (await self.discovered()).catalogue.resources

    async def resolve(self, word: str) -> Resource:
        """What a resource type word means (`po`, `deployments.v1.apps`, `Pod`); a miss refreshes what is kept, at most
        every 5 s. Raises CommandFailed: `error: the server doesn't have a resource type "foo"`.
        """
        found = await self._found(lambda catalogue: catalogue.find(word))
        if found is None:
            raise CommandFailed(f'error: the server doesn\'t have a resource type "{word.partition(".")[0]}"')
        for warning in found.warnings:
            self._transport.warn(warning)
        return found.resource

    async def preferred(self, kind: str, group: str) -> Resource | None:
        """The resource of a kind in a group, in its preferred version."""
        return await self._found(lambda catalogue: catalogue.of_kind(kind, group))

    async def category(self, word: str) -> Sequence[Resource]:
        """The resources of a category such as `all`, in the server's order; empty when it is no category."""
        return (await self.discovered()).catalogue.category(word)

    async def _found(self, look: Callable[[Catalogue], _Found | None]) -> _Found | None:
        """Look among what is kept, then among what there is now."""
        found = look((await self.discovered()).catalogue)
        if found is None:
            found = look((await self._within_limit(self._kept.refreshed())).catalogue)
        return found

    async def _within_limit(self, look: Awaitable[Discovered]) -> Discovered:
        try:
            async with asyncio.timeout(self._transport.request_timeout_seconds):
                return await look
        except TimeoutError as error:
            raise self._transport.broken(error) from None


class _Kept:
    """What was discovered last, and the one look that is under way: all who wait share it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._discovered: Discovered | None = None
        self._answers: dict[str, _Answer] = {}
        self._looked_at = float("-inf")
        self._look: asyncio.Task[Discovered] | None = None

    async def get(self) -> Discovered:
        """What is known; looked for anew when it is older than 10 minutes."""
        if self._discovered is not None and time.monotonic() - self._looked_at < _KEEP_SECONDS:
            return self._discovered
        return await self._shared_look()

    async def refreshed(self) -> Discovered:
        """What there is now, as far as it may be asked for again."""
        if self._discovered is not None and time.monotonic() - self._looked_at < _REFRESH_SECONDS:
            return self._discovered
        return await self._shared_look()

    async def close(self) -> None:
        """End the look that is under way."""
        if self._look is not None:
            self._look.cancel()
            await asyncio.wait({self._look})

    async def _shared_look(self) -> Discovered:
        if self._look is None:
            self._look = asyncio.create_task(self._bounded_look(), name="discovery")
            self._look.add_done_callback(self._on_looked)
        # One command's end is not the end of the others' look.
        return await asyncio.shield(self._look)

    def _on_looked(self, look: asyncio.Task[Discovered]) -> None:
        self._look = None
        if not look.cancelled():
            look.exception()  # seen, also when nobody waits any more

    async def _bounded_look(self) -> Discovered:
        """A look that ends, even if the server always has another byte to send. Raises Unreachable when it is late."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                return await self._look_now()
        except TimeoutError as error:
            raise self._transport.broken(error) from None

    async def _look_now(self) -> Discovered:
        core, named = await _together(self._answer(path) for path in ("/api", "/apis"))
        is_same = core is self._answers.get("/api") and named is self._answers.get("/apis")
        # Without ETags, and group by group, there is no telling whether anything changed.
        if self._discovered is None or not is_same:
            self._discovered = await self._assembled((*core.groups, *named.groups))
            self._answers = {"/api": core, "/apis": named}
        self._looked_at = time.monotonic()
        return self._discovered

    async def _answer(self, path: str) -> "_Answer":
        """The groups under `/api` or `/apis`; the same object as last time when the server says nothing has changed."""
        known = self._answers.get(path)
        try:
            body, etag = await self._transport.get_changed(path, accept=_AGGREGATED, etag=known.etag if known else None)
        except StatusError as error:
            if error.code != 404 or path != "/api":  # an aggregated API server may have no core group
                raise
            return _Answer(None, ())
        if body is None and known is not None:
            return known
        root = _decoded(body or b"", _Root)
        if root.kind == "APIGroupDiscoveryList":
            return _Answer(etag, tuple(_aggregated(group) for group in root.items or ()))
        core = _Group("", tuple(_Version(version, None) for version in root.versions or ()))
        return _Answer(None, (core,) if core.versions else tuple(_legacy(group) for group in root.groups or ()))

    async def _assembled(self, groups: Sequence["_Group"]) -> Discovered:
        """One catalogue of all groups, those versions fetched whose resources are not known yet."""
        failed: dict[str, str] = {}
        slots = asyncio.Semaphore(_CONCURRENT)

        async def resources(group: str, version: _Version) -> Sequence[Resource]:
            if version.resources is not None:
                return version.resources
            async with slots:
                return await self._legacy_resources(group, version.name, failed)

        # For kubectl what aggregated discovery calls stale is not there, and no failure either.
        versions = [(group.name, version) for group in groups for version in group.versions if not version.is_stale]
        found = await _together(resources(group, version) for group, version in versions)
        return Discovered(
            Catalogue(resource for some in found for resource in some),
            tuple(_group_version(group, version.name) for group, version in versions),
            failed,
        )

    async def _legacy_resources(self, group: str, version: str, failed: dict[str, str]) -> Sequence[Resource]:
        """The resources of one group version; a server that cannot tell them has none, as for kubectl."""
        group_version = _group_version(group, version)
        try:
            body = await self._transport.get(f"/apis/{group_version}" if group else f"/api/{version}")
        except (StatusError, CommandFailed) as error:
            # CommandFailed: its answer is too large, or its name cannot stand in a path. The others are as good.
            failed[group_version] = error.message if isinstance(error, StatusError) else error.text
            return ()
        try:
            entries = _decoded(body, _LegacyResources).resources or ()
        except Unreachable as error:
            failed[group_version] = str(error)
            return ()
        subresources: dict[str, list[str]] = {}
        for entry in entries:
            plural, slash, subresource = entry.name.partition("/")
            if slash:
                subresources.setdefault(plural, []).append(subresource)
        return [
            Resource(
                group,
                version,
                entry.kind,
                entry.name,
                entry.singular_name or entry.kind.lower(),
                entry.namespaced,
                tuple(entry.short_names or ()),
                tuple(entry.categories or ()),
                tuple(entry.verbs or ()),
                tuple(subresources.get(entry.name, ())),
            )
            for entry in entries
            if "/" not in entry.name
        ]


@dataclass(frozen=True, slots=True)
class _Version:
    """A version of a group; `resources` None: they are still to be asked for."""

    name: str
    resources: tuple[Resource, ...] | None
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class _Group:
    """A group, its versions by preference."""

    name: str
    versions: tuple[_Version, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What `/api` or `/apis` said, and the ETag it had."""

    etag: str | None
    groups: tuple[_Group, ...]


async def _together(work: Iterable[Coroutine[Any, Any, _Found]]) -> list[_Found]:
    """What all of it gives, in order. The first failure ends the rest, which nobody would wait for."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part, name="discovery") for part in work]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _aggregated(group: "_AggregatedGroup") -> _Group:
    name = group.metadata.name
    return _Group(
        name,
        tuple(
            _Version(
                version.version,
                tuple(
                    Resource(
                        name,
                        version.version,
                        entry.response_kind.kind,
                        entry.resource,
                        entry.singular_resource or entry.response_kind.kind.lower(),
                        entry.scope == "Namespaced",
                        tuple(entry.short_names or ()),
                        tuple(entry.categories or ()),
                        tuple(entry.verbs or ()),
                        tuple(subresource.subresource for subresource in entry.subresources or ()),
                    )
                    for entry in version.resources or ()
                    if entry.response_kind is not None and entry.response_kind.kind
                ),
                version.freshness == "Stale",
            )
            for version in group.versions or ()
        ),
    )


def _legacy(group: "_LegacyGroup") -> _Group:
    versions = [version.version for version in group.versions or ()]
    preferred = group.preferred_version.version if group.preferred_version is not None else ""
    # A stable sort: the preferred one first, the rest as the server has them.
    return _Group(
        group.name,
        tuple(_Version(version, None) for version in sorted(versions, key=lambda version: version != preferred)),
    )


def _group_version(group: str, version: str) -> str:
    return f"{group}/{version}" if group else version


def _decoded(body: bytes, kind: type[_Document]) -> _Document:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreachable(f"Unable to connect to the server: its discovery cannot be read: {error}") from None


# The documents, as far as they are read. What the API leaves out or writes as null is None or empty here.


class _Named(msgspec.Struct):
    name: str = ""


class _Kind(msgspec.Struct):
    kind: str = ""


class _Subresource(msgspec.Struct):
    subresource: str = ""


class _AggregatedResource(msgspec.Struct, rename="camel"):
    resource: str
    response_kind: _Kind | None = None
    scope: str = ""
    singular_resource: str = ""
    verbs: list[str] | None = None
    short_names: list[str] | None = None
    categories: list[str] | None = None
    subresources: list[_Subresource] | None = None


class _AggregatedVersion(msgspec.Struct):
    version: str
    resources: list[_AggregatedResource] | None = None
    freshness: str = ""


class _AggregatedGroup(msgspec.Struct):
    metadata: _Named = msgspec.field(default_factory=_Named)
    versions: list[_AggregatedVersion] | None = None


class _LegacyVersion(msgspec.Struct):
    version: str = ""


class _LegacyGroup(msgspec.Struct, rename="camel"):
    name: str
    versions: list[_LegacyVersion] | None = None
    preferred_version: _LegacyVersion | None = None


class _Root(msgspec.Struct):
    kind: str = ""
    versions: list[str] | None = None
    groups: list[_LegacyGroup] | None = None
    items: list[_AggregatedGroup] | None = None


class _LegacyResource(msgspec.Struct, rename="camel"):
    name: str
    kind: str
    singular_name: str = ""
    namespaced: bool = False
    verbs: list[str] | None = None
    short_names: list[str] | None = None
    categories: list[str] | None = None


class _LegacyResources(msgspec.Struct):
    resources: list[_LegacyResource] | None = None
