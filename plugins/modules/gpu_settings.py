#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.gpu_settings; the action plugin of the same name renders the units."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gpu_settings
short_description: Set what NVIDIA GPUs are cut into, their power limits, clocks and compute modes
description:
  - Compares the GPUs with what is asked, sets what differs, and looks again whether it is so.
  - Two units do the same after each boot with plain C(nvidia-smi) commands - C(gpu-mig.service) cuts GPUs where none is cut yet,
    C(gpu-settings.service) sets the rest and can be restarted at any time.
  - What an earlier run set and nobody asks for any more goes back to its default, and a unit without commands is removed.
  - A GPU on which something runs is not cut. Nothing is touched where anything is refused.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  gpus:
    description: Settings by GPU as M(baremetal.vllm.plan) returns them; GPUs that are not in the list are left alone.
    type: list
    elements: dict
    default: []
    suboptions:
      index:
        description: The GPU's number in C(nvidia-smi).
        type: int
        required: true
      mig:
        description: Profiles of its slices; an empty list for a GPU that is not cut.
        type: list
        elements: str
      power_limit:
        description: Watts.
        type: int
      clocks:
        description: Lowest and highest graphics clock in MHz.
        type: list
        elements: int
      compute_mode:
        description: Which programs may compute.
        type: str
        choices: ["", default, exclusive_process, prohibited]
        default: ""
  units:
    description: Units by name, as the action plugin has rendered them.
    type: dict
    default: {}
extends_documentation_fragment:
  - baremetal.vllm.templates
attributes:
  check_mode:
    support: full
    description: Says what would be set and written.
  diff_mode:
    support: full
    description: Shows the units' texts and each change of a GPU.
"""

EXAMPLES = r"""
- name: Cap the power of the first GPU and cut the second
  baremetal.vllm.gpu_settings:
    gpus:
      - {index: 0, power_limit: 400}
      - {index: 1, mig: [3g.40gb, 3g.40gb]}
    templates: "{{ gpu_settings_templates }}"
"""

RETURN = r"""
steps:
  description: What was done (or would be), in words.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import settings_host as host
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings import COMPUTE_MODES, from_dicts
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings_decide import left
from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import SystemdError

GPU = {
    "index": {"type": "int", "required": True},
    "mig": {"type": "list", "elements": "str"},
    "power_limit": {"type": "int"},
    "clocks": {"type": "list", "elements": "int"},
    "compute_mode": {"type": "str", "choices": ["", *COMPUTE_MODES], "default": ""},
}


def run(module: AnsibleModule) -> None:
    """Bring GPUs and both units to what is planned, and look again whether they show it; exits or fails the task.

    Raises SettingError and SystemdError: where a command or a unit fails.
    """
    planned, wanted = module.params["units"], from_dicts(module.params["gpus"])
    seen = host.look(planned, wanted)
    if seen.facts is not None and not seen.facts.gpus and (planned or wanted):
        module.fail_json(
            msg=f"No GPU can be set: nvidia-smi says: {seen.facts.error or 'no GPU'}. Mend the driver first"
            " (ansible-playbook baremetal.vllm.driver), or take the gpu_* settings of this host out"
        )
    if seen.verdict.refusals:
        module.fail_json(msg="\n".join(seen.verdict.refusals), steps=[])
    steps = seen.changes
    diff = [
        {
            "before": seen.texts.get(name, ""),
            "after": planned.get(name, ""),
            "before_header": str(host.UNITS / name),
            "after_header": str(host.UNITS / name),
        }
        for name in (*seen.write, *seen.remove)
    ]
    diff += [{"prepared": f"{step}\n"} for step in steps if not step.startswith(("write ", "remove "))]
    if steps and not module.check_mode:
        host.apply(seen, planned)
        still = left(host.look(planned, wanted).verdict)
        if still:
            module.fail_json(msg=f"Set, but the GPUs do not show it: {'; '.join(still)}", steps=steps)
    module.exit_json(changed=bool(steps), steps=steps, diff=diff)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "gpus": {"type": "list", "elements": "dict", "default": [], "options": GPU},
            "templates": {"type": "path"},
            "units": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    try:
        run(module)
    except (host.SettingError, SystemdError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file of this host'}: {error.strerror}")


if __name__ == "__main__":
    main()
