#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: migrate
short_description: Write entries of the inventory for a vLLM release, from the menu or from a vllm serve command
description:
  - Contacts no host, and prints YAML to paste.
  - O(subject=menu) rewrites C(args) and C(env) of every model of the menu as another vLLM release takes them. It lists what is
    renamed, replaced by another option, left out and why, what does another thing though it is written the same or not at
    all, and what the release still takes but warns of. The release may be newer or older than the one that the hosts run. The
    present inventory need not be valid. It reads each host's C(vllm_version) from the inventory, to know where a model comes
    from, and its accelerator, GPUs and C(nvidia_driver_version), to name the hosts that cannot run the release.
  - O(subject=command) reads a C(vllm serve) command, or a file that holds one (a shell script, a systemd unit, a quadlet, a
    C(docker run) line, a compose file, a Kubernetes manifest, C(python -m vllm.entrypoints.openai.api_server)), and prints an
    entry of C(vllm_models). A script is followed as bash would run it; nothing of it is run. Files beside it that it reads are
    read, others are named. Options are read as vLLM's own parser reads them. What the toolkit decides itself moves to its own
    keys. Secrets are not shown, only where they belong. What only a running shell could know is said, not guessed. It fails,
    after printing, where an entry has no model; it fails with the line where the text cannot be read.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  subject:
    description: What is read. The options of one subject are refused for another.
    type: str
    choices: [menu, command]
    default: menu
  models:
    description:
      - The menu, C(vllm_models), keyed by the name that clients ask for.
      - For O(subject=menu).
    type: raw
  to:
    description: The vLLM release to rewrite for. O(subject=menu) needs it; without it a command's options stay as they are.
    type: str
  came_from:
    description:
      - The release that the menu was written for. By default what the hosts of each model run.
      - For O(subject=menu).
    type: str
  group:
    description:
      - The inventory group whose hosts make the fleet.
      - For O(subject=menu).
    type: str
    default: gpu_hosts
  path:
    description:
      - A file of the control node to write the YAML to.
      - For O(subject=menu).
    type: path
  gap:
    description:
      - Why nobody takes part, as the filter P(baremetal.vllm.fleet_gap#filter) says it; fails with it.
      - For O(subject=menu).
    type: str
    default: ""
  extra_options:
    description:
      - Options that plug-ins add, C(vllm_extra_options). They stay as they are.
      - For O(subject=menu).
    type: raw
  extra_choices:
    description:
      - Choices that plug-ins add, C(vllm_extra_choices).
      - For O(subject=menu).
    type: raw
  extra_env:
    description:
      - Environment variables that plug-ins read, C(vllm_extra_env).
      - For O(subject=menu).
    type: raw
  command:
    description:
      - The command, with its quotes.
      - For O(subject=command).
    type: str
  file:
    description:
      - A file of the control node that holds the command.
      - For O(subject=command).
    type: path
  release:
    description:
      - The vLLM release the command was written for. By default what an image's tag says, else any.
      - For O(subject=command).
    type: str
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

- name: Print the entry of a start script
  baremetal.vllm.migrate:
    subject: command
    file: start.sh
    release: 0.9.2
    to: 0.33.0
"""

RETURN = r"""
hosts:
  description: What stops hosts from running the release as they are declared (C(refused)), and what they run with a restriction
    (C(restricted)), a sentence each.
  returned: with subject menu
  type: dict
to:
  description: The release it was rewritten for.
  returned: with subject menu
  type: str
models:
  description: By model the new C(args) and C(env), and C(changes) with C(option), C(kind), C(since), C(written), C(becomes)
    and C(note).
  returned: with subject menu
  type: dict
path:
  description: The file it was written to.
  returned: when C(path) is set
  type: str
entries:
  description: For every start of vLLM that was found, C(entry) (with its C(name)) and C(notes).
  returned: with subject command
  type: list
  elements: dict
"""
