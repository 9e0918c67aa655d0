#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: import_command
short_description: Turn a vllm serve command into an entry of the inventory
description:
  - Reads a C(vllm serve) command, or a file that holds one (a shell script, a systemd unit, a quadlet, a C(docker run) line, a
    compose file, a Kubernetes manifest, C(python -m vllm.entrypoints.openai.api_server)), and prints an entry of
    C(vllm_models) as YAML to paste.
  - A script is followed as bash would run it; nothing of it is run. Files beside it that it reads are read, others are named.
  - Options are read as vLLM's own parser reads them. What the toolkit decides itself moves to its own keys.
  - Secrets are not shown, only where they belong. What only a running shell could know is said, not guessed.
  - Fails, after printing, where an entry has no model; fails with the line where the text cannot be read.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  command:
    description: The command, with its quotes.
    type: str
  file:
    description: A file of the control node that holds the command.
    type: path
  release:
    description: The vLLM release the command was written for. By default what an image's tag says, else any.
    type: str
  to:
    description: A vLLM release to rewrite the options for.
    type: str
"""

EXAMPLES = r"""
- name: Print the entry of a start script
  baremetal.vllm.import_command:
    file: start.sh
    release: 0.9.2
    to: 0.33.0
"""

RETURN = r"""
entries:
  description: For every start of vLLM that was found, C(entry) (with its C(name)) and C(notes).
  returned: success
  type: list
  elements: dict
"""
