"""Options put together from paths: what was given stays, and nothing is overwritten without a word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.known import Path, data


class Store:
    """Options in the order in which they are to be written. A name can be held before its turn to be written comes."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._order: dict[str, None] = {}
        self.touched: set[str] = set()

    def hold(self, option: str, value: Any) -> None:
        """A value that stands, whatever is merged into it."""
        self._values[option] = value

    def turn(self, option: str) -> None:
        """The option is written here, unless it was before."""
        self._order.setdefault(option)

    def merge(self, path: Path, value: Any) -> Any:
        """Put one value where nothing stands. Returns None, or the value that stands there and differs.

        A dictionary joins one that stands there, key by key: [conflicting value] is that of the first key that differs.
        """
        option = path[0]
        self.turn(option)
        if option not in self._values:
            self._values[option] = _nested(path[1:], _copy(data(value)))
            return None
        standing = data(self._values[option])
        if len(path) > 1 and not isinstance(standing, Mapping):
            return [standing]
        tree = {option: _copy(standing)}
        clash = _put(tree, path, _copy(data(value)))
        if tree[option] != standing:
            self._values[option] = tree[option]
            self.touched.add(option)
        return clash

    def items(self) -> Iterable[tuple[str, Any]]:
        """Options with their values as merged, in the order in which they were written first."""
        return [(option, self._values[option]) for option in self._order if option in self._values]


def _put(tree: dict[str, object], path: Path, value: Any) -> Any:
    key, rest = path[0], path[1:]
    if key not in tree:
        tree[key] = _nested(rest, value)
        return None
    there = tree[key]
    if rest:
        return _put(there, rest, value) if isinstance(there, dict) else [there]
    if isinstance(value, dict) and isinstance(there, dict):
        clashes = [_put(there, (inner,), item) for inner, item in value.items()]
        return next((clash for clash in clashes if clash is not None), None)
    return None if there == value else [there]


def _nested(keys: Path, value: Any) -> Any:
    for key in reversed(keys):
        value = {key: value}
    return value


def _copy(value: Any) -> Any:
    """Plain data of its own, so that what the operator wrote is never changed."""
    if isinstance(value, Mapping):
        return {str(key): _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, (list, tuple)) else value


def gathered(ends: Iterable[tuple[Path, Any]]) -> dict[str, object]:
    """Paths and values as options, the keys of each under it."""
    store = Store()
    for path, value in ends:
        store.merge(path, value)
    return dict(store.items())
