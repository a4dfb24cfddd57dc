"""docs/errors.md has every error a caller can meet, and no other."""

import ast

from hub.api import validation
from schemas.errors import CATALOGUE
from tests.support.documents import ROOT, code, modules, rows, section

ERRORS = ROOT / "docs" / "errors.md"


def test_every_code_of_the_catalogue_is_explained() -> None:
    table = rows(section(ERRORS, "The codes"))
    listed = {code(row[0]): (int(row[1]), row[2] == "yes") for row in table}
    assert listed == {row.code: (row.status, row.is_retryable) for row in CATALOGUE.values()}
    assert [code(row[0]) for row in table] == list(CATALOGUE)


def test_every_detail_code_the_hub_can_raise_is_explained() -> None:
    listed = {code(row[0]) for row in rows(section(ERRORS, "What is wrong with a request"))}
    assert listed == _detail_codes()


def _detail_codes() -> set[str]:
    """The codes written out in the hub's source, and those its validation makes of marshmallow's messages."""
    found = {detail_code for _, detail_code in validation._CODES}
    for tree in modules("hub").values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("InvalidRequest", "super().__init__"):
                values = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            elif isinstance(node, ast.Dict):
                values = [
                    value
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant) and key.value == "code"
                ]
            else:
                continue
            found |= {
                value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)
            }
    return found
