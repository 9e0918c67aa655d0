#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.host_state; the action plugin of the same name renders the units and judges the engine."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_state
short_description: Tell what runs on a host and what the plan would change there
description:
  - Reads units, processes, drop-ins, the engine and the weights of one host, and decides by the same functions as
    M(baremetal.vllm.model_service), M(baremetal.vllm.engine) and M(baremetal.vllm.model_weights) what they would do.
  - Changes nothing, with and without check mode, and takes one round trip. Secrets are not sent to the host.
  - Root sees all of it. Another user sees units and command lines; whether the environment of a process and its secrets
    are current is then not known, and RV(whole) is false.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  services:
    description: The host's services as M(baremetal.vllm.plan) returns them.
    type: list
    elements: dict
    default: []
  engine:
    description: The host's engine as M(baremetal.vllm.plan) returns it; empty where none is planned.
    type: dict
    default: {}
  weights:
    description: The host's weights as M(baremetal.vllm.plan) returns them.
    type: list
    elements: dict
    default: []
  api_key:
    description: The key that guards the endpoints. Only a digest of it leaves the control node.
    type: str
  secret_env:
    description: Further secret environment variables of every engine. Only a digest of them leaves the control node.
    type: dict
    default: {}
  keep:
    description:
      - Releases that are kept although nobody uses them.
      - What is not given of this, O(prune), O(packages), O(source), O(wheelhouse), O(lock) and O(rocm) is as the host has it
        for the role P(baremetal.vllm.vllm_engine#role), such as C(vllm_engine_keep), or as that role has it.
    type: list
    elements: str
  prune:
    description: Whether releases that nobody uses are removed.
    type: bool
  packages:
    description: System packages that the engine needs, by distribution or family.
    type: dict
  source:
    description: Where the engine comes from. Read by the action plugin, for the lock that an installation must have.
    type: str
    choices: [wheelhouse, index]
  wheelhouse:
    description: A wheelhouse on the control node, or the directory that holds several. Read by the action plugin.
    type: path
  lock:
    description: The lock on the control node for O(source=index). Read by the action plugin.
    type: path
  restart_replaced:
    description:
      - Whether a unit whose process still uses libraries that an update has replaced counts as one to be restarted. RV(units)
        names them in any case. One under which the NVIDIA driver was replaced never counts, because it would not start again
        before the kernel's module is exchanged.
    type: bool
    default: false
  rocm:
    description: The build for ROCm, such as V(rocm72); the release's first one where it is left out. Read by the action plugin.
    type: str
  units:
    description: The units as the action plugin has rendered them from O(services).
    type: list
    elements: dict
    default: []
  files:
    description: Other files, as the action plugin has rendered them.
    type: list
    elements: dict
    default: []
  secrets_path:
    description: Where the secrets lie on the host.
    type: path
    default: /etc/vllm/secrets/api_key.env
  secrets_digest:
    description: SHA-256 of the planned secrets. Set by the action plugin.
    type: str
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
  diff_mode:
    support: none
    description: The result is the difference.
"""

EXAMPLES = r"""
- name: Read what runs on the hosts
  baremetal.vllm.host_state:
    services: "{{ __vllm_plan.plan.hosts[inventory_hostname].services }}"
    engine: "{{ __vllm_plan.plan.hosts[inventory_hostname].engine or {} }}"
    weights: "{{ __vllm_plan.plan.hosts[inventory_hostname].weights }}"
  become: true
  register: __vllm_state
"""

RETURN = r"""
status:
  description: V(read); or V(unreachable) or V(failed), and then only RV(why). The task itself does not fail.
  returned: always
  type: str
why:
  description: Why the host could not be read.
  returned: when it could not
  type: str
steps:
  description: What M(baremetal.vllm.model_service) would do to each unit, why, and the causes one by one.
  returned: when the host was read
  type: list
  elements: dict
units:
  description: Every installed unit as it is - state, since when, restarts, release, GPUs, port, weights, drop-ins, drift,
    C(replaced), the programs and libraries that were replaced under its processes, and C(replaced_driver), those of them that
    are the NVIDIA driver's and of another version than the module in the kernel.
  returned: when the host was read
  type: dict
endpoints:
  description: Every installed unit as M(baremetal.vllm.endpoint_check) takes it.
  returned: when the host was read
  type: list
  elements: dict
generation:
  description: C(current), the number of the generation that is installed (0 for none), and C(kept), oldest first, each with its
    C(number), C(outcome), C(created), C(plan) and C(releases); empty where nothing was ever installed.
  returned: when the host was read
  type: dict
canary:
  description: C(runs), C(failed) and C(complaints); null where the host has no canary.
  returned: when the host was read
  type: dict
upkeep:
  description:
    - Whether a reboot of the host is due (C(reboot_due), the packages that ask for it) or comes by itself (C(reboots_itself),
      when), and file systems that are almost full (C(low)).
  returned: when the host was read
  type: dict
files:
  description: Other files of the units that would be written.
  returned: when the host was read
  type: list
  elements: str
engine:
  description: Whether the planned release would be installed, why, which releases would be removed, and which system
    packages are missing.
  returned: when the host was read
  type: dict
weights:
  description: Each item of weights with its state and the reason.
  returned: when the host was read
  type: list
  elements: dict
refusals:
  description: What would stop a deployment of this host.
  returned: when the host was read
  type: list
  elements: str
whole:
  description: Whether everything could be read.
  returned: when the host was read
  type: bool
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import installed
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import matching_identity
from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import SystemdError
from ansible_collections.baremetal.vllm.plugins.module_utils.units import (
    generations,
    host_extras,
    host_units,
    observe,
    upkeep,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import Planned, decide_all
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import store


def secrets(path: str, digest: str) -> tuple[str | None, bool]:
    """The identity that processes of the planned secrets have (None: unreadable), and whether the file must be written."""
    try:
        text = Path(path).read_text()
    except FileNotFoundError:
        text = None
    except (PermissionError, NotADirectoryError):
        return None, False
    except UnicodeDecodeError:
        text = ""
    identity = matching_identity(text, digest)
    return identity, identity in ("none yet", "others")


def units(asked: dict[str, Any]) -> dict[str, Any]:
    """What model_service would do, and every unit as it is."""
    names = [unit["unit"] for unit in asked["units"]]
    identity, written = secrets(asked["secrets_path"], asked["secrets_digest"])
    sight = observe.observe(names, identity, names if asked["restart_replaced"] else ())
    resolved, doubts = host_units.resolve(asked["units"], sight)
    planned = [Planned(unit["unit"], unit["text"], unit["digest"]) for unit in resolved]
    files = [HostFile(f["path"], f["content"], int(f["mode"], 8), public=True) for f in asked["files"]]
    kept = generations.read_generations(observe.GENERATIONS)
    foreign = observe.foreign_units(names)
    return {
        "steps": [asdict(step) for step in decide_all(planned, sight.observed, list(sight.texts))],
        "units": {unit: observe.facts(unit, sight.texts.get(unit), state) for unit, state in sight.states.items()},
        "endpoints": host_extras.endpoints(sight.texts, kept),
        "generation": host_extras.generation(sight.texts, kept),
        "canary": host_extras.canary(),
        "upkeep": asdict(upkeep.look()),
        "files": [file.path for file in files if file.differs()] + ([asked["secrets_path"]] if written else []),
        "refusals": [f"{path} exists and was not written by this toolkit" for path in foreign],
        "whole": sight.whole,
        "doubts": doubts,
    }


def look(item: dict[str, Any]) -> store.State:
    """One item of weights; what this user may not enter is unknown."""
    try:
        return store.look(item)
    except PermissionError:
        return store.State(item["path"], "unknown", "this user may not read it")


def engine(asked: dict[str, Any]) -> dict[str, Any]:
    """The planned release as found; the control node knows the locks and judges."""
    planned = asked["engine"]
    packages = asked["packages"] or {}
    needed = (packages.get(installed.family(list(packages))) or []) + (planned.get("packages") or [])
    return {
        **installed.survey(Path(planned["path"]).parent, planned["release"], asked["keep"] or []),
        "missing_packages": installed.missing_packages(needed),
        "arch": installed.machine(),
        "systemd": installed.systemd(),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "dict", "default": []},
            "engine": {"type": "dict", "default": {}},
            "weights": {"type": "list", "elements": "dict", "default": []},
            "api_key": {"type": "str", "no_log": True},
            "secret_env": {"type": "dict", "default": {}, "no_log": True},
            "keep": {"type": "list", "elements": "str"},
            "prune": {"type": "bool"},
            "packages": {"type": "dict"},
            "source": {"type": "str", "choices": ["wheelhouse", "index"]},
            "wheelhouse": {"type": "path"},
            "lock": {"type": "path"},
            "restart_replaced": {"type": "bool", "default": False},
            "rocm": {"type": "str"},
            "units": {"type": "list", "elements": "dict", "default": []},
            "files": {"type": "list", "elements": "dict", "default": []},
            "secrets_path": {"type": "path", "default": "/etc/vllm/secrets/api_key.env"},
            "secrets_digest": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        found = units(asked)
        for doubt in found.pop("doubts"):
            module.warn(doubt)
        states = [look(item) for item in asked["weights"]]
        found["refusals"] += [state.detail for state in states if state.state == "refused"]
        module.exit_json(
            changed=False,
            **found,
            engine=engine(asked) if asked["engine"] else {},
            weights=store.summary(states),
        )
    except SystemdError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file of this host'}: {error.strerror}")


if __name__ == "__main__":
    main()
