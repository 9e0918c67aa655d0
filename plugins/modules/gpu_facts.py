#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.gpu_facts; the action plugin of the same name judges what is found."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gpu_facts
short_description: Tell which GPUs a host has and how they are
description:
  - Asks C(nvidia-smi) or C(amd-smi), whichever release is installed, and the PCI bus.
  - A GPU that is sick, a tool that fails or hangs, and a host without GPUs are data, not errors.
  - Says of every process that holds memory of a GPU whose it is - user, container, unit, since when, how much on which GPU. Its
    arguments are neither read nor told. Names of containers come from C(docker) or C(podman), where they answer within 5 seconds.
  - An action plugin of the same name adds what is wrong with the GPUs, and where O(declared) is given, how they differ from it.
    It fails where something must be mended before the host may serve, with everything that is wrong in one message.
  - Changes nothing, with and without check mode.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  accelerator:
    description: Whose GPUs to ask for. V(auto) asks for those on the PCI bus, and for NVIDIA's where there are none.
    type: str
    choices: [auto, cuda, rocm]
    default: auto
  declared:
    description:
      - What the host is declared to be, with the keys that M(baremetal.vllm.plan) gives - accelerator, release, gpu_count,
        gpu_name, gpu_memory, driver, gpus where they are of several kinds - and optionally C(cut), the indices of GPUs that
        the inventory has cut. Read by the action plugin.
      - With accelerator V(cpu) the host is not asked.
    type: dict
  services:
    description:
      - The host's services as M(baremetal.vllm.plan) returns them. With them it is found out what a deployment would start and
        restart, by the same decision as M(baremetal.vllm.model_service), and whether that fits beside the processes of others.
      - Read by the action plugin. Without O(declared) it fails for what cannot start beside others, and for nothing else.
    type: list
    elements: dict
  units:
    description: The units as the action plugin has rendered them.
    type: list
    elements: dict
  accept:
    description: Names of findings that are told and do not fail the task. Read by the action plugin.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
"""

EXAMPLES = r"""
- name: See the GPUs
  baremetal.vllm.gpu_facts:
  register: __gpus

- name: Compare the GPUs with what is declared
  baremetal.vllm.gpu_facts:
    accelerator: cuda
    declared: {accelerator: cuda, release: 0.33.0, gpu_count: 8, gpu_name: H100-80GB, driver: "580"}
"""

RETURN = r"""
facts:
  description:
    - What the tool reports - tool, error (its own words, empty where all is well), returncode, driver, cuda, topology, gpus.
    - Of each GPU index, vendor, name, uuid, address, minor, serial, memory and memory_used (bytes), capability or arch, numa,
      mig, mig_devices, ecc, errors, power_limit and its bounds (watts), persistence, compute_mode, max_graphics_clock (MHz),
      temperature, PCIe generation and width, links, fabric, recovery, slowdown, trouble, processes.
    - What a tool does not tell is null or empty.
  type: dict
  returned: always
bus:
  description: GPUs on the PCI bus, whether or not a driver knows them, with address, vendor and device number.
  type: list
  elements: dict
  returned: always
holders:
  description:
    - Every process with memory on a GPU - pid, executable, title (what the process calls itself), user, unit, runtime and
      container where it runs in one, its name and restart policy, seconds since its start, kind (C, G), and memory in bytes by
      GPU index.
    - C(found) is false where the host has no such process, as for one in another PID namespace.
  type: list
  elements: dict
  returned: always
units:
  description: The units of this collection that are installed or planned, each with its ActiveState (C(active)) and what a
    deployment would do to it (C(verb), empty without O(services)).
  type: dict
  returned: always
findings:
  description: What is wrong, worst first, with name, message, remedy, heal and fatal.
  type: list
  elements: dict
  returned: always
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_system import AMD, devices
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import amd, smi
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.holders import holders
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import run
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit
from ansible_collections.baremetal.vllm.plugins.module_utils.units.steps import steps_of


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "accelerator": {"type": "str", "choices": ["auto", "cuda", "rocm"], "default": "auto"},
            "declared": {"type": "dict"},
            "services": {"type": "list", "elements": "dict"},
            "units": {"type": "list", "elements": "dict"},
            "accept": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    units = module.params["units"]
    bus, __ = devices(Path("/"))
    asked = module.params["accelerator"]
    of_amd = asked == "rocm" or (asked == "auto" and bool(bus) and all(device.vendor == AMD for device in bus))
    tool = amd if of_amd else smi
    facts = tool.read(run)
    module.exit_json(
        changed=False,
        facts=asdict(facts),
        bus=[asdict(device) for device in bus],
        holders=[asdict(holder) for holder in holders(facts)],
        units=steps_of(None if units is None else [PlannedUnit(**unit) for unit in units]),
    )


if __name__ == "__main__":
    main()
