#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.engine_idle; the action plugin of the same name asks again and shows how far it is."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_idle
short_description: Wait until engines have no request left
description:
  - Waits until no named endpoint of this host has a running or waiting request, or the time is over. New requests must be kept
    away by whoever calls this; it only waits.
  - Time that is over is data, never a failure of the task.
  - The numbers are those of C(/metrics). They stay as they were when the last clients go away in the middle of their
    requests, until the engine works again (vLLM issues 22545 and 29928). Where numbers stand still and nothing is counted,
    an endpoint is therefore asked for one token by this module, and its numbers are read again.
  - A stream whose client reads no more stays a running request until its tokens are all made; one that hangs in a stuck
    engine stays until the time is over.
  - An endpoint that nobody can connect to has no request left. One that takes connections and does not tell its numbers
    counts as busy.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  services:
    description:
      - The endpoints. Of each, C(unit), C(address) (a wildcard is reached over loopback), C(port), C(kind) and C(name) are read.
    type: list
    elements: dict
    required: true
  timeout:
    description: Seconds to wait, at most. With 0 it looks once.
    type: float
    default: 300
  api_key_file:
    description: A file of the host with a line V(VLLM_API_KEY=…), in the form of systemd's EnvironmentFile=; there may be none.
    type: path
    default: /etc/vllm/secrets/api_key.env
  phase:
    description: Seconds after which one call of the host returns whatever it has seen. The action plugin asks again.
    type: float
    default: 10
attributes:
  check_mode:
    support: full
    description: Looks once, and asks for nothing.
  diff_mode:
    support: none
    description: Nothing changes.
"""

EXAMPLES = r"""
- name: Wait for the requests that are running
  baremetal.vllm.engine_idle:
    services: "{{ __vllm_plan.plan.hosts[inventory_hostname].services }}"
    timeout: 600
"""

RETURN = r"""
units:
  description:
    - By unit, V(running) and V(waiting) requests as last seen, whether it is V(idle), after how many V(seconds) it was first
      seen so (or how long was waited), and V(told) - what was seen of an endpoint that does not tell its numbers.
  returned: always
  type: dict
  sample: {vllm-m.service: {running: 0, waiting: 0, idle: true, seconds: 12.1, told: ""}}
idle:
  description: Whether all are.
  returned: always
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.secret import read_key
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Invalid, parse_services
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.waiting import wait


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "dict", "required": True},
            "timeout": {"type": "float", "default": 300.0},
            "api_key_file": {"type": "path", "no_log": False, "default": "/etc/vllm/secrets/api_key.env"},
            "phase": {"type": "float", "default": 10.0},
        },
        supports_check_mode=True,
    )
    bound = 0.0 if module.check_mode else min(module.params["timeout"], module.params["phase"])
    try:
        services = parse_services(module.params["services"])
        units = wait(services, bound, read_key(module.params["api_key_file"]))
    except Invalid as error:
        module.fail_json(msg="\n".join(error.problems))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file of this host'}: {error.strerror}")
    module.exit_json(changed=False, units=units, idle=all(unit["idle"] for unit in units.values()))


if __name__ == "__main__":
    main()
