#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
from __future__ import annotations

DOCUMENTATION = r"""
module: system_packages
short_description: Install or remove packages of a host's distribution
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
description:
  - Has C(apt-get) or C(dnf) bring packages, through a proxy where one is given, and leaves needrestart asleep, which would
    restart engines in the middle of a play.
  - apt's lists are read anew where they are older than an hour or do not have the packages.
  - Needs root on the host.
options:
  name:
    description: The packages, in the distribution's names, perhaps with a version as the package manager reads it.
    type: list
    elements: str
    required: true
  state:
    description: Whether they shall be there.
    type: str
    choices: [present, absent]
    default: present
  recommended:
    description: Install what they recommend as well.
    type: bool
    default: false
extends_documentation_fragment:
  - baremetal.vllm.proxy
attributes:
  check_mode:
    support: full
    description: Says which packages would change, and changes nothing.
"""

EXAMPLES = r"""
- name: Install a compiler
  baremetal.vllm.system_packages:
    name: [g++]
    proxy: http://proxy.example.com:3128
  become: true
"""

RETURN = r"""
packages:
  description: The packages that were, or in check mode would be, installed or removed.
  returned: success
  type: list
  elements: str
"""

import shutil
from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.installed import family
from ansible_collections.baremetal.vllm.plugins.module_utils.host import packages, proxy


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "recommended": {"type": "bool", "default": False},
            **proxy.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    proxy.enter(module)
    asked = module.params
    absent = asked["state"] == "absent"
    manager = packages.manager_of(family(["debian", "rhel", "fedora"]), shutil.which)
    if not manager:
        module.fail_json(
            msg=f"this host has neither apt-get nor dnf: {'remove' if absent else 'install'} {' '.join(asked['name'])} by hand"
        )

    def run(command: Sequence[str]) -> tuple[int, str]:
        rc, out, err = module.run_command(list(command), environ_update=packages.ENVIRONMENT)
        return rc, f"{out}\n{err}" if rc else out

    there = packages.installed(manager, asked["name"], run)
    concerned = [name for name in asked["name"] if (name in there) == absent]
    if concerned and not module.check_mode:
        try:
            packages.change(manager, concerned, run, absent=absent, recommended=asked["recommended"], say=module.warn)
        except packages.PackageError as error:
            module.fail_json(msg=str(error))
    module.exit_json(changed=bool(concerned), packages=concerned)


if __name__ == "__main__":
    main()
