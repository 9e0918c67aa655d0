#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.rocm_state; the action plugin of the same name decides."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: rocm_state
short_description: Tell what a host has of ROCm and what it needs
description:
  - Looks at GPUs, kernels, the amdgpu module, packages, repositories and what C(amd-smi) says, in one round trip.
  - An action plugin of the same name compares that with the wanted release, and refuses where something stands in the way.
  - Changes nothing, with and without check mode.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  wanted:
    description: What is asked for, as M(baremetal.vllm.plan) returns it. Read by the action plugin.
    type: dict
    default: {}
  templates:
    description: The directory on the control node that holds the templates. Read by the action plugin.
    type: path
  proof:
    description: Fail where something is still to be done, except in check mode. Read by the action plugin.
    type: bool
    default: false
  packages:
    description: Internal, names of packages to look for beside ROCm's own.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
"""

EXAMPLES = r"""
- name: Compare the host with ROCm 7.2.3
  baremetal.vllm.rocm_state:
    wanted: {version: 7.2.3, driver: dkms, packages: [rocm-hip-libraries, amd-smi-lib]}
    templates: "{{ rocm_templates }}"
"""

RETURN = r"""
state:
  description: What was seen.
  returned: always
  type: dict
change:
  description: Whether anything is to be done.
  returned: always
  type: bool
files:
  description: Files to write, with path, content and mode.
  returned: always
  type: list
  elements: dict
key:
  description: The signing key, as M(baremetal.vllm.driver_repository) takes it.
  returned: always
  type: dict
lists:
  description: The command that reads the package lists, empty where that is not needed.
  returned: always
  type: list
  elements: str
commands:
  description: Commands as M(baremetal.vllm.driver_job) takes them.
  returned: always
  type: list
  elements: dict
reboot:
  description: Why the host has to be rebooted, empty where it has not.
  returned: always
  type: str
findings:
  description: What is wrong with its GPUs and does not keep it from serving.
  returned: always
  type: list
  elements: str
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd.look import look


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "dict", "default": {}},
            "templates": {"type": "path"},
            "proof": {"type": "bool", "default": False},
            "packages": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, state=asdict(look(module.params["packages"])))


if __name__ == "__main__":
    main()
