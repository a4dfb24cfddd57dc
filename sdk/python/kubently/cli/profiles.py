"""What `kubently login` remembers: hubs by name, and for each its key, in the OS keyring or a file of mode 0600.

`$XDG_CONFIG_HOME/kubently/profiles.json` (`~/.config/...` without), or what KUBENTLY_CONFIG names:
`{"current": "work", "profiles":
{"work": {"endpoint": "https://...", "key": "file", "ca_file": null, "cluster": null}}}`.
Keys that the keyring does not take are beside it in `keys.json`: `{"work": "kubently_key_..."}`.
"""

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from kubently.cli.failures import UsageError

CONFIG_VARIABLE: Final = "KUBENTLY_CONFIG"
PROFILE_VARIABLE: Final = "KUBENTLY_PROFILE"
_SERVICE: Final = "kubently"
_DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class Profile:
    """A hub. `key` says where its key is: `"keyring"` or `"file"`. `cluster` is the default one, None for none."""

    endpoint: str
    key: str = "file"
    ca_file: str | None = None
    cluster: str | None = None


class Profiles:
    """The file of profiles. Raises UsageError for one that cannot be read or written."""

    def __init__(self, path: Path | None = None) -> None:
        configured = os.environ.get(CONFIG_VARIABLE)
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        self.path = path or (Path(configured) if configured else home / "kubently" / "profiles.json")
        content = _read(self.path)
        found = content.get("profiles", {})
        try:
            self.all = {name: Profile(**fields) for name, fields in found.items()}
        except (TypeError, AttributeError):
            raise UsageError(f"{self.path} is not a file of profiles; mend or remove it") from None
        self.current: str = os.environ.get(PROFILE_VARIABLE) or content.get("current") or _DEFAULT

    def get(self, name: str | None) -> Profile | None:
        """A profile, `name` None: the current one; None when there is none. Raises UsageError for unknown names."""
        wanted = name or self.current
        if wanted not in self.all:
            if name is None and wanted == _DEFAULT:
                return None
            known = ", ".join(sorted(self.all)) or "none yet"
            raise UsageError(
                f"there is no profile {wanted}; there are: {known}. `kubently login --profile {wanted}` makes it"
            )
        return self.all[wanted]

    def put(self, name: str, profile: Profile, api_key: str, *, wants_keyring: bool) -> Profile:
        """Keep a profile with its key and make it the current one; the profile as it was kept."""
        is_in_keyring = wants_keyring and _put_in_keyring(f"{name}@{profile.endpoint}", api_key)
        kept = Profile(profile.endpoint, "keyring" if is_in_keyring else "file", profile.ca_file, profile.cluster)
        keys = _read(self._keys)
        keys.pop(name, None)
        if not is_in_keyring:
            keys[name] = api_key
        _write(self._keys, keys)
        self.all[name] = kept
        self.use(name)
        return kept

    def use(self, name: str) -> None:
        """Make a profile the current one. Raises UsageError."""
        self.get(name)
        self.current = name
        content = {"current": name, "profiles": {each: asdict(profile) for each, profile in sorted(self.all.items())}}
        _write(self.path, content)

    def remove(self, name: str) -> None:
        """Forget a profile and its key. Raises UsageError for one there is not."""
        profile = self.all.pop(name, None)
        if profile is None:
            raise UsageError(f"there is no profile {name}")
        if profile.key == "keyring":
            _remove_from_keyring(f"{name}@{profile.endpoint}")
        keys = _read(self._keys)
        if keys.pop(name, None) is not None:
            _write(self._keys, keys)
        current = next(iter(sorted(self.all)), _DEFAULT) if self.current == name else self.current
        content = {"current": current, "profiles": {each: asdict(found) for each, found in sorted(self.all.items())}}
        _write(self.path, content)

    def api_key(self, name: str | None) -> str | None:
        """The key of a profile, None where it is gone."""
        wanted = name or self.current
        profile = self.all[wanted]
        if profile.key == "keyring":
            return _get_from_keyring(f"{wanted}@{profile.endpoint}")
        key = _read(self._keys).get(wanted)
        return key if isinstance(key, str) else None

    @property
    def _keys(self) -> Path:
        return self.path.with_name("keys.json")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a file of profiles; mend or remove it")
    return content


def _write(path: Path, content: dict[str, Any]) -> None:
    """Replace a file at once, readable by its owner alone: whoever reads meanwhile reads the old one or the new one."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # of mode 0600
        try:
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
                json.dump(content, file, indent=2)
                file.write("\n")
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _put_in_keyring(name: str, api_key: str) -> bool:
    """Whether the keyring took it. There is none on most servers, which is no fault."""
    try:
        import keyring

        keyring.set_password(_SERVICE, name, api_key)
        return keyring.get_password(_SERVICE, name) == api_key
    except Exception:  # noqa: BLE001 - a border: backends of all kinds, which fail in ways of their own
        return False


def _get_from_keyring(name: str) -> str | None:
    try:
        import keyring

        return keyring.get_password(_SERVICE, name)
    except Exception as error:  # noqa: BLE001 - as above
        raise UsageError(
            f"the keyring does not give the key of this profile: {error}; `kubently login` again"
        ) from None


def _remove_from_keyring(name: str) -> None:
    with contextlib.suppress(Exception):
        import keyring

        keyring.delete_password(_SERVICE, name)
