# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
from __future__ import annotations

DOCUMENTATION = r"""
module: driver_state
short_description: Tell everything about a host's NVIDIA driver in one look
version_added: "0.1.0"
author: The baremetal.vllm contributors (!UNKNOWN)
description:
  - Reads GPUs on the PCI bus, kernels with the module that each would load, what is loaded, packages with what holds them,
    DKMS, firmware, Secure Boot, nouveau, services, Xids, who uses the GPUs, and nvidia-smi where the module is loaded.
  - What cannot be read is left out of the answer. A tool that hangs is given up after 30 seconds, and that is told.
  - An action plugin of the same name judges what was seen, and decides what is to be done. It makes this one call.
  - Changes nothing, with and without check mode. Needs root on the host to see who uses the GPUs.
options:
  wanted:
    description: The variables C(nvidia_driver_*) of the host. Read by the action plugin.
    type: dict
    default: {}
  state:
    description: Whether the driver shall be there. Read by the action plugin.
    type: str
    choices: [present, absent]
    default: present
  gpu_count:
    description: How many GPUs the host must have, 0 for at least one. Read by the action plugin.
    type: int
    default: 0
  reboot:
    description: Whether the host may be rebooted. Read by the action plugin.
    type: bool
    default: false
  accept:
    description: Names of findings to live with. Read by the action plugin.
    type: list
    elements: str
    default: []
  before:
    description: What this module returned before a step was carried out. Read by the action plugin.
    type: dict
    default: {}
  prove:
    description: Whether to fail where anything is left to do or wrong. Read by the action plugin.
    type: bool
    default: false
  texts:
    description: Paths of files whose content is told, where they exist.
    type: list
    elements: path
    default: []
  offers:
    description: Whether to ask the package sources what they offer. Takes seconds.
    type: bool
    default: false
extends_documentation_fragment:
  - baremetal.vllm.proxy
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
"""

EXAMPLES = r"""
- name: Look at the driver
  baremetal.vllm.driver_state:
    offers: true
"""

RETURN = r"""
findings:
  description: What is wrong, each with C(name), C(message), C(remedy), C(heal) (the step that mends it) and C(fatal).
  type: list
  elements: dict
  returned: by the action plugin
idle:
  description: Whether nothing is to be done.
  type: bool
  returned: by the action plugin
resolution:
  description: The version, the kind of modules, how they are built and the packages that were chosen, with the reason.
  type: dict
  returned: by the action plugin
waits:
  description: Why the host must be rebooted and may not be; empty where it does not wait.
  type: str
  returned: by the action plugin
state:
  description: What was seen, as C(State) in C(module_utils/drivers/nvidia/model.py) has it.
  type: dict
  returned: always
texts:
  description: Contents of the files of O(texts) that exist, by path.
  type: dict
  returned: always
seconds:
  description: How long the look took, without the offers.
  type: float
  returned: always
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import offers
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look import family, look
from ansible_collections.baremetal.vllm.plugins.module_utils.host import command, proxy

# A mirror far away may take its time, and whoever holds the lock on the package lists too.
_OFFERS_TIMEOUT = 300


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "gpu_count": {"type": "int", "default": 0},
            "reboot": {"type": "bool", "default": False},
            "accept": {"type": "list", "elements": "str", "default": []},
            "before": {"type": "dict", "default": {}},
            "prove": {"type": "bool", "default": False},
            "texts": {"type": "list", "elements": "path", "default": []},
            "offers": {"type": "bool", "default": False},
            **proxy.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    proxy.enter(module)
    asked = module.params
    begun = time.monotonic()
    state = look()
    seconds = time.monotonic() - begun
    if asked["offers"]:
        kernels = [state.running, *(kernel.release for kernel in state.kernels)]
        state = replace(state, offers=offers.read(family(state.system), kernels, _patient))
    texts = {path: Path(path).read_text(errors="replace") for path in asked["texts"] if Path(path).is_file()}
    module.exit_json(changed=False, state=asdict(state), texts=texts, seconds=round(seconds, 2))


def _patient(argv: Sequence[str]) -> command.Answer:
    return command.run(list(argv), timeout=_OFFERS_TIMEOUT)


if __name__ == "__main__":
    main()
