"""A resource of the API, and what a word such as `po`, `deploy.apps` or `Widget` means. Pure: discovery.py fetches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from agent.executors.native.errors import CommandFailed

# What RFC 3986 §3.3 lets stand in a segment beside letters, digits and `-._~`.
_SEGMENT_SAFE: Final = "!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as discovery tells it: `Resource("apps", "v1", "Deployment", "deployments", "deployment", …)`."""

    group: str  # "" is the core group
    version: str
    kind: str
    plural: str
    singular: str
    is_namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()  # "status", "scale", "log"

    @property
    def group_version(self) -> str:
        """`v1`, `apps/v1`: what objects of it have in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The plural with its group, as messages name it: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The percent-encoded path: `/apis/apps/v1/namespaces/web/deployments/api/scale`. `namespace` None: of all
        namespaces; it is left out for a resource that has none.

        Raises CommandFailed in kubectl's words for a segment that could leave its place (`invalid resource name …`).
        """
        segments = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None and self.is_namespaced:
            segments += ["namespaces", checked(namespace, "namespace")]
        segments.append(self.plural)
        if name is not None:
            segments.append(checked(name, "resource name"))
        if subresource is not None:
            segments.append(checked(subresource, "subresource"))
        return "".join(f"/{quote(segment, safe=_SEGMENT_SAFE)}" for segment in segments)


def checked(segment: str, role: str) -> str:
    """A segment that may stand in a path; `role` is what kubectl calls it: `resource name`, `namespace`, `subresource`.

    Raises CommandFailed.
    """
    if not segment:
        raise CommandFailed("error: resource name may not be empty")
    problems = [f"may not be '{segment}'"] if segment in {".", ".."} else []
    problems += [f"may not contain '{character}'" for character in "/%" if character in segment]
    if problems:
        raise CommandFailed(f'error: invalid {role} "{segment}": [{" ".join(problems)}]')
    return segment


@dataclass(frozen=True, slots=True)
class Found:
    """What a word means, and kubectl's warnings where a short name could have meant something else."""

    resource: Resource
    warnings: tuple[str, ...] = ()


class Catalogue:
    """All resources of a server, to look words up in. They stand in order of precedence: groups in the server's order,
    core first; within a group the preferred version first.
    """

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.resources: Sequence[Resource] = tuple(resources)
        self._by_word: dict[str, list[Resource]] = {}
        self._by_short_name: dict[str, list[Resource]] = {}
        for resource in self.resources:
            for word in {resource.plural, resource.singular} - {""}:
                self._by_word.setdefault(word, []).append(resource)
        for resource in self.preferred():
            for word in resource.short_names:
                self._by_short_name.setdefault(word, []).append(resource)

    def preferred(self) -> Iterator[Resource]:
        """Each resource once, in its preferred version."""
        seen: set[tuple[str, str]] = set()
        for resource in self.resources:
            key = (resource.group, resource.plural)
            if key not in seen:
                seen.add(key)
                yield resource

    def of_kind(self, kind: str, group: str, version: str | None = None) -> Resource | None:
        """The resource of a kind, spelt as it is or in lower case; `version` None: the preferred one."""
        return next(
            (
                resource
                for resource in self.resources
                if resource.group == group
                and kind in {resource.kind, resource.kind.lower()}
                and version in {None, resource.version}
            ),
            None,
        )

    def find(self, word: str) -> Found | None:
        """What a word means to kubectl; None: nothing.

        It is looked for as `resource.version.group`, as `resource.group`, as `Kind.version.group`, as `Kind.group`. A
        group may be the beginning of one where the word is a resource; a kind needs all of its group.
        """
        head, _, rest = word.partition(".")
        version, has_group, group = rest.partition(".")
        if has_group and (found := self.lookup(head, group, version)):
            return found
        if found := self.lookup(head, rest):
            return found
        kind = self.of_kind(head, group, version) if has_group else None
        kind = kind or self.of_kind(head, rest)
        return None if kind is None else Found(kind)

    def lookup(self, word: str, group: str = "", version: str = "") -> Found | None:
        """The resource of a plural, singular (both in any case) or short name. `group` "" and `version` "": of any."""
        warnings: tuple[str, ...] = ()
        if not any(group in {"", resource.group} for resource in self._by_word.get(word, ())):
            meant = self._by_short_name.get(word, [])
            if exact := [resource for resource in meant if group in {"", resource.group}]:
                first, *others = exact
                warnings = tuple(
                    f'short name "{word}" could also match lower priority resource {other.qualified}'
                    for other in others
                )
                # Whatever version was asked for: that is how kubectl has it.
                word, group, version = first.plural, first.group, ""
            elif beginning := [resource for resource in meant if resource.group.startswith(group)]:
                word, group = beginning[0].plural, beginning[0].group
        for resource in self._by_word.get(word.lower(), ()):
            fits = resource.group == group if group and version else resource.group.startswith(group)
            if fits and version in {"", resource.version}:
                return Found(resource, warnings)
        return None

    def category(self, word: str) -> tuple[Resource, ...]:
        """The resources of a category such as `all`; empty when it is none."""
        return tuple(resource for resource in self.preferred() if word in resource.categories)
