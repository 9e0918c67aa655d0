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
  api_key:
    description: The key that guards the endpoints, kept in a file that only root can read.
    type: str
  secret_env:
    description: Further secret environment variables of every engine, kept in the same file.
    type: dict
    default: {}
  generation:
    description:
      - Go back to the units of this kept generation (O(phase=list) lists them); V(0) means
        O(services). Units that it does not have are removed. Secrets stay as they are unless given, and GPUs are found
        as they lie now.
      - Refused before anything is stopped where the generation is not kept, or needs a release or weights that are gone
        from the host.
      - With O(phase=restore) and O(phase=settle), the generation at hand.
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
    description:
      - V(apply) runs the planned units, or those of a kept generation, to the end. The action plugin asks the host for the
        steps of it - V(watch) sees how far starts are, V(restore) puts back what served before, V(settle) records how the
        generation ended.
      - V(list) changes no unit. It lists what was kept of each change, oldest first, and which of them is installed now.
        Releases that a kept generation needs are never pruned.
    type: str
    choices: [apply, list, watch, restore, settle]
    default: apply
  mark:
    description: With O(phase=list), record first how one generation was judged.
    type: dict
    suboptions:
      number:
        description: The generation.
        type: int
        required: true
      outcome:
        description: V(active) - its units answer; V(proven) - it was judged good; V(failed) - it was taken back.
        type: str
        choices: [active, proven, failed]
        required: true
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
  pending:
    description: Units whose start is under way, with their restart counts from before. Set by the action plugin.
    type: dict
    default: {}
  seen:
    description: The progress last shown. Set by the action plugin.
    type: dict
    default: {}
  outcome:
    description: How the generation ended. Set by the action plugin.
    type: str
    choices: [active, failed]
    default: active
extends_documentation_fragment:
  - baremetal.vllm.templates
attributes:
  check_mode:
    support: full
    description: Says what would be written, started, restarted, removed and marked.
  diff_mode:
    support: full
    description: Shows the units' texts, and a marked generation's outcome before and after; of secrets only that they change.
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

- name: List what this host can go back to
  baremetal.vllm.model_service:
    phase: list
  register: __generations

- name: Record that the new release was judged good
  baremetal.vllm.model_service:
    phase: list
    mark: {number: "{{ __model_service.generation }}", outcome: proven}
"""

RETURN = r"""
steps:
  description:
    - What was done to each unit (or would be), and why, with the causes one by one - an option, the environment, the
      GPUs, the secrets - and their values before and after.
  returned: phase apply
  type: list
  elements: dict
unread:
  description: Where nothing else is done, units whose drop-ins systemd has read in (or would).
  returned: phase apply
  type: list
  elements: str
pending:
  description: Units that were still starting when they were started or looked at, with their restarts until then.
  returned: phase apply
  type: dict
generation:
  description: The number of the generation that now runs.
  returned: phase apply, when not in check mode
  type: int
pruned:
  description: The numbers of earlier generations that went, because nobody goes back to them any more.
  returned: phase apply, when units were changed or waited for
  type: list
  elements: int
generation_before:
  description: The number of the generation that ran before, to go back to; V(0) where nothing served yet.
  returned: phase apply
  type: int
generations:
  description: The kept generations, oldest first.
  returned: phase list
  type: list
  elements: dict
  contains:
    number: {description: Its number., type: int}
    created: {description: "When it was made, ISO 8601 by the host's clock.", type: str}
    age: {description: Seconds since then by the host's clock; null where it is not known., type: float}
    returned: {description: Whether it was made by going back to an earlier one., type: bool}
    outcome: {description: "V(pending), V(active), V(proven) or V(failed).", type: str}
    plan: {description: The digest of the plan that made it; empty where it is not known., type: str}
    releases: {description: The releases of vLLM that its units run., type: list, elements: str}
    units:
      description: >-
        By unit its C(name), C(digest), C(release), C(weights), C(revision), and C(service) - what
        M(baremetal.vllm.endpoint_check) takes to prove its endpoint.
      type: dict
current:
  description:
    - The generation whose units are exactly the installed ones; V(0) where there is none, as after a start that failed
      in part, or an edit by hand.
  returned: phase list
  type: int
back:
  description: The newest generation before the current one that served; V(0) where there is none.
  returned: phase list
  type: int
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import environment_secrets
from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import SystemdError
from ansible_collections.baremetal.vllm.plugins.module_utils.units import generations, host, host_units, kept, observe
from ansible_collections.baremetal.vllm.plugins.module_utils.units import restore as back
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import decide_all
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit


def wanted(module: AnsibleModule, known: list[generations.Generation]) -> tuple[list[PlannedUnit], str]:
    """The units that shall run, planned or of a kept generation, and the digest of the plan that they are from.

    Raises NotKeptError: where the host no longer keeps that generation.
    """
    number = module.params["generation"]
    if not number:
        return [PlannedUnit(**unit) for unit in module.params["units"]], module.params["plan"]
    chosen = generations.find(known, number)
    return back.units_of(chosen), module.params["plan"] or chosen.plan


def secret_file(module: AnsibleModule) -> tuple[HostFile | None, str]:
    """The file of the secrets as it shall be (None: as it is, or none), and the identity that processes then have."""
    path = module.params["secrets_path"]
    secrets = environment_secrets(module.params["api_key"], module.params["secret_env"])
    hidden = host.secrets_file(path, secrets)
    if not secrets and (module.params["generation"] or not Path(path).exists()):
        found = HostFile(path, "", 0o600, secret=True).current() or ""
        return None, host.secrets_identity(found)
    return hidden, host.secrets_identity(hidden.content)


def apply(module: AnsibleModule) -> dict[str, object]:
    """Bring units to the plan, or to an earlier generation, without waiting for them.

    Returns the steps, the difference, `generation`, and `pending`: units to wait for with their restarts so far.

    Raises NotKeptError: where the host no longer keeps that generation; SystemdError: where a unit is not taken.
    """
    known = generations.read_generations(host.GENERATIONS)
    units, plan = wanted(module, known)
    files = [HostFile(f["path"], f["content"], int(f["mode"], 8), public=True) for f in module.params["files"]]
    hidden, identity = secret_file(module)
    if hidden is not None:
        files.append(hidden)
    foreign = observe.foreign_units([unit.unit for unit in units])
    if foreign:
        module.fail_json(
            msg=f"{', '.join(foreign)} exists and was not written by this toolkit, so it is not overwritten. "
            "Remove the file, or choose another name for the model."
        )
    sight = observe.observe([unit.unit for unit in units], identity, module.params["restart_replaced"])
    observed, texts = sight.observed, sight.texts
    planned, doubts = host_units.resolve(units, sight)
    if doubts and not module.check_mode:
        module.fail_json(msg="\n".join(doubts))
    for doubt in doubts:
        module.warn(doubt)
    steps = decide_all(planned, observed, list(texts))
    after = {unit.unit: unit.text for unit in planned}
    if module.params["generation"]:
        starting = [step.unit for step in steps if step.verb in ("start", "restart")]
        gone = back.refusals(module.params["generation"], after, starting)
        if gone:
            module.fail_json(msg="\n".join(gone))
    stale = [file for file in files if file.differs()]
    # An operator's drop-in, beside steps that read everything in anyway: it is read in, and restarts nothing.
    unread = [unit for unit, found in observed.items() if found.state.stale]
    applies = bool(stale) or any(step.changes for step in steps)
    result: dict[str, object] = {
        "changed": applies or bool(unread),
        "steps": [asdict(step) for step in steps],
        "unread": [] if applies else unread,
        "diff": host.diffs(steps, after, texts, stale, [] if applies else unread),
        "generation_before": generations.before_change(known, texts),
        "pending": {
            step.unit: observed[step.unit].state.restarts if step.verb == "wait" else 0
            for step in steps
            if step.verb in ("start", "restart", "wait")
        },
    }
    if module.check_mode:
        return result
    if applies:
        result["generation"] = host.apply(planned, steps, stale, plan, returned=bool(module.params["generation"]))
    else:
        if unread:
            host.systemd.run(["systemctl", "daemon-reload"])
        result["generation"] = result["generation_before"]
    return result


def watch(module: AnsibleModule) -> dict[str, object]:
    """Look for 10 seconds at most how far the starts are that are waited for."""
    now = host.watch(module.params["pending"], module.params["seen"], wait=10)
    return {"progress": [asdict(item) for item in now]}


def restore(module: AnsibleModule) -> dict[str, object]:
    """Go back to what served before a generation that failed; `restored` says what was done.

    Raises SystemdError: where a unit cannot be stopped, or systemd does not take one.
    """
    return {"changed": True, "restored": host.restore(module.params["generation"], list(module.params["pending"]))}


def settle(module: AnsibleModule) -> dict[str, object]:
    """Write down how a generation turned out, and drop those beyond what is kept; nothing where it is gone."""
    number = module.params["generation"]
    if not (Path(host.GENERATIONS) / str(number)).is_dir():
        return {"changed": False}
    generations.set_outcome(host.GENERATIONS, number, module.params["outcome"])
    return {"changed": False, "pruned": generations.prune(host.GENERATIONS)}


def list_kept(module: AnsibleModule) -> dict[str, object]:
    """The generations that the host keeps, oldest first, after recording the outcome that `mark` names."""
    mark = module.params["mark"]
    told = kept.mark(mark["number"], mark["outcome"], module.check_mode) if mark else {"changed": False}
    return {**told, **kept.listed()}


PHASES = {"apply": apply, "list": list_kept, "watch": watch, "restore": restore, "settle": settle}


def main() -> None:
    outcome = {"type": "str", "choices": ["active", "proven", "failed"], "required": True}
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
            "mark": {"type": "dict", "options": {"number": {"type": "int", "required": True}, "outcome": outcome}},
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
