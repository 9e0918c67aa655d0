#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.warm_cache; the action plugin of the same name decides which caches go where."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: warm_cache
short_description: Give compile caches from proven services to hosts that start the same
description:
  - What an engine compiled at its first start is kept after its endpoint was proved, fetched once to the control node, and
    brought to other hosts before theirs. A cache fits where release, installed engine, weights, arguments, environment, GPUs and
    driver (or the CPU) are the same.
  - No start depends on it. Whatever cannot be kept or brought is a warning, and the engine compiles.
  - Caches lie below C(/var/lib/vllm/warm) as root's, by their key, each with a manifest and its SHA-256. Another one is not
    taken. Files are read and written as the engines' user, and none that is there is replaced.
version_added: "0.2.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  step:
    description:
      - V(bring), before units start - send what fits and is not there, and copy it to where the engine looks.
      - V(collect), after full proofs - keep what was compiled, and fetch what the control node lacks.
      - V(facts) and V(keep) are what the action plugin asks the host.
    type: str
    choices: [bring, collect, facts, keep]
    default: bring
  services:
    description: The host's services as M(baremetal.vllm.plan) returns them.
    type: list
    elements: dict
    default: []
  results:
    description: With O(step=collect), what M(baremetal.vllm.endpoint_check) returned (C(results)).
    type: list
    elements: dict
    default: []
  directory:
    description: Where the control node keeps caches; C($XDG_CACHE_HOME/baremetal-vllm/warm) where it is empty.
    type: path
    default: ''
  look:
    description: With O(step=bring), the name of the variable that holds a look at the host (M(baremetal.vllm.host_state)); it is
      not asked again what that has found.
    type: str
    default: ''
  bundle:
    description: With O(step=bring), the directory of a bundle (M(baremetal.vllm.bundle)) whose caches are first taken into
      O(directory). Read by the action plugin.
    type: path
    default: ''
  caches:
    description: What was sent, by key. Set by the action plugin.
    type: dict
    default: {}
  host:
    description: The host's name in the inventory. Set by the action plugin.
    type: str
    default: ''
attributes:
  check_mode:
    support: full
    description: Says what would be brought; nothing is collected.
  diff_mode:
    support: none
    description: Compiled code has no difference that anybody could read.
"""

EXAMPLES = r"""
- name: Bring compile caches
  baremetal.vllm.warm_cache:
    services: "{{ model_service_services }}"
  become: true

- name: Keep what was compiled
  baremetal.vllm.warm_cache:
    step: collect
    services: "{{ endpoint_check_services }}"
    results: "{{ __endpoint_check_results.results }}"
  become: true
"""

RETURN = r"""
brought:
  description: By service C(cold), why no cache was brought, or C(key), C(host) (where it was made) and C(files) (how many new).
  returned: step bring
  type: dict
collected:
  description: Services whose caches the control node has now and had not before, by name their keys.
  returned: step collect
  type: dict
"""

import datetime
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.warm import cache
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.compiled import places
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.facts import engine_facts, host_facts
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.keep import keep, prune
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import CompiledFor, digest, parts
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.place import adopt, is_placed, place


def parts_of(service: dict[str, Any]) -> dict[str, str] | None:
    """What the key of a service's cache is made of on this host; None where its engine is not there."""
    asked = CompiledFor(**service["compiled_for"])
    engine = engine_facts(Path(service["engine"]))
    return None if engine is None else parts(asked, host_facts(asked.accelerator), engine)


def facts(module: AnsibleModule) -> dict[str, Any]:
    """By service its parts, and whether its cache is `held` in the store and `placed` where the engine looks."""
    found = {}
    for service in module.params["services"]:
        told = parts_of(service)
        key = digest(told) if told else ""
        held = bool(key) and (cache.ROOT / key / cache.MANIFEST).is_file()
        found[service["name"]] = {"parts": told, "held": held, "placed": held and is_placed(key)}
    return {"changed": False, "facts": found}


def bring(module: AnsibleModule) -> dict[str, Any]:
    """Take what was sent into the store, and copy what each service needs; a cache that is refused has its reason."""
    placed, refused = {}, {}
    for name, sent in module.params["caches"].items():
        try:
            if sent["archive"]:
                adopt(Path(sent["archive"]), sent["manifest"], sent["key"])
            placed[name] = place(sent["key"])
        except (cache.CacheError, OSError) as error:
            refused[name] = str(error)
    prune()
    return {"changed": any(placed.values()), "placed": placed, "refused": refused}


def collect(module: AnsibleModule) -> dict[str, Any]:
    """Keep the caches of services that were proved; their manifests by service."""
    kept, refused = {}, {}
    states = systemd.show([service["unit"] for service in module.params["services"]])
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    for service in module.params["services"]:
        name, told = service["name"], parts_of(service)
        state = states.get(service["unit"])
        if told is None or state is None or not state.invocation:
            continue
        try:
            known = digest(told) in service["known"]
            lines = systemd.journal(service["unit"], state.invocation, lines=20000)
            made = None if known else keep(told, places(lines), now, name, module.params["host"])
        except (cache.CacheError, OSError) as error:
            refused[name] = str(error)
            continue
        if made is not None:
            kept[name] = asdict(made)
    prune()
    return {"changed": bool(kept), "kept": kept, "refused": refused}


STEPS = {"facts": facts, "bring": bring, "keep": collect}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "choices": ["bring", "collect", "facts", "keep"], "default": "bring"},
            "services": {"type": "list", "elements": "dict", "default": []},
            "results": {"type": "list", "elements": "dict", "default": []},
            "directory": {"type": "path", "default": ""},
            "look": {"type": "str", "default": ""},
            "bundle": {"type": "path", "default": ""},
            "caches": {"type": "dict", "default": {}},
            "host": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**STEPS[module.params["step"]](module))
    except (systemd.SystemdError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
