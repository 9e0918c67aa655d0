"""Whether a release takes an option, one of its keys, or a value, as far as names and choices say.

Paths are tuples: the option, then the keys inside its JSON value. Whether a number is in bounds, or a text well formed,
is `flags.check`'s to say; here it matters only what went away or came.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Field, Option, Release

Path = tuple[str, ...]
# Types whose value is one JSON object, so that it has keys.
KEYED = ("json", "json-or-str", "config", "kvs")


def find(release: Release, option: str) -> Option | None:
    """The option of this name, or of which this is an alias. Names that switch an option off are none of its names."""
    spec = release.options.get(release.spellings.get(option, ""))
    return spec if spec is not None and option not in spec.negatives else None


def data(value: Any) -> Any:
    """A JSON object or list given as text, as data; everything else as it is."""
    if isinstance(value, str) and value.strip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def accepts(release: Release, path: Path, value: Any) -> bool:
    """Whether names and choices of `release` let this value stand at this path."""
    spec = find(release, path[0])
    if spec is None:
        return False
    if len(path) == 1:
        return _takes(spec, data(value), release)
    if spec.type not in KEYED:
        return False
    return _inside(release, spec.config, path[1:], data(value))


def knows(release: Release, path: Path) -> bool:
    """Whether `release` has this option, or this key of it, whatever the value."""
    spec = find(release, path[0])
    if spec is None or len(path) == 1:
        return spec is not None
    return spec.type in KEYED and _field(release, spec.config, path[1:]) is not None


def _takes(spec: Option, value: Any, release: Release) -> bool:
    if spec.type in ("json", "config") and not isinstance(value, (Mapping, list, tuple)):
        return False
    if isinstance(value, Mapping):
        return all(_inside(release, spec.config, (str(key),), item) for key, item in value.items())
    items = value if isinstance(value, (list, tuple)) and spec.arity in ("list", "repeated") else [value]
    known = spec.choices if spec.choices is not None else spec.suggestions
    return known is None or all(_chosen(item, known, spec.type in ("caseless", "folded")) for item in items)


def _inside(release: Release, config: str | None, keys: Path, value: Any) -> bool:
    field = _field(release, config, keys)
    if field is None:
        return False
    if field.config and isinstance(value, Mapping):
        return all(_inside(release, field.config, (str(key),), item) for key, item in value.items())
    items = value if field.many and isinstance(value, (list, tuple)) else [value]
    return field.choices is None or all(
        (item is None and field.nullable) or _chosen(item, field.choices, field.type in ("caseless", "folded"))
        for item in items
    )


def _field(release: Release, config: str | None, keys: Path) -> Field | None:
    """The field at the end of `keys`; one that takes anything where the dataclass is not known or lets all keys pass."""
    known = release.configs.get(config or "")
    if known is None:
        return Field(keys[0], type="any")
    field = known.fields.get(keys[0])
    if field is None:
        return Field(keys[0], type="any") if known.extra == "allowed" else None
    return field if len(keys) == 1 else _field(release, field.config, keys[1:])


def _chosen(value: Any, known: tuple[Any, ...], folded: bool) -> bool:
    if folded and isinstance(value, str):
        return _fold(value) in {_fold(str(name)) for name in known}
    # A number in quotes is a matter of style: the parser reads words.
    return any(value == name or str(value) == str(name) for name in known)


def _fold(text: str) -> str:
    return text.lower().replace("-", "_")


@lru_cache(maxsize=4096)
def history(path: Path) -> tuple[str, ...]:
    """Every release that knows the path, oldest first."""
    return tuple(version for version, release in every() if knows(release, path))


def knowing(path: Path, asked: Iterable[Release | None]) -> Release | None:
    """The first of the releases asked that has the option and its key, else the newest of all that has; None where none does."""
    for release in asked:
        if release is not None and knows(release, path):
            return release
    having = history(path)
    return load.release(having[-1]) if having else None


def every() -> Iterator[tuple[str, Release]]:
    """Version and facts of every release that the catalogue has, oldest first."""
    for version in load.releases():
        release = load.release(version)
        if release is not None:
            yield version, release
