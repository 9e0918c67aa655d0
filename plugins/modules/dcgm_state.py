#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.dcgm_state; the action plugin of the same name decides."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: dcgm_state
short_description: Tell what NVIDIA's Data Center GPU Manager on a host lacks
description:
  - Reads which packages of DCGM are installed, the loaded driver, the units and the exporter's drop-in, in one round trip. An
    action plugin of the same name adds what is to be done.
  - Changes nothing, with and without check mode.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  cuda:
    description: CUDA major of the package to want, 0 for the one of the loaded driver. Read by the action plugin.
    type: int
    default: 0
  exporter:
    description: Whether the exporter is wanted. Read by the action plugin.
    type: bool
    default: true
  drop_in:
    description: The wanted text of the exporter's drop-in. Read by the action plugin.
    type: str
    default: ""
  path:
    description: Where that drop-in lies.
    type: path
    required: true
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
"""

EXAMPLES = r"""
- name: Ask what DCGM lacks
  baremetal.vllm.dcgm_state:
    path: /etc/systemd/system/nvidia-dcgm-exporter.service.d/baremetal-vllm.conf
    exporter: false
"""

RETURN = r"""
todo:
  description: Packages to remove and install, units to start and stop, whether the drop-in is to be written or deleted.
  returned: always
  type: dict
work:
  description: Whether there is anything to do.
  returned: always
  type: bool
seen:
  description: What was found.
  returned: always
  type: dict
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance import dcgm_observe
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cuda": {"type": "int", "default": 0},
            "exporter": {"type": "bool", "default": True},
            "drop_in": {"type": "str", "default": ""},
            "path": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, seen=asdict(dcgm_observe.look(Path(module.params["path"]), run)))


if __name__ == "__main__":
    main()
