# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
from __future__ import annotations

DOCUMENTATION = r"""
module: driver_job
short_description: Run commands that install or load a driver, and show how far they are
version_added: "0.1.0"
author: The baremetal.vllm contributors (!UNKNOWN)
description:
  - Runs commands one after the other, each as a transient systemd unit C(vllm-driver-job.service), so that a lost connection
    leaves no package half installed and no module half built. Their whole output is appended to C(/var/log/vllm-driver.log).
  - An action plugin of the same name goes through O(commands) and shows each step while it runs.
  - In check mode a command's own simulation is run where it has one, and its words become the diff.
  - Needs root and systemd on the host.
options:
  commands:
    description:
      - Commands with a C(title), an C(argv), and perhaps C(simulate) (the same without effect) and C(optional) (may fail).
      - Read by the action plugin.
    type: list
    elements: dict
    default: []
  phase:
    description: What the module itself does; set by the action plugin.
    type: str
    choices: [start, watch, simulate]
    default: watch
  title:
    description: What the command does, in words.
    type: str
    default: ""
  argv:
    description: The command of this phase.
    type: list
    elements: str
    default: []
  offset:
    description: Where in the log to go on reading.
    type: int
    default: 0
  begin:
    description: Where in the log the command's own words begin.
    type: int
    default: 0
extends_documentation_fragment:
  - baremetal.vllm.proxy
attributes:
  check_mode:
    support: full
    description: Simulates.
  diff_mode:
    support: full
    description: Shows the commands, and what their simulations say.
"""

EXAMPLES = r"""
- name: Build the module for a kernel
  baremetal.vllm.driver_job:
    commands:
      - title: build the module for 6.1.0-56-amd64
        argv: [dkms, install, nvidia/580.95.05, -k, 6.1.0-56-amd64]
"""

RETURN = r"""
commands:
  description: Titles of the commands that ran.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import causes
from ansible_collections.baremetal.vllm.plugins.module_utils.host import job, proxy

# Nobody is there to answer, services are restarted by the role, and messages must be those that are looked for.
ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "NEEDRESTART_SUSPEND": "1",
    "LC_ALL": "C",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "commands": {"type": "list", "elements": "dict", "default": []},
            "phase": {"type": "str", "choices": ["start", "watch", "simulate"], "default": "watch"},
            "title": {"type": "str", "default": ""},
            "argv": {"type": "list", "elements": "str", "default": []},
            "offset": {"type": "int", "default": 0},
            "begin": {"type": "int", "default": 0},
            **proxy.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    proxy.enter(module)
    asked = module.params
    if asked["phase"] == "simulate":
        rc, out, err = module.run_command(asked["argv"], environ_update=ENVIRONMENT)
        module.exit_json(changed=False, rc=rc, lines=(out + err).splitlines())
    if asked["phase"] == "start":
        started = job.start(
            asked["title"], asked["argv"], ENVIRONMENT, proxy.environment(asked["proxy"], asked["no_proxy"])
        )
        if started.get("error"):
            module.fail_json(msg=f"{asked['title']}: {started['error']}")
        module.exit_json(changed=not started["busy"], **started)
    seen = job.watch(asked["offset"], patience=15.0)
    # DKMS names its log in a line that an earlier call may have fetched.
    log = causes.build_log(job.words(asked["begin"])) if seen["rc"] else ""
    if log:
        seen["lines"] += Path(log).read_text(errors="replace").splitlines()[-400:] if Path(log).is_file() else []
    if seen["done"]:
        job.forget()
    module.exit_json(changed=False, **seen)


if __name__ == "__main__":
    main()
