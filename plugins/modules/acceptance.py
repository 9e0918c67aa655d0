#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.acceptance; the action plugin of the same name decides and follows the test."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: acceptance
short_description: Test a host's GPUs before it serves, and remember that they passed
description:
  - Runs C(dcgmi diag) at the level asked for on an idle host, showing how far it is, and looks at what the GPUs report of
    themselves before and after. Each failed test is told in DCGM's own words, all of them at once.
  - The result is kept on the host (C(/var/lib/vllm/acceptance.json)). While it stands for the GPUs that are there, nothing
    is run again, which takes one round trip.
  - The test is a transient unit of the host. Where the connection is lost it goes on, and the next run follows it to its end.
  - O(phase=dcgm) tests nothing and changes nothing. It compares the packages of DCGM, its units and the exporter's drop-in with
    what is wanted, and says what is to be done, in one round trip.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  accelerator:
    description:
      - What the host has. For V(rocm) there is no DCGM, so the O(level) is 0; V(cpu) hosts have nothing to accept.
    type: str
    choices: [cuda, rocm, cpu]
    default: cuda
  level:
    description:
      - 1 checks the software (seconds), 2 adds short tests of bus and memory (about 2 minutes), 3 stress (about 15 minutes),
        4 long memory and power tests (one to two hours).
      - 0 runs no test; it looks at what the GPUs report of themselves (errors, pending repairs, throttling).
      - DCGM tests GPUs that are not for data centres at level 1 alone, and none that is in MIG mode.
    type: int
    choices: [0, 1, 2, 3, 4]
    default: 3
  parameters:
    description:
      - Parameters of tests, as C(dcgmi diag --parameters) takes them, such as V(pcie.is_allowed=true;memory.is_allowed=true).
    type: str
    default: ""
  again:
    description:
      - What makes a host that has passed be tested again - other GPUs (V(hardware)), also another driver (V(driver)), or
        every run (V(always)).
    type: str
    choices: [hardware, driver, always]
    default: hardware
  drain:
    description:
      - Whether model units that run are stopped for the test. They are started again when it has passed, and stay stopped
        when it has not. Without it, a host whose models run is refused.
    type: bool
    default: false
  test:
    description: Whether a host without a valid record is tested. Without it, the record is only asked for.
    type: bool
    default: true
  required:
    description: Whether a host that has not passed fails the task. Without it, that is told.
    type: bool
    default: true
  tell:
    description: Whether what is found is printed where it does not fail the task.
    type: bool
    default: true
  phase:
    description:
      - V(look) is the whole of it for a playbook. The action plugin asks the host for the steps that follow - V(start) begins
        the test, V(watch) sees how far it is, V(settle) keeps the record.
      - V(dcgm) says what DCGM lacks.
    type: str
    choices: [look, start, watch, settle, dcgm]
    default: look
  limit:
    description: Seconds after which the test is given up. Set by the action plugin.
    type: int
    default: 0
  units:
    description: Units to stop before, or to start after the test. Set by the action plugin.
    type: list
    elements: str
    default: []
  record:
    description: The text of the record. Set by the action plugin.
    type: str
    default: ""
  cuda:
    description:
      - CUDA major of DCGM's package to want, 0 for the one of the loaded driver.
      - For O(phase=dcgm).
    type: int
    default: 0
  exporter:
    description:
      - Whether DCGM's exporter is wanted.
      - For O(phase=dcgm).
    type: bool
    default: true
  drop_in:
    description:
      - The wanted text of the exporter's drop-in.
      - For O(phase=dcgm).
    type: str
    default: ""
  path:
    description:
      - Where that drop-in lies.
      - For O(phase=dcgm), which needs it.
    type: path
attributes:
  check_mode:
    support: full
    description: Says whether the host would be tested, and why.
  diff_mode:
    support: none
    description: The record of a test has no earlier form to compare with.
"""

EXAMPLES = r"""
- name: Test the GPUs of a new host
  baremetal.vllm.acceptance:
    level: 3

- name: Ask whether the host was accepted
  baremetal.vllm.acceptance:
    test: false

- name: Ask what DCGM lacks
  baremetal.vllm.acceptance:
    phase: dcgm
    path: /etc/systemd/system/nvidia-dcgm-exporter.service.d/baremetal-vllm.conf
    exporter: false
"""

RETURN = r"""
accepted:
  description: Whether a valid record says that the host has passed.
  returned: success, but with phase dcgm
  type: bool
reason:
  description: Since when it is accepted, or why it was tested, or why it is not accepted.
  returned: success, but with phase dcgm
  type: str
findings:
  description: What is wrong, and what the diagnostic said without refusing the host.
  returned: success, but with phase dcgm
  type: list
  elements: dict
record:
  description: The record as it lies on the host.
  returned: when the host was tested
  type: dict
todo:
  description: Packages to remove and install, units to start and stop, whether the drop-in is to be written or deleted.
  returned: phase dcgm
  type: dict
work:
  description: Whether there is anything to do.
  returned: phase dcgm
  type: bool
seen:
  description: What was found.
  returned: phase dcgm
  type: dict
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance import dcgm_observe, job, observe
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance.record import OUTPUT_PATH, PATH
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import run
from ansible_collections.baremetal.vllm.plugins.module_utils.host.job import JobError

# Model units finish the streams that they serve before they stop.
patient = partial(run, timeout=900)
# A watching call comes back at least this often, in seconds, to show that it lives.
WATCH = 20.0


def look(module: AnsibleModule) -> dict[str, object]:
    """What there is to judge by: {changed, sight}, of which the action decides whether to test."""
    return {"changed": False, "sight": asdict(observe.look(module.params["accelerator"], run))}


def start(module: AnsibleModule) -> dict[str, object]:
    """Stop the units and start the diagnostic, which outlives this call. Raises JobError: where it does not start."""
    asked = module.params
    job.start(patient, asked["level"], asked["parameters"], asked["limit"], asked["units"])
    return {"changed": True}


def watch(module: AnsibleModule) -> dict[str, object]:
    """Wait WATCH seconds at most. Returns `run`, and `busy` while it goes on, `facts` and `dcgm` once it is over."""
    found = job.wait(run, WATCH)
    if found.state == "running":
        return {"changed": False, "run": asdict(found), "busy": job.busy(run)}
    return {
        "changed": False,
        "run": asdict(found),
        "facts": asdict(observe.read_facts(module.params["accelerator"], run)),
        "dcgm": observe.dcgm_version(run),
    }


def settle(module: AnsibleModule) -> dict[str, object]:
    """Save the record and the diagnostic's output, and start the units again, without waiting until they serve.

    Raises JobError: where systemd does not take the start.
    """
    output = job.state(run).output
    changed = job.save(Path(PATH), module.params["record"])
    if output:
        job.save(Path(OUTPUT_PATH), output)
    job.settle(patient, module.params["units"])
    return {"changed": changed}


def dcgm(module: AnsibleModule) -> dict[str, object]:
    """What of DCGM is installed and runs on the host, in `seen`; changes nothing."""
    return {"changed": False, "seen": asdict(dcgm_observe.look(Path(module.params["path"]), run))}


PHASES = {"look": look, "start": start, "watch": watch, "settle": settle, "dcgm": dcgm}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "accelerator": {"type": "str", "choices": ["cuda", "rocm", "cpu"], "default": "cuda"},
            "level": {"type": "int", "choices": [0, 1, 2, 3, 4], "default": 3},
            "parameters": {"type": "str", "default": ""},
            "again": {"type": "str", "choices": ["hardware", "driver", "always"], "default": "hardware"},
            "drain": {"type": "bool", "default": False},
            "test": {"type": "bool", "default": True},
            "required": {"type": "bool", "default": True},
            "tell": {"type": "bool", "default": True},
            "phase": {"type": "str", "choices": list(PHASES), "default": "look"},
            "limit": {"type": "int", "default": 0},
            "units": {"type": "list", "elements": "str", "default": []},
            "record": {"type": "str", "default": ""},
            "cuda": {"type": "int", "default": 0},
            "exporter": {"type": "bool", "default": True},
            "drop_in": {"type": "str", "default": ""},
            "path": {"type": "path"},
        },
        required_if=[("phase", "dcgm", ["path"])],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**PHASES[module.params["phase"]](module))
    except JobError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file of this host'}: {error.strerror}")


if __name__ == "__main__":
    main()
