#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: migrate
short_description: Rewrite the models' options for another vLLM release
description:
  - Prints C(args) and C(env) of every model of the menu as another vLLM release takes them, as YAML to paste.
  - Lists what is renamed, replaced by another option, left out and why, what does another thing though it is written the
    same or not at all, and what the release still takes but warns of.
  - The release may be newer or older than the one that the hosts run. The present inventory need not be valid.
  - Contacts no host. It reads each host's C(vllm_version) from the inventory, to know where a model comes from, and its
    accelerator, GPUs and C(nvidia_driver_version), to name the hosts that cannot run the release.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  models:
    description: The menu, C(vllm_models), keyed by the name that clients ask for.
    type: raw
  to:
    description: The vLLM release to rewrite for.
    type: str
    required: true
  came_from:
    description: The release that the menu was written for. By default what the hosts of each model run.
    type: str
  group:
    description: The inventory group whose hosts make the fleet.
    type: str
    default: gpu_hosts
  path:
    description: A file of the control node to write the YAML to.
    type: path
  gap:
    description: Why nobody takes part, as the filter P(baremetal.vllm.fleet_gap#filter) says it; fails with it.
    type: str
    default: ""
  extra_options:
    description: Options that plug-ins add, C(vllm_extra_options). They stay as they are.
    type: raw
  extra_choices:
    description: Choices that plug-ins add, C(vllm_extra_choices).
    type: raw
  extra_env:
    description: Environment variables that plug-ins read, C(vllm_extra_env).
    type: raw
attributes:
  check_mode:
    support: full
    description: Everything is printed, no file is written.
  diff_mode:
    support: full
    description: The file's difference.
"""

EXAMPLES = r"""
- name: Rewrite the menu for vLLM 0.33.0
  baremetal.vllm.migrate:
    models: "{{ vllm_models }}"
    to: 0.33.0
  run_once: true
"""

RETURN = r"""
hosts:
  description: What stops hosts from running the release as they are declared (C(refused)), and what they run with a restriction
    (C(restricted)), a sentence each.
  returned: success
  type: dict
to:
  description: The release it was rewritten for.
  returned: success
  type: str
models:
  description: By model the new C(args) and C(env), and C(changes) with C(option), C(kind), C(since), C(written), C(becomes)
    and C(note).
  returned: success
  type: dict
path:
  description: The file it was written to.
  returned: when C(path) is set
  type: str
"""
