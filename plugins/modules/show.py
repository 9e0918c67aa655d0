#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: show
short_description: Print text on the terminal as it is
description:
  - Prints lines as lines, whatever the callback plugin would make of them.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  text:
    description: What to print.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show a table
  baremetal.vllm.show:
    text: "{{ __table }}"
"""
