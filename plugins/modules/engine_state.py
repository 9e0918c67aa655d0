# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
from __future__ import annotations

DOCUMENTATION = r"""
module: engine_state
short_description: Tell what a host has and needs for one vLLM engine
version_added: "0.1.0"
author: The baremetal.vllm contributors (!UNKNOWN)
description:
  - Reads which releases are installed, what uses them and which system packages are missing.
  - An action plugin of the same name adds what the control node knows - the lock, the wheelhouse that fits the host's
    Python -, decides what is to be done, and refuses where something stands in the way. It makes this one call.
  - Changes nothing, with and without check mode.
options:
  release:
    description: The planned release.
    type: str
    required: true
  accelerator:
    description: What it is built for.
    type: str
    required: true
    choices: [cuda, rocm, cpu]
  path:
    description: Its directory. Other releases lie beside it.
    type: path
    required: true
  packages:
    description: System packages that the engine needs, by distribution or family as C(/etc/os-release) names them.
    type: dict
    default: {}
  more_packages:
    description: Packages that options of the host's models call for, whatever the distribution.
    type: list
    elements: str
    default: []
  keep:
    description: Further releases that are planned on this host.
    type: list
    elements: str
    default: []
  source:
    description: Where the engine comes from. Read by the action plugin.
    type: str
    default: wheelhouse
    choices: [wheelhouse, index]
  wheelhouse:
    description: A wheelhouse on the control node, or the directory that holds several. Read by the action plugin.
    type: path
  lock:
    description: The lock on the control node for O(source=index). Read by the action plugin.
    type: path
  rocm:
    description:
      - The build for ROCm, such as V(rocm72); the release's first one where it is left out. Read by the action plugin.
    type: str
    default: ""
  index_url:
    description: The default package index of the hosts for O(source=index). Read by the action plugin.
    type: str
    default: ""
  index_urls:
    description: Further package indexes, asked before the default one. Read by the action plugin.
    type: list
    elements: str
    default: []
  python:
    description: V(auto), V(wheelhouse), an absolute path on the host, or a version. Read by the action plugin.
    type: str
    default: auto
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
"""

EXAMPLES = r"""
- name: Ask what is installed
  baremetal.vllm.engine_state:
    release: 0.32.0
    accelerator: cpu
    path: /opt/vllm/0.32.0
"""

RETURN = r"""
install:
  description: Whether the release is to be installed.
  type: bool
  returned: always
reason:
  description: Why, in words.
  type: str
  returned: always
family:
  description: Which entry of O(packages) applies, empty for none.
  type: str
  returned: always
missing_packages:
  description: Packages to install first.
  type: list
  elements: str
  returned: always
prunable:
  description: Releases that nothing uses any more.
  type: list
  elements: str
  returned: always
installed:
  description: Every release below the root with its marker, empty for an unfinished one.
  type: dict
  returned: always
foreign:
  description: Directories below the root that are called like releases and are somebody else's.
  type: list
  elements: str
  returned: always
unsafe:
  description: A line for each directory on the way to the engines that is not root's alone, with the remedy.
  type: list
  elements: str
  returned: always
used:
  description: What uses each release - units, generations, processes.
  type: dict
  returned: always
pythons:
  description: The Pythons of the host. Only where the release is not complete.
  type: list
  elements: dict
  returned: always
source:
  description: What the action plugin chose to install from - wheelhouse or lock, and Python.
  type: dict
  returned: when the release is to be installed
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import installed
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import secrets


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "str", "required": True},
            "accelerator": {"type": "str", "required": True, "choices": ["cuda", "rocm", "cpu"]},
            "path": {"type": "path", "required": True},
            "packages": {"type": "dict", "default": {}},
            "more_packages": {"type": "list", "elements": "str", "default": []},
            "keep": {"type": "list", "elements": "str", "default": []},
            "source": {"type": "str", "default": "wheelhouse", "choices": ["wheelhouse", "index"]},
            "wheelhouse": {"type": "path"},
            "lock": {"type": "path"},
            "rocm": {"type": "str", "default": ""},
            "index_url": {"type": "str", "default": ""},
            "index_urls": {"type": "list", "elements": "str", "default": []},
            "python": {"type": "str", "default": "auto"},
        },
        supports_check_mode=True,
    )
    asked = module.params
    for url in (asked["index_url"], *asked["index_urls"]):
        module.no_log_values.update(secrets(url))
    root = Path(asked["path"]).parent
    survey = installed.survey(root, asked["release"], asked["keep"])
    whole = bool(survey["installed"].get(asked["release"]))
    family = installed.family(list(asked["packages"]))
    named = asked["python"] if asked["python"].startswith("/") else ""
    module.exit_json(
        changed=False,
        **survey,
        missing_packages=installed.missing_packages((asked["packages"].get(family) or []) + asked["more_packages"]),
        family=family,
        pythons=[] if whole else installed.pythons(named),
        glibc=installed.libc(),
        systemd=installed.systemd(),
        arch=installed.machine(),
        free_bytes=installed.free_bytes(root),
    )


if __name__ == "__main__":
    main()
