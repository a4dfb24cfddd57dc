"""What a resource type word means where kubectl does not take it for a kind: in `events --for` and `auth can-i`."""

from agent.executors.native.discovery import Discovery
from agent.executors.native.errors import CommandFailed
from agent.executors.native.resources import Resource


async def resource_for(discovery: Discovery, word: str) -> Resource | None:
    """The resource of a word in any case, a plural, singular or short name: `po`, `Deployments.apps`; None: of none."""
    word = word.lower()
    try:
        resource = await discovery.resolve(word)
    except CommandFailed:
        return None
    name = word.partition(".")[0]
    return resource if name in {resource.plural, resource.singular, *resource.short_names} else None


def parted(word: str) -> tuple[str, str]:
    """The resource and the group of a word, as messages tell them apart: `("deployments", "v1.apps")`."""
    resource, _, group = word.partition(".")
    return resource, group


def no_match(word: str) -> CommandFailed:
    """The error that kubectl makes of a word without a resource: no `error:` in front."""
    resource, group = parted(word.lower())
    return CommandFailed(
        f'the server doesn\'t have a resource type "{resource}"' + (f' in group "{group}"' if group else "")
    )
