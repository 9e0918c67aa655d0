#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: show
short_description: Print text on the terminal as it is, or fail with it
description:
  - Prints lines as lines, whatever the callback plugin would make of them.
  - With O(refuse) it fails like M(ansible.builtin.fail), whose message Ansible prints twice; this one is printed once. Without
    C(run_once) the host's name stands before the text.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  text:
    description: What to print.
    type: str
    required: true
  refuse:
    description: Whether the task fails with the text. It fails in check mode too.
    type: bool
    default: false
  reasons:
    description:
      - Each on a line of its own below the text. With an empty list nothing is wrong, and the task does not fail.
      - For O(refuse=true).
    type: list
    elements: str
attributes:
  check_mode:
    support: full
    description: The same.
"""

EXAMPLES = r"""
- name: Show a table
  baremetal.vllm.show:
    text: "{{ __table }}"

- name: Refuse a part of the fleet
  baremetal.vllm.show:
    text: "--limit leaves gateways out."
    refuse: true
  when: ansible_limit is defined
  run_once: true
"""

RETURN = r"""
msg:
  description: The text with its reasons. Where Ansible's default callback prints, they are told above it and not repeated.
  returned: failure
  type: str
"""
