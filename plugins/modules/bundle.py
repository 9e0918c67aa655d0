#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bundle
short_description: Write what a fleet is installed from into one directory, and verify it
description:
  - Writes the engines, weights, adapters and compile caches that a plan needs into one directory, with a manifest that has the
    size and SHA-256 of every file.
  - Engines are the images of the control node or, where there is none, its wheelhouses. Models of a hub are fetched by the
    control node.
  - A second run reads what is there and writes what lacks or differs. The manifest is written last; without it, a directory is
    not taken for a bundle.
version_added: "0.2.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  directory:
    description: The bundle's directory, for the bundle alone. It is made where the folder that holds it is there.
    type: path
  plan:
    description: The name of the variable that holds the plan, as M(baremetal.vllm.plan) was registered.
    type: str
    default: ''
  verify:
    description: Read every file of a bundle and fail with all that is wrong. No plan is needed, nothing is written.
    type: bool
    default: false
  prune:
    description: Remove what is in the bundle and not needed by the plan. Otherwise it is named and stays.
    type: bool
    default: false
  caches:
    description: Whether compile caches belong into the bundle.
    type: bool
    default: true
  warm:
    description: Where the control node keeps compile caches; C($XDG_CACHE_HOME/baremetal-vllm/warm) where it is empty.
    type: path
    default: ''
  python:
    description: A Python of the control node that has C(huggingface_hub), where the one that runs Ansible has not.
    type: path
    default: ''
  pause:
    description: Seconds before another try after a network error; grows with each try.
    type: float
    default: 5.0
extends_documentation_fragment:
  - baremetal.vllm.hub
  - baremetal.vllm.proxy
attributes:
  check_mode:
    support: full
    description: Says what would be brought and removed. A hub is asked how large its models are.
  diff_mode:
    support: none
    description: Files of a bundle have no difference that anybody could read.
"""

EXAMPLES = r"""
- name: Write what the planned fleet is installed from
  baremetal.vllm.bundle:
    directory: /media/stick/vllm
    plan: __vllm_plan

- name: Verify it where there is no network
  baremetal.vllm.bundle:
    directory: /media/stick/vllm
    verify: true
"""

RETURN = r"""
path:
  description: The bundle's directory.
  type: str
  returned: success
digest:
  description: SHA-256 of the manifest; empty in check mode.
  type: str
  returned: success
count:
  description: How many files the bundle has; in check mode without those of models that are yet to be fetched.
  type: int
  returned: success
bytes:
  description: How large they are together.
  type: int
  returned: success
written:
  description: What was (or would be) brought, by the names of models and engines.
  type: list
  elements: str
  returned: without verify
written_bytes:
  description: How many bytes that were.
  type: int
  returned: without verify
unneeded:
  description: What is in the bundle and not needed by the plan, or was removed with O(prune).
  type: list
  elements: str
  returned: without verify
faults:
  description: An empty list; a bundle with faults fails, and the message has them all.
  type: list
  elements: str
  returned: with verify
"""
