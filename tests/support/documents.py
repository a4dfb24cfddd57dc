"""The project's documents as data: their headings, code blocks, tables and links."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]

_PARSER = MarkdownIt("commonmark").enable("table")
_CODE = re.compile(r"`([^`]*)`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced code block under `heading`; `language` is the word behind the fence, "" for none."""

    heading: str
    language: str
    content: str
    line: int


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not any(
            part.startswith(".") or part in {"build", "dist", "node_modules"} for part in path.relative_to(ROOT).parts
        )
    )


def read(name: str) -> str:
    """A document by its path from the project's folder."""
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def tokens(path: Path) -> tuple[Token, ...]:
    """A document, parsed."""
    return tuple(_PARSER.parse(path.read_text(encoding="utf-8")))


def headings(path: Path, level: int | None = None) -> list[str]:
    """The headings of a document, with their marks: "### `run`" gives "`run`"."""
    parsed = tokens(path)
    return [
        parsed[index + 1].content
        for index, token in enumerate(parsed)
        if token.type == "heading_open" and level in (None, int(token.tag[1:]))
    ]


def section(path: Path, heading: str) -> str:
    """The source below a heading, up to the next one of its level or above."""
    lines = path.read_text(encoding="utf-8").split("\n")
    parsed = tokens(path)
    start = level = None
    for index, token in enumerate(parsed):
        if token.type != "heading_open" or token.map is None:
            continue
        depth = int(token.tag[1:])
        if start is not None and level is not None and depth <= level:
            return "\n".join(lines[start : token.map[0]])
        if parsed[index + 1].content == heading:
            start, level = token.map[1], depth
    if start is None:
        raise LookupError(f"{path.name} has no heading {heading}")
    return "\n".join(lines[start:])


def blocks(path: Path) -> list[Block]:
    """The fenced code blocks of a document, in order."""
    found: list[Block] = []
    heading = ""
    parsed = tokens(path)
    for index, token in enumerate(parsed):
        if token.type == "heading_open":
            heading = parsed[index + 1].content
        elif token.type == "fence" and token.map is not None:
            found.append(Block(heading, token.info.strip(), token.content, token.map[0] + 1))
    return found


def rows(markdown: str) -> list[list[str]]:
    """The rows of every table in a piece of Markdown, heads left out, cells as they are written."""
    found: list[list[str]] = []
    parsed = _PARSER.parse(markdown)
    for index, token in enumerate(parsed):
        if token.type == "tr_open":
            found.append([])
        elif token.type == "td_open":
            found[-1].append(parsed[index + 1].content)
    return [row for row in found if row]


def code(cell: str) -> str:
    """What stands between the first backticks of a cell; "" when there are none."""
    found = _CODE.search(cell)
    return found[1] if found else ""


def all_code(text: str) -> list[str]:
    """Everything that stands between backticks."""
    return _CODE.findall(text)


def links(path: Path) -> Iterator[str]:
    """The target of every link and picture of a document."""
    for token in tokens(path):
        for child in token.children or ():
            if child.type == "link_open":
                yield str(child.attrs["href"])
            elif child.type == "image":
                yield str(child.attrs["src"])


def anchor(heading: str) -> str:
    """The anchor a heading gets: "`run` and `exit`" is "run-and-exit"."""
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.replace(" ", "-")


@cache
def modules(package: str) -> dict[Path, ast.Module]:
    """Every module of a package of ours, parsed."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / package).rglob("*.py"))}
