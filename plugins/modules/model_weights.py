#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin `model_weights`; the work is done by the action and `model_weights_host`."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_weights
short_description: Brings the planned weights onto a host, whole and checked
description:
  - For each planned item, the pinned weights lie at their path when this ends, complete and with the right SHA-256.
  - Models of a hub are fetched with the engine's own C(huggingface_hub) by a process of the host that goes on when the
    control node goes away; a later run finds it, or resumes where it stopped.
  - Directories of the control node are copied file by file; only files that are missing are sent.
  - A model grows beside its place and is renamed there when every file was checked; it is never half there.
  - With nothing to do this is one module call for all items of the host.
version_added: 0.1.0
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  items:
    description: The host's weights from the plan, with the keys V(source) (hub, pushed or host) and V(path).
    type: list
    elements: dict
    required: true
    suboptions:
      source:
        description: Where the weights come from.
        type: str
        choices: [hub, pushed, host]
        required: true
      path:
        description: Where they lie on the host.
        type: str
        required: true
      repo:
        description: Name on the hub; for V(source=hub).
        type: str
      revision:
        description: Commit, 40 hexadecimal digits; for V(source=hub).
        type: str
      from:
        description: Directory on the control node; for V(source=pushed).
        type: str
      digest:
        description: SHA-256 over the sorted manifest of that directory; for V(source=pushed).
        type: str
  engine_python:
    description: Python of an installed engine. In check mode it may not be there yet.
    type: str
    default: ""
  token_file:
    description: File on the host that holds the hub's token, readable by root only.
    type: str
    default: /etc/vllm/secrets/hf_token
  hf_token:
    description: Token for gated or private models; written to O(token_file) when it differs. Never shown.
    type: str
    default: ""
  endpoint:
    description: Address of the hub or of a mirror with the same interface.
    type: str
    default: https://huggingface.co
  offline:
    description:
      - Fetch nothing. A hub model that is not there is an error that says where to put it; a complete directory that
        was copied there by hand is taken over.
    type: bool
    default: false
  verify:
    description: Read every file again and compare its SHA-256; what differs is replaced.
    type: bool
    default: false
  store:
    description: Directory of the weights on the host; its file system is the one whose free space is checked.
    type: str
    default: /var/lib/vllm/models
  run_dir:
    description: Directory on the host for the download process and its status.
    type: str
    default: /run/baremetal-vllm/weights
  pause:
    description: Seconds before another try after a network error; grows with each try.
    type: float
    default: 5.0
extends_documentation_fragment:
  - baremetal.vllm.proxy
"""

EXAMPLES = r"""
- name: Bring the planned weights
  baremetal.vllm.model_weights:
    engine_python: /opt/vllm/0.32.0/bin/python
    items:
      - source: hub
        repo: Qwen/Qwen2.5-72B-Instruct
        revision: 495f39366efef23836d0cfae4fbe635880d2be31
        path: /var/lib/vllm/models/hub/models--Qwen--Qwen2.5-72B-Instruct/495f39366efef23836d0cfae4fbe635880d2be31
"""

RETURN = r"""
weights:
  description: Each item with its path, and whether it was present, fetched, pushed or adopted (or would be).
  type: list
  elements: dict
  returned: success
"""
