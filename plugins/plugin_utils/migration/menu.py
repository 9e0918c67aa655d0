"""The whole menu for another release, however wrong it is for its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problem, Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.move import Moved, move_entry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import NO_EXTRAS, Extras


def move_menu(
    models: Any,
    to: str,
    releases: Mapping[str, object],
    match: Callable[[str], Sequence[str]],
    came_from: str | None = None,
    extras: Extras = NO_EXTRAS,
    accelerators: Mapping[str, object] | None = None,
) -> tuple[dict[str, Moved], dict[str, list[str]], list[Problem]]:
    """Every entry moved, the releases that its hosts run, and what could not be read.

    `releases`: host to its `vllm_version`; `match`: a host pattern to host names; `came_from` stands for all hosts where
    it is given; `accelerators`: a host to its own, where it says one.
    Where the hosts of an entry run several releases, what changes its meaning is told from the oldest on.
    """
    problems = Problems()
    moved: dict[str, Moved] = {}
    froms: dict[str, list[str]] = {}
    if not isinstance(models, Mapping):
        problems.add("vllm_models", "is not a dictionary", "Write one key per model: `vllm_models: {my-model: {...}}`")
        return moved, froms, sorted(problems.found)
    for name, entry in models.items():
        at = f"vllm_models.{name}"
        if not isinstance(entry, Mapping):
            problems.add(at, "is not a dictionary", "Give it at least `model:` and `kind:`")
            continue
        names = _hosts(entry.get("hosts"), releases, match)
        versions = [came_from] if came_from else _versions(names, releases)
        kinds = {str((accelerators or {}).get(host) or "") for host in names}
        froms[str(name)] = versions
        parts = [_mapping(f"{at}.{key}", entry.get(key), problems) for key in ("args", "env")]
        moved[str(name)] = move_entry(parts[0], parts[1], to, versions[0] if versions else None, extras, kinds - {""})
    return moved, froms, sorted(problems.found)


def _hosts(hosts: Any, releases: Mapping[str, object], match: Callable[[str], Sequence[str]]) -> list[str]:
    """The entry's hosts; all of them where its pattern says nothing."""
    return list(match(hosts)) if isinstance(hosts, str) and hosts else list(releases)


def _versions(names: Sequence[str], releases: Mapping[str, object]) -> list[str]:
    """The releases that these hosts run, oldest first."""
    found = {str(releases[name]) for name in names if releases.get(name)}
    return sorted(found, key=numbers)


def _mapping(at: str, value: Any, problems: Problems) -> dict[str, object]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    problems.add(at, "is not a dictionary with names as keys", "Write `name: value` pairs below it")
    return {}
