#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.model_service; the action plugin of the same name renders the units and drives it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: model_service
short_description: Run exactly the planned vLLM units on a host
description:
  - Writes one systemd unit per planned model, restarts only what changed, removes units that nobody plans any more, and
    waits until each endpoint answers, showing each start's stage on the terminal.
  - A unit that fails to start fails the task with the line of its log that names the cause. Where an earlier version of
    that unit served, it is put back and serves again.
  - Device nodes of GPUs are looked up on the host. Where its driver does not tell them, the task fails before anything is
    written, but for units that keep the nodes they have; check mode warns.
  - What an engine's installation proved of its kernels becomes environment of its units (C(CUDA_HOME), or
    C(VLLM_USE_FLASHINFER_SAMPLER=0)), unless the unit's own environment decides.
  - Operators' drop-ins (C(vllm-*.service.d)) are left alone.
  - Every change is kept as a numbered generation below C(/var/lib/vllm/generations), the last three of them and those
    that served or were proven last. With O(generation) the units of a kept one are applied instead of planned ones, in
    the same way. That is a change of its own, with a number of its own, so that it can be undone too.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  services:
    description: The host's services as M(baremetal.vllm.plan) returns them.
    type: list
    elements: dict
    default: []
  templates:
    description: The directory on the control node that holds the templates.
    type: path
  api_key:
    description: The key that guards the endpoints, kept in a file that only root can read.
    type: str
  secret_env:
    description: Further secret environment variables of every engine, kept in the same file.
    type: dict
    default: {}
  generation:
    description:
      - Go back to the units of this kept generation (M(baremetal.vllm.generations) lists them); V(0) means
        O(services). Units that it does not have are removed. Secrets stay as they are unless given, and GPUs are found
        as they lie now.
      - Refused before anything is stopped where the generation is not kept, or needs a release or weights that are gone
        from the host.
      - In other phases than the first (internal), the generation at hand.
    type: int
    default: 0
  plan:
    description: The digest of the plan that O(services) are from, kept with the generation.
    type: str
    default: ''
  restart_replaced:
    description:
      - Units that are restarted although they are as planned, where their processes still use libraries that an update has
        replaced. Those of M(baremetal.vllm.host_state) that somebody has drained, so that no other one is restarted. Not
        those under which the NVIDIA driver was replaced, which would not start again.
    type: list
    elements: str
    default: []
  phase:
    description: Internal, used by the action plugin.
    type: str
    choices: [apply, watch, restore, settle]
    default: apply
  units:
    description: Internal, rendered units.
    type: list
    elements: dict
    default: []
  files:
    description: Internal, other files.
    type: list
    elements: dict
    default: []
  secrets_path:
    description: Where the secrets lie on the host.
    type: path
    default: /etc/vllm/secrets/api_key.env
  pending:
    description: Internal, units whose start is under way, with their restart counts from before.
    type: dict
    default: {}
  seen:
    description: Internal, the progress last shown.
    type: dict
    default: {}
  outcome:
    description: Internal, how the generation ended.
    type: str
    choices: [active, failed]
    default: active
attributes:
  check_mode:
    support: full
    description: Says what would be written, started, restarted and removed.
  diff_mode:
    support: full
    description: Shows the units' texts; of secrets only that they change.
"""

EXAMPLES = r"""
- name: Run the planned units
  baremetal.vllm.model_service:
    services: "{{ model_service_services }}"
    templates: "{{ model_service_templates }}"
    api_key: "{{ model_service_api_key | default(omit) }}"

- name: Go back to what ran before
  baremetal.vllm.model_service:
    generation: 4
    templates: "{{ model_service_templates }}"
"""

RETURN = r"""
steps:
  description:
    - What was done to each unit (or would be), and why, with the causes one by one - an option, the environment, the
      GPUs, the secrets - and their values before and after.
  returned: always
  type: list
  elements: dict
generation:
  description: The number of the generation that now runs.
  returned: when not in check mode
  type: int
generation_before:
  description: The number of the generation that ran before, to go back to; V(0) where nothing served yet.
  returned: always
  type: int
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import environment_secrets
from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import SystemdError
from ansible_collections.baremetal.vllm.plugins.module_utils.units import back, generations, host, host_units, observe
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import Planned, decide_all


def wanted(module: AnsibleModule, kept: list[generations.Generation]) -> tuple[list[dict[str, Any]], str]:
    """The units that shall run, planned or of a kept generation, and the digest of the plan that they are from."""
    number = module.params["generation"]
    if not number:
        return module.params["units"], module.params["plan"]
    chosen = generations.find(kept, number)
    return back.units_of(chosen), module.params["plan"] or str(chosen.manifest.get("plan", ""))


def secret_file(module: AnsibleModule) -> tuple[HostFile | None, str]:
    """The file of the secrets as it shall be (None: as it is, or none), and the identity that processes then have."""
    path = module.params["secrets_path"]
    secrets = environment_secrets(module.params["api_key"], module.params["secret_env"])
    hidden = host.secrets_file(path, secrets)
    if not secrets and (module.params["generation"] or not Path(path).exists()):
        found = HostFile(path, "", 0o600, secret=True).current() or ""
        return None, host.secrets_identity(found)
    return hidden, host.secrets_identity(hidden.content)


def apply(module: AnsibleModule) -> dict[str, Any]:
    kept = generations.read_generations(host.GENERATIONS)
    units, plan = wanted(module, kept)
    files = [HostFile(f["path"], f["content"], int(f["mode"], 8), public=True) for f in module.params["files"]]
    hidden, identity = secret_file(module)
    if hidden is not None:
        files.append(hidden)
    foreign = observe.foreign_units([unit["unit"] for unit in units])
    if foreign:
        module.fail_json(
            msg=f"{', '.join(foreign)} exists and was not written by this toolkit, so it is not overwritten. "
            "Remove the file, or choose another name for the model."
        )
    sight = observe.observe([unit["unit"] for unit in units], identity, module.params["restart_replaced"])
    observed, texts = sight.observed, sight.texts
    units, doubts = host_units.resolve(units, sight)
    if doubts and not module.check_mode:
        module.fail_json(msg="\n".join(doubts))
    for doubt in doubts:
        module.warn(doubt)
    planned = [Planned(unit["unit"], unit["text"], unit["digest"]) for unit in units]
    steps = decide_all(planned, observed, list(texts))
    after = {unit.unit: unit.text for unit in planned}
    if module.params["generation"]:
        starting = [step.unit for step in steps if step.verb in ("start", "restart")]
        gone = back.refusals(module.params["generation"], after, starting)
        if gone:
            module.fail_json(msg="\n".join(gone))
    stale = [file for file in files if file.differs()]
    reload_needed = any(found.state.stale for found in observed.values())
    changed = bool(stale) or any(step.changes for step in steps)
    result: dict[str, Any] = {
        "changed": changed,
        "steps": [asdict(step) for step in steps],
        "diff": host.diffs(steps, after, texts, stale),
        "generation_before": generations.before_change(kept, texts),
        "pending": {
            step.unit: observed[step.unit].state.restarts if step.verb == "wait" else 0
            for step in steps
            if step.verb in ("start", "restart", "wait")
        },
    }
    if module.check_mode:
        return result
    if changed:
        result["generation"] = host.apply(units, steps, stale, plan, returned=bool(module.params["generation"]))
    else:
        if reload_needed:
            # An operator's drop-in: read it in, restart nothing.
            host.systemd.run(["systemctl", "daemon-reload"])
        result["generation"] = result["generation_before"]
    return result


def watch(module: AnsibleModule) -> dict[str, Any]:
    now = host.watch(module.params["pending"], module.params["seen"], wait=10)
    return {"progress": [asdict(item) for item in now]}


def restore(module: AnsibleModule) -> dict[str, Any]:
    return {"changed": True, "restored": host.restore(module.params["generation"], list(module.params["pending"]))}


def settle(module: AnsibleModule) -> dict[str, Any]:
    number = module.params["generation"]
    if not (Path(host.GENERATIONS) / str(number)).is_dir():
        return {"changed": False}
    generations.set_outcome(host.GENERATIONS, number, module.params["outcome"])
    return {"changed": False, "pruned": generations.prune(host.GENERATIONS)}


PHASES = {"apply": apply, "watch": watch, "restore": restore, "settle": settle}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "dict", "default": []},
            "templates": {"type": "path"},
            "api_key": {"type": "str", "no_log": True},
            "secret_env": {"type": "dict", "default": {}, "no_log": True},
            "generation": {"type": "int", "default": 0},
            "plan": {"type": "str", "default": ""},
            "restart_replaced": {"type": "list", "elements": "str", "default": []},
            "phase": {"type": "str", "choices": list(PHASES), "default": "apply"},
            "units": {"type": "list", "elements": "dict", "default": []},
            "files": {"type": "list", "elements": "dict", "default": []},
            "secrets_path": {"type": "path", "default": "/etc/vllm/secrets/api_key.env"},
            "pending": {"type": "dict", "default": {}},
            "seen": {"type": "dict", "default": {}},
            "outcome": {"type": "str", "choices": ["active", "failed"], "default": "active"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**PHASES[module.params["phase"]](module))
    except (SystemdError, generations.NotKeptError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file of this host'}: {error.strerror}")


if __name__ == "__main__":
    main()
