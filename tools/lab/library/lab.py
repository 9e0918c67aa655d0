"""Documentation of the action plugin of the same name, which does the work on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab
short_description: Boot or remove the lab's Debian machines on the control node
version_added: "0.1.0"
description:
  - Boots real systemd machines on the computer that Ansible runs on, each with its own address and sshd on a private
    bridge, from Debian roots that are made once and cached.
  - Machines are told by name. One that runs as wanted is left alone; one that is down is booted; one whose address,
    release or packages have changed is made anew. Machines that are not listed stay as they are.
  - Needs root on a Debian-like computer; what is missing is said before anything is changed.
options:
  state:
    description:
      - V(present) boots what is not running. V(absent) removes machines, and without O(names) everything else too that
        the lab has put on this computer, its caches apart. V(killed) cuts the power of the machines in O(names).
    type: str
    choices: [present, absent, killed]
    default: present
  machines:
    description:
      - The machines. Without it, the hosts of the inventory group O(group), described by their variables
        C(ansible_host), C(ansible_port), C(lab_suite), C(lab_internet) and C(lab_packages). Without such a group, C(lab1)
        to C(lab3).
    type: list
    elements: dict
    suboptions:
      name:
        description: Host name, 1 to 32 lower-case letters, digits and hyphens.
        type: str
        required: true
      address:
        description:
          - Address in O(subnet). Without it, the next free one from the eleventh on.
          - Or one in the lab's IPv6 network, which follows from O(subnet) (C(fd6c:6162:ad5:4d00::/64)). The machine then has no
            IPv4 address, and nothing beyond the bridge can be reached from it.
        type: str
      port:
        description: Port of its sshd.
        type: int
        default: 22
      suite:
        description: Debian release.
        type: str
        choices: [bookworm, trixie]
        default: bookworm
      internet:
        description: Whether the machine reaches anything beyond the lab's bridge.
        type: bool
        default: true
      packages:
        description: Debian packages that are installed before the first boot, as in a golden image.
        type: list
        elements: str
        default: []
  group:
    description: Inventory group whose hosts are the machines.
    type: str
    default: lab
  names:
    description: Restricts the task to these machines.
    type: list
    elements: str
    default: []
  subnet:
    description: Private IPv4 network of the lab. Its first address is the control node's.
    type: str
    default: 10.213.77.0/24
author:
  - baremetal-vllm contributors (@baremetal-vllm)
"""

EXAMPLES = r"""
- name: Boot the machines of the inventory group lab
  lab:

- name: Boot a Debian 13 machine that reaches nothing outside the lab
  lab:
    machines:
      - name: lab9
        suite: trixie
        internet: false

- name: Cut the power of one machine
  lab:
    state: killed
    names: [lab2]

- name: Leave nothing of the lab behind
  lab:
    state: absent
"""

RETURN = r"""
changes:
  description: What was done (or would be, in check mode), in order.
  returned: success
  type: list
  elements: str
  sample: ["boot lab2 (10.213.77.12)"]
machines:
  description: Name, address, release and internet access of every machine that the lab now has.
  returned: success
  type: list
  elements: dict
ssh_config:
  description: File with which C(ssh -F FILE lab1) reaches the machines.
  returned: success
  type: str
seconds:
  description: How long it took.
  returned: success
  type: float
"""
