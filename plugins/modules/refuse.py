#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Documentation of the action plugin of the same name; it runs on the control node only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: refuse
short_description: Fail with reasons that are printed once
description:
  - Fails like M(ansible.builtin.fail), whose message Ansible prints twice.
  - Without C(run_once) the host's name stands before the text.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  text:
    description: What is wrong, in a sentence.
    type: str
    required: true
  reasons:
    description: Each on a line of its own below the text. With an empty list nothing is wrong, and the task does not fail.
    type: list
    elements: str
attributes:
  check_mode:
    support: full
    description: It fails there too.
"""

EXAMPLES = r"""
- name: Refuse a part of the fleet
  baremetal.vllm.refuse:
    text: "--limit leaves gateways out."
  when: ansible_limit is defined
  run_once: true
"""

RETURN = r"""
msg:
  description: The text with its reasons. Where Ansible's default callback prints, they are told above it and not repeated.
  returned: failure
  type: str
"""
