"""Write data/variables.json, every variable an operator may set: ``variables.py [FILE]``.

They are read from where they are used, so that none is listed by hand: the roles' argument specifications and defaults, the
expressions of playbooks and of roles' tasks, the JSON Schema for editors, and what the plan reads of hosts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import yaml
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import request as driver
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.at_hand import ENGINE_KEYS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway import request as gateway
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release, releases
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.gateway import GATEWAY_KEYS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import HOST_KEYS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.schema import variables as schema

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "data" / "variables.json"
# What Ansible itself brings: its magic variables, and the functions of its templates.
ANSIBLES = {
    *("groups", "group_names", "hostvars", "inventory_hostname", "playbook_dir", "role_path", "vars"),
    *("item", "lookup", "omit", "query"),
}
# Tasks' keys whose whole value is an expression.
_EXPRESSIONS = {"when", "failed_when", "changed_when", "until", "that", "var"}
_JINJA = jinja2.Environment()


def variables() -> list[str]:
    """The names, sorted. Those that begin with `__` pass between tasks and are nobody's to set."""
    found = set(_of_specifications()) | set(_of_python())
    for path in [*(ROOT / "playbooks").glob("**/*.yml"), *(ROOT / "roles").glob("*/*/*.yml")]:
        if path.parent.name not in ("meta", "vars"):
            found.update(expressions(yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)))
    return sorted(name for name in found if not name.startswith(("_", "ansible_")) and name not in ANSIBLES)


def expressions(part: Any, whole: bool = False) -> Iterator[str]:
    """The variables that a part of a playbook reads; `whole`: its texts are expressions without braces."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield from expressions(value, key in _EXPRESSIONS)
    elif isinstance(part, list):
        for item in part:
            yield from expressions(item, whole)
    elif isinstance(part, str):
        for node in _JINJA.parse("{{ " + part + " }}" if whole else part).find_all(jinja2.nodes.Name):
            if node.ctx == "load":
                yield node.name


def _of_specifications() -> Iterator[str]:
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            yield from entry.get("options", {})
    for path in (ROOT / "roles").glob("*/defaults/main.yml"):
        yield from yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def _of_python() -> Iterator[str]:
    """What plugins read of hosts by themselves."""
    newest = release(releases()[-1])
    assert newest is not None
    properties = schema(newest)["properties"]
    assert isinstance(properties, dict)
    yield from (*HOST_KEYS, *GATEWAY_KEYS, *ENGINE_KEYS, *properties)
    yield from (*driver.KEYS, *driver.ROLE_KEYS, *gateway.KEYS, *gateway.ROLE_KEYS)


class _Loader(yaml.SafeLoader):
    """Ansible's own tags (`!vault`, `!unsafe`) are text here."""


_Loader.add_multi_constructor("!", lambda loader, tag, node: None)


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    text = json.dumps(variables(), indent=0) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"{path} written")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
