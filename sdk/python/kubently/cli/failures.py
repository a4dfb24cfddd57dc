"""How the command line fails: one line on stderr that says what to do, and an exit code that scripts can tell apart."""

from typing import Final

from kubently.errors import (
    ClusterOffline,
    CommandRefused,
    ConfigurationError,
    ConnectionFailed,
    Forbidden,
    HubError,
    KubentlyError,
    NotFound,
    RateLimited,
    ServiceUnavailable,
    SessionNotActive,
    Unauthorized,
)

EXIT_OK: Final = 0
# As kubectl's: the command was refused, or did not do what was asked for.
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
# sysexits.h, EX_UNAVAILABLE and EX_NOPERM: the hub or the cluster cannot be reached; the key does not do.
EXIT_UNREACHABLE: Final = 69
EXIT_KEY: Final = 77
# As timeout(1), and as shells have it for SIGINT and SIGTERM.
EXIT_TIMEOUT: Final = 124
EXIT_INTERRUPTED: Final = 130
EXIT_TERMINATED: Final = 143


class UsageError(Exception):
    """The command line cannot be understood, or lacks something; the message says what to write."""


def exit_code(error: Exception) -> int:
    """The exit code that stands for a failure."""
    match error:
        case UsageError() | ConfigurationError():
            return EXIT_USAGE
        case Unauthorized() | Forbidden():
            return EXIT_KEY
        case ConnectionFailed() | ServiceUnavailable():
            return EXIT_UNREACHABLE
        case _:
            return EXIT_FAILED


def explain(error: KubentlyError | UsageError) -> str:
    """What went wrong and what to do, without a line end behind: `"Cluster not found: prod; ..."`."""
    remedy = _remedy(error)
    return f"{error}; {remedy}" if remedy else str(error)


def _remedy(error: Exception) -> str | None:
    match error:
        case ConfigurationError():
            return "or `kubently login`, which keeps it"
        case Unauthorized():
            return "`kubently login` with a key that is valid"
        case CommandRefused(by="key"):
            return "this key is limited; an admin can make another"
        case ClusterOffline():
            cluster = error.cluster_id or "CLUSTER"
            seen = (
                f"{cluster} was never seen" if error.last_seen is None else f"{cluster} was last seen {error.last_seen}"
            )
            return f"{seen}; `kubently doctor {cluster}` says why"
        case NotFound() if str(error).startswith("Cluster not found"):
            return "`kubently clusters` lists those that this key may see"
        case SessionNotActive():
            return "open another"
        case RateLimited() if error.retry_after is not None:
            return f"wait {error.retry_after:g} s"
        case ConnectionFailed():
            return "`kubently doctor` looks for the reason"
        case HubError() if error.correlation_id is not None and error.status is not None and error.status >= 500:
            return f"the hub's log has it under {error.correlation_id}"
        case _:
            return None
