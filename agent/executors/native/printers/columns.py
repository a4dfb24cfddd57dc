"""`-o custom-columns=SPEC`: a table whose columns are JSONPath expressions. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.jsonpath import MAX_TEXT, Allowance, JsonPath, JsonPathError, relaxed
from agent.executors.native.printers.tabwriter import TabWriter
from agent.executors.native.printers.values import go_text

_MISSING: Final = "<none>"
_TOO_LARGE: Final = f"error: the table is larger than {MAX_TEXT} characters"
_TOO_DEEP: Final = "error: the object is nested too deep"

# What could steer a terminal; kubectl leaves all else, tabs and newlines too, which upset its table as they do ours.
_ESCAPES: Final = str.maketrans({"\x1b": "^[", "\r": "\\r"})


class CustomColumns:
    """The printer of one command: feed it the objects as they come, the header goes before the first.

    When `feed` raises, kubectl has printed what came before: write the text of `flush`, then the error.
    """

    def __init__(self, spec: str, *, has_headers: bool = True) -> None:
        """`spec` is what follows `custom-columns=`: `NAME:.metadata.name,IMAGES:.spec.containers[*].image`.

        Raises CommandFailed in kubectl's words for a spec that cannot be read.
        """
        self._headers, self._templates = _columns(spec)
        self._paths: list[JsonPath] | None = None
        self._has_header_to_come = has_headers
        self._writer = TabWriter()
        self._length = 0
        self._allowance = Allowance()

    def feed(self, objects: Iterable[Mapping[str, Any]], *, are_listed: bool = False) -> None:
        """Take more decoded objects; of no objects at all kubectl prints the header. `are_listed`: they are of a list,
        or several, which kubectl puts into a `List`; not one object by name, or in a watch (jsonpath.relisted).

        Raises CommandFailed when a path cannot be read or does not fit an object, or when there is too much text.
        """
        if self._has_header_to_come:
            self._has_header_to_come = False
            self._writer.feed("\t".join(self._headers) + "\n")
        lines: list[str] = []
        try:
            # Read only now: kubectl prints the header before it looks at the paths.
            if self._paths is None:
                self._paths = [JsonPath.parse(template) for template in self._templates]
            for obj in objects:
                self._allowance.grow()
                found = [path.find(obj, is_listed=are_listed, allowance=self._allowance) for path in self._paths]
                line = "\t".join(map(_cell, found)) + "\n"
                self._length += len(line)
                if self._length > MAX_TEXT:
                    raise CommandFailed(_TOO_LARGE)
                lines.append(line)
        except JsonPathError as error:
            raise CommandFailed(error.plain) from None
        except RecursionError:
            raise CommandFailed(_TOO_DEEP) from None
        finally:
            self._writer.feed("".join(lines))

    def pieces(self) -> Iterator[str]:
        """The text of all that was fed since the last flush, columns aligned over it, piece by piece.

        One long cell pads every line: the whole can be far larger than what was fed.
        """
        self._length = 0
        self._allowance = Allowance()
        return self._writer.pieces()

    def flush(self) -> str:
        """The same in one string. Raises CommandFailed when it is too long."""
        texts: list[str] = []
        length = 0
        for piece in self.pieces():
            length += len(piece)
            if length > MAX_TEXT:
                raise CommandFailed(_TOO_LARGE)
            texts.append(piece)
        return "".join(texts)


def _columns(spec: str) -> tuple[list[str], list[str]]:
    """The headers and the templates of a spec."""
    if not spec:
        raise CommandFailed("error: custom-columns format specified but no custom columns given")
    headers: list[str] = []
    templates: list[str] = []
    # A comma in a path is not seen as such: kubectl has no unions and no such filters here.
    for column in spec.split(","):
        header, colon, path = column.partition(":")
        if not colon:
            raise CommandFailed(f"error: unexpected custom-columns spec: {column}, expected <header>:<json-path-expr>")
        headers.append(header)
        try:
            templates.append(relaxed(path))
        except JsonPathError as error:
            raise CommandFailed(error.plain) from None
    return headers, templates


def _cell(found: list[list[Any]]) -> str:
    values = [value for values in found for value in values]
    return ",".join([go_text(value).translate(_ESCAPES) for value in values]) if values else _MISSING
