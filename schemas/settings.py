"""How settings are put together, for hub and agent alike: defaults < file < environment < flags.

Each program declares nested dataclasses of its own; this module merges the layers and checks them with msgspec. It is
pure: the caller reads the file, the environment and the command line.
"""

import dataclasses
import difflib
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")


class SettingsError(ValueError):
    """A setting that is unknown or has a bad value; the message names it and where it came from."""


def load(
    cls: type[T],
    *,
    file: Mapping[str, Any],
    environ: Mapping[str, str],
    prefix: str,
    flags: Mapping[str, Any],
    reserved: frozenset[str] = frozenset(),
) -> T:
    """Build settings of type `cls`.

    `file` is the parsed TOML, `{"server": {"port": 8080}}`. In `environ` a setting is `<prefix><SECTION>_<NAME>` (for
    example `KUBENTLY_HUB_SERVER_PORT`), a top-level one `<prefix><NAME>`; names in `reserved` are read elsewhere and
    passed over. `flags` maps dotted paths to values, None for a flag that was not given: `{"server.port": 8080}`.
    Raises SettingsError.
    """
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for section, value in file.items():
        if isinstance(value, Mapping):
            for name, item in value.items():
                _put(merged, origins, f"{section}.{name}", item, "the settings file")
        else:
            _put(merged, origins, section, value, "the settings file")

    variables = {variable: path for path, variable in environment_names(cls, prefix).items()}
    for variable, text in environ.items():
        if not variable.startswith(prefix) or variable in reserved:
            continue
        if variable not in variables:
            raise SettingsError(f"{variable} (environment) is no setting{_nearest(variable, variables)}")
        path = variables[variable]
        _put(merged, origins, path, _from_text(cls, path, text), variable)

    for path, value in flags.items():
        if value is not None:
            _put(merged, origins, path, value, "the command line")

    known = {path for path, _ in walk(cls)}
    for path, origin in origins.items():
        if path not in known:
            raise SettingsError(f"{path} ({origin}) is no setting{_nearest(path, known)}")
    try:
        return msgspec.convert(merged, cls, strict=False)
    except msgspec.ValidationError as error:
        reason, at, where = str(error).partition(" - at `$.")
        if not at:  # the __post_init__ of the settings as a whole, which names the setting itself
            raise SettingsError(reason) from None
        path = where.rstrip("`").partition("[")[0]
        raise SettingsError(f"{path} ({origins.get(path, 'default')}): {reason[:1].lower()}{reason[1:]}") from None
    except ValueError as error:  # a dataclass's own __post_init__
        raise SettingsError(str(error)) from None


def walk(cls: type[Any]) -> list[tuple[str, dataclasses.Field[Any]]]:
    """List every setting of a settings class as (dotted path, field): `("server.port", Field(...))`."""
    rows: list[tuple[str, dataclasses.Field[Any]]] = []
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[field.name]):
            rows += [(f"{field.name}.{path}", inner) for path, inner in walk(hints[field.name])]
        else:
            rows.append((field.name, field))
    return rows


def environment_names(cls: type[Any], prefix: str) -> dict[str, str]:
    """Map every setting's path to its environment variable: `{"server.port": "KUBENTLY_HUB_SERVER_PORT"}`."""
    return {path: prefix + path.replace(".", "_").upper() for path, _ in walk(cls)}


def _put(merged: dict[str, Any], origins: dict[str, str], path: str, value: Any, origin: str) -> None:
    section, dot, name = path.partition(".")
    if dot:
        inner = merged.setdefault(section, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"{section} ({origins[section]}) is a section, not a value")
        inner[name] = value
    else:
        merged[path] = value
    origins[path] = origin


def _from_text(cls: type[Any], path: str, text: str) -> Any:
    """Split a list's text at its commas; everything else msgspec reads from text itself."""
    annotation: Any = cls
    for name in path.split("."):
        annotation = get_type_hints(annotation)[name]
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    if any(get_origin(option) in (list, tuple) for option in options):
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _nearest(word: str, candidates: Any) -> str:
    close = difflib.get_close_matches(word, list(candidates), n=1)
    return f"; did you mean {close[0]}?" if close else ""
