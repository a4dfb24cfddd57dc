"""Every relative link of every document leads to a file that is there, and to a heading that it has."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.documents import ROOT, anchor, documents, headings, links, read


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_resolve(path: Path) -> None:
    for link in links(path):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if parts.fragment:
            assert parts.fragment in {anchor(heading) for heading in headings(target)}, link


def test_every_page_of_docs_is_linked_from_the_readme() -> None:
    linked = {urlsplit(link).path for link in links(ROOT / "README.md")}
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= linked


def test_the_readme_begins_with_what_runs_it_and_what_tests_it() -> None:
    first_screen = "\n".join(read("README.md").split("\n")[:30])
    assert "scripts/demo" in first_screen
    assert "scripts/test" in first_screen


def test_scripts_that_documents_name_exist() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "docs/operations.md"):
        for word in read(name).replace("`", " ").split():
            if word.startswith("scripts/") and word.rstrip(".,;:)") != "scripts/":
                assert (ROOT / word.rstrip(".,;:)")).exists(), f"{name}: {word}"
