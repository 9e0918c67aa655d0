# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
from __future__ import annotations

DOCUMENTATION = r"""
module: engine_install
short_description: Build one vLLM engine on a host
version_added: "0.1.0"
author: The baremetal.vllm contributors (!UNKNOWN)
description:
  - Builds a virtual environment with uv from a lock whose hashes are checked, proves that the engine
    and its compiled parts can be imported, closes it for writing, and writes C(.complete.json) last.
  - An action plugin of the same name sends everything the build needs in one file first, and shows progress.
  - Meant to run where M(baremetal.vllm.engine_state) says so - whatever is in the release's directory is replaced.
options:
  release:
    description: The release.
    type: str
    required: true
  accelerator:
    description: What it is built for.
    type: str
    required: true
    choices: [cuda, rocm, cpu]
  path:
    description: Its directory.
    type: path
    required: true
  source:
    description: What M(baremetal.vllm.engine_state) returned as C(source).
    type: dict
    required: true
  index_url:
    description: The default package index of the hosts, where the engine comes from an index.
    type: str
    default: ""
  index_urls:
    description: Further package indexes, asked before the default one.
    type: list
    elements: str
    default: []
  rocm:
    description:
      - The build for ROCm, such as V(rocm72); the release's first one where it is left out. Read by the action plugin.
    type: str
    default: ""
  kernels_index:
    description:
      - Where FlashInfer's compiled kernels are, for V(cuda). Empty for its own index, V(none) for nowhere.
      - Read by the action plugin for a lock that is resolved here, and by the host where the engine comes from an index.
      - Where none is named the host asks FlashInfer's index only for what the other indexes do not have.
    type: str
    default: ""
  exclude:
    description: Distributions to leave out of a lock that is resolved here. Read by the action plugin.
    type: list
    elements: str
  extra_requirements:
    description: Further requirements for a lock that is resolved here. Read by the action plugin.
    type: list
    elements: str
    default: []
  environment:
    description: Settings for uv on the host, such as V(SSL_CERT_FILE) or V(UV_PYTHON_INSTALL_MIRROR); they come before O(proxy).
    type: dict
    default: {}
  bundle:
    description: The file on the host, and its lock's digest. Set by the action plugin.
    type: path
  lock_sha256:
    description: Digest of the lock. Set by the action plugin.
    type: str
extends_documentation_fragment:
  - baremetal.vllm.proxy
attributes:
  check_mode:
    support: full
    description: Says that it would install, and changes nothing.
"""

EXAMPLES = r"""
- name: Build the engine
  baremetal.vllm.engine_install:
    release: 0.32.0
    accelerator: cpu
    path: /opt/vllm/0.32.0
    source: "{{ __state.source }}"
"""

RETURN = r"""
marker:
  description: What the marker of the installation says.
  type: dict
  returned: when installed
seconds:
  description: How long each step took - send, wait, unpack, install, import, close.
  type: dict
  returned: when installed
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.build import BuildError, Job, build
from ansible_collections.baremetal.vllm.plugins.module_utils.host import proxy
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import secrets


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "str", "required": True},
            "accelerator": {"type": "str", "required": True, "choices": ["cuda", "rocm", "cpu"]},
            "path": {"type": "path", "required": True},
            "source": {"type": "dict", "required": True},
            "index_url": {"type": "str", "default": ""},
            "index_urls": {"type": "list", "elements": "str", "default": []},
            "rocm": {"type": "str", "default": ""},
            "kernels_index": {"type": "str", "default": ""},
            "exclude": {"type": "list", "elements": "str"},
            "extra_requirements": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "dict", "default": {}},
            "bundle": {"type": "path"},
            "lock_sha256": {"type": "str", "no_log": False},
            **proxy.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    asked = module.params
    if module.check_mode:
        module.exit_json(changed=True, msg=f"would install vLLM {asked['release']} in {asked['path']}")
    proxy.enter(module, own=asked["environment"])
    for url in (asked["index_url"], *asked["index_urls"], asked["kernels_index"]):
        module.no_log_values.update(secrets(url))
    source = asked["source"]
    job = Job(
        release=asked["release"],
        accelerator=asked["accelerator"],
        path=Path(asked["path"]),
        bundle=Path(asked["bundle"]),
        lock_sha256=asked["lock_sha256"],
        python=source["python"],
        offline=bool(source["wheelhouse"]),
        need_bytes=int(source["need_bytes"]),
        default_index=asked["index_url"],
        indexes=tuple(asked["index_urls"]),
        kernels_index=asked["kernels_index"],
        environment=tuple(f"{key}={value}" for key, value in asked["environment"].items()),
    )
    try:
        marker, seconds = build(job)
    except BuildError as error:
        module.fail_json(msg=f"vLLM {job.release} was not installed: {error}")
    why = marker.get("kernels", {}).get("why")
    if why:
        module.warn(why)
    module.exit_json(changed=True, marker=marker, seconds=seconds)


if __name__ == "__main__":
    main()
