"""`api-versions`: the group versions the server has."""

from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, StatusError


async def run(call: Call) -> int:
    """Print each group version on a line, in alphabetical order; also those whose resources cannot be told."""
    try:
        discovered = await call.discovery.discovered(is_fresh=True)
    except StatusError as error:
        raise CommandFailed(f"error: couldn't get available api versions from server: {error.message}") from None
    await call.out("".join(f"{group_version}\n" for group_version in sorted(discovered.group_versions)))
    return 0
