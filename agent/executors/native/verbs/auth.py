"""`auth can-i` and `auth whoami`: what the agent may do, and who it is. Asking changes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from math import prod
from typing import Any, ClassVar, Final

import msgspec

from agent.executors.native import mapping
from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, StatusError
from agent.executors.native.listing import beside_others
from agent.executors.native.printers.tabwriter import TabWriter
from agent.executors.native.printers.typed import ObjectMeta, Typed, TypedPrinter, convert, printable

# Measured with kubectl 1.33: it warns of all others, and asks all the same.
_VERBS: Final = frozenset(
    (
        *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "use", "bind"),
        *("impersonate", "escalate", "approve", "sign", "attest", "*"),
    )
)
_URL_VERBS: Final = frozenset({"get", "put", "post", "head", "options", "delete", "patch", "*"})
_NO_RESOURCES: Final = frozenset({"users", "groups"})  # can be asked about, and are no resources of any server
# A list is every verb of every resource of every group of a rule. A real one has some hundreds.
_MAX_RIGHTS: Final = 1_000_000
_LONELY_LIST: Final = "error: list option can't be specified with neither quiet, all-namespaces nor subresource options"
_TWO_ARGUMENTS: Final = (
    "error: you must specify two arguments: verb resource or verb resource/resourceName.\n"
    "See 'kubectl auth can-i -h' for help and examples."
)
_NO_REVIEWS: Final = (
    "error: the selfsubjectreviews API is not enabled in the cluster\n"
    "enable APISelfSubjectReview feature gate and authentication.k8s.io/v1alpha1 or authentication.k8s.io/v1beta1 API"
)
_NO_REVIEWS_FOR_YOU: Final = (
    "error: the selfsubjectreviews API is not enabled in the cluster or you do not have permission to call it"
)


class AccessStatus(Typed):
    """authorization/v1 SubjectAccessReviewStatus."""

    allowed: bool = False
    reason: str = ""
    evaluation_error: str = ""


class AccessReview(Typed):
    """authorization/v1 SelfSubjectAccessReview, its answer."""

    status: AccessStatus = msgspec.field(default_factory=AccessStatus)


class ResourceRule(Typed):
    """authorization/v1 ResourceRule."""

    verbs: list[str] = msgspec.field(default_factory=list)
    api_groups: list[str] = msgspec.field(default_factory=list)
    resources: list[str] = msgspec.field(default_factory=list)
    resource_names: list[str] = msgspec.field(default_factory=list)


class NonResourceRule(Typed):
    """authorization/v1 NonResourceRule."""

    verbs: list[str] = msgspec.field(default_factory=list)
    non_resource_urls: list[str] = msgspec.field(name="nonResourceURLs", default_factory=list)


class RulesStatus(Typed):
    """authorization/v1 SubjectRulesReviewStatus."""

    resource_rules: list[ResourceRule] = msgspec.field(default_factory=list)
    non_resource_rules: list[NonResourceRule] = msgspec.field(default_factory=list)
    incomplete: bool = False
    evaluation_error: str = ""


class RulesReview(Typed):
    """authorization/v1 SelfSubjectRulesReview, its answer."""

    status: RulesStatus = msgspec.field(default_factory=RulesStatus)


class UserInfo(Typed):
    """authentication/v1 UserInfo."""

    username: str = ""
    uid: str = ""
    groups: list[str] = msgspec.field(default_factory=list)
    extra: dict[str, list[str]] = msgspec.field(default_factory=dict)


class SelfSubjectReviewStatus(Typed):
    """authentication/v1 SelfSubjectReviewStatus."""

    user_info: UserInfo = msgspec.field(default_factory=UserInfo)


class SelfSubjectReview(Typed):
    """authentication/v1 SelfSubjectReview."""

    always: ClassVar = frozenset({"kind", "api_version"})

    kind: str = "SelfSubjectReview"
    api_version: str = "authentication.k8s.io/v1"
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    status: SelfSubjectReviewStatus = msgspec.field(default_factory=SelfSubjectReviewStatus)


async def can_i(call: Call) -> int:
    """Print `yes` or `no`, exit code 1 for no; with --list print all that is allowed."""
    command = call.command
    if command.is_set("list"):
        return await _list(call)
    if len(command.operands) != 2:
        raise CommandFailed(_TWO_ARGUMENTS)
    spec = await _question(call, *command.operands)
    if command.is_set("no-headers"):
        raise CommandFailed("error: --no-headers cannot be set without --list specified")
    review = {"kind": "SelfSubjectAccessReview", "spec": spec}
    status = convert(await call.transport.review("selfsubjectaccessreviews", review), AccessReview).status
    if not command.is_set("quiet"):
        answer = ["yes"] if status.allowed else ["no", *filter(None, (status.reason, status.evaluation_error))]
        await call.out(f"{' - '.join(answer)}\n")
    return 0 if status.allowed else 1


async def whoami(call: Call) -> int:
    """Print the agent's user as the API server sees it."""
    command = call.command
    output = command.flag("output")
    printer = None
    if output:
        printer = TypedPrinter(
            output,
            allow_missing=command.flag("allow-missing-template-keys") != "false",
            show_managed_fields=command.is_set("show-managed-fields"),
        )
    try:
        answer = await call.transport.review("selfsubjectreviews", {"kind": "SelfSubjectReview"})
    except StatusError as error:
        match error.reason:
            case "NotFound":
                raise CommandFailed(_NO_REVIEWS) from None
            case "Forbidden":
                raise CommandFailed(_NO_REVIEWS_FOR_YOU) from None
        raise
    review = convert(answer, SelfSubjectReview)
    if printer is None:
        await call.out(_user_table(review.status.user_info))
    else:
        await call.out(await beside_others(partial(printer.text, printable(review)), 0, is_costly=True))
    return 0


async def _question(call: Call, verb: str, subject: str) -> dict[str, Any]:
    """What a SelfSubjectAccessReview asks. Says on stderr what is odd about it."""
    command = call.command
    subresource = command.flag("subresource") or ""
    if subject.startswith("/"):
        if subresource:
            raise CommandFailed("error: --subresource can not be used with NonResourceURL")
        if verb not in _URL_VERBS:
            await _warn(call, f"verb '{verb}' is not a known verb")
        return {"nonResourceAttributes": {"path": subject, "verb": verb}}
    is_everywhere = command.is_set("all-namespaces")
    word, _, name = subject.partition("/")
    asked = {"verb": verb, "resource": word, "subresource": subresource, "name": name}
    if not is_everywhere:
        asked["namespace"] = call.namespace
    resource = None if word == "*" else await mapping.resource_for(call.discovery, word)
    if resource is not None:
        asked |= {"resource": resource.plural, "group": resource.group}
    elif word != "*":
        plural, group = mapping.parted(word.lower())
        if group or plural not in _NO_RESOURCES:
            place = f" in group '{group}'" if group else ""
            await _warn(call, f"the server doesn't have a resource type '{plural}'{place}")
    if not is_everywhere:
        if resource is not None and not resource.is_namespaced:
            place = f" in group '{resource.group}'" if resource.group else ""
            await _warn(call, f"resource '{resource.plural}' is not namespace scoped{place}")
        if verb not in _VERBS:
            await _warn(call, f"verb '{verb}' is not a known verb")
    return {"resourceAttributes": asked}


async def _warn(call: Call, text: str) -> None:
    # kubectl ends these itself, and then its printer of warnings does.
    await call.err(f"Warning: {text}\n\n")


async def _list(call: Call) -> int:
    command = call.command
    if command.operands:
        raise CommandFailed("error: list option must be specified with no arguments")
    if command.is_set("quiet") or command.is_set("all-namespaces") or command.flag("subresource"):
        raise CommandFailed(_LONELY_LIST)
    review = {"kind": "SelfSubjectRulesReview", "spec": {"namespace": call.namespace}}
    status = convert(await call.transport.review("selfsubjectrulesreviews", review), RulesReview).status
    if status.incomplete:
        await call.err(f"Warning: the list may be incomplete: {status.evaluation_error}\n")
    writer = TabWriter()
    if not command.is_set("no-headers"):
        writer.feed("Resources\tNon-Resource URLs\tResource Names\tVerbs\n")
    writer.feed(await beside_others(lambda: "".join(_right_lines(status)), 0, is_costly=True))
    for piece in writer.pieces():
        await call.out(piece)
    return 0


def _right_lines(status: RulesStatus) -> Iterator[str]:
    """A line for each resource, or name of one, with all its verbs, and for each verb of each URL.

    kubectl orders them by the text Go has for such a rule, in which the verbs come first. Raises CommandFailed for
    more rights than anybody has.
    """
    count = sum(
        prod(map(len, (rule.api_groups, rule.resources, rule.verbs, rule.resource_names or [""])))
        for rule in status.resource_rules
    ) + sum(len(rule.verbs) * len(rule.non_resource_urls) for rule in status.non_resource_rules)
    if count > _MAX_RIGHTS:
        raise CommandFailed(f"error: the API server's answer lists {count} rights, more than {_MAX_RIGHTS}")
    verbs_of: dict[tuple[str, str, str | None], dict[str, None]] = {}
    for rule in status.resource_rules:
        for right in product(rule.api_groups, rule.resources, rule.resource_names or (None,)):
            if rule.verbs:
                verbs_of.setdefault(right, {}).update(dict.fromkeys(rule.verbs))
    rows = [
        (_go_list([verb]), "[]", "[]", "[]", _go_list([url]), "")
        for rule in status.non_resource_rules
        for url, verb in product(rule.non_resource_urls, rule.verbs)
    ]
    rows += [
        (
            _go_list(verbs),
            _go_list([group]),
            _go_list([resource]),
            _go_list([] if name is None else [name]),
            "[]",
            _combined(resource, group),
        )
        for (group, resource, name), verbs in verbs_of.items()
    ]
    for verbs, _, _, names, urls, resource in sorted(rows, key=_go_text):
        yield f"{resource}\t{urls}\t{names}\t{verbs}\n"


def _go_text(row: Sequence[str]) -> str:
    """The text Go has for a rule; as long as all fields are the same, the next one decides."""
    verbs, groups, resources, names, urls, _ = row
    return f"Verbs:{verbs},APIGroups:{groups},Resources:{resources},ResourceNames:{names},NonResourceURLs:{urls},"


def _go_list(items: Sequence[str] | Mapping[str, None]) -> str:
    return f"[{' '.join(items)}]"


def _combined(resource: str, group: str) -> str:
    """`deployments.apps/scale` of `deployments/scale` and `apps`."""
    plural, slash, subresource = resource.partition("/")
    return f"{plural}{f'.{group}' if group else ''}{slash}{subresource}"


def _user_table(user: UserInfo) -> str:
    rows = [("ATTRIBUTE", "VALUE")]
    if user.username:
        rows.append(("Username", user.username))
    if user.uid:
        rows.append(("UID", user.uid))
    if user.groups:
        rows.append(("Groups", _go_list(user.groups)))
    rows += [(f"Extra: {key}", _go_list(user.extra[key])) for key in sorted(user.extra, key=str.encode)]
    writer = TabWriter()
    writer.feed("".join(f"{attribute}\t{value}\n" for attribute, value in rows))
    return writer.flush()
