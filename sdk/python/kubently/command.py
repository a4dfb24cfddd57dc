"""A command as it is sent: the verb, the words behind it, what of its output is wanted. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from kubently.models import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The fields of an execute; what is None is left to the hub.

    `timeout` is in whole seconds. `grep` (RE2 syntax), `tail_lines`, `max_lines` and `max_output_bytes` say what of
    stdout is wanted; the agent applies them in this order. `keep_full_output` keeps the rest for `result(full=True)`.
    """

    command_type: str
    args: Sequence[str] = ()
    timeout: int | None = None
    grep: str | None = None
    tail_lines: int | None = None
    max_lines: int | None = None
    max_output_bytes: int | None = None
    keep_full_output: bool = False

    def body(self) -> Json:
        """Its JSON, without the cluster and the session. Raises TypeError for words in one string."""
        if isinstance(self.args, str):
            raise TypeError('args is a list of words: ["pods", "-A"], not "pods -A"')
        body: Json = {"command_type": self.command_type, "args": list(self.args)}
        for name in ("timeout", "grep", "tail_lines", "max_lines", "max_output_bytes"):
            value = getattr(self, name)
            if value is not None:
                body[name] = value
        if self.keep_full_output:
            body["keep_full_output"] = True
        return body
