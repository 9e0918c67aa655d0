#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""One member of a run that brings content from host to host: described, started, followed, ended."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: fan_out
short_description: Take content from a neighbour and give it on to the next
description:
  - Brings a file or a directory to many hosts for one copy that leaves its source. Each host takes chunks from a neighbour,
    checks them, and gives them on while the others still arrive.
  - The agent is a transient systemd unit. It goes on when the connection is lost, and ends by itself where for C(lease) seconds
    no O(step=follow) comes and no byte comes or goes; the next run goes on from what is there.
  - Content gets its name in one step when all of it is there and checked. Nothing is used before.
  - With O(shared) the steps are those of the role P(baremetal.vllm.fan_out#role); the action plugin fills in the rest.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  step:
    description:
      - V(describe) reads the content at O(path), says by which name all know it, and keeps its manifest beside it. One that is
        kept there already, with the files' sizes, is taken as it is.
      - V(start) starts the agent of O(order) with the run's O(credential), and returns when it listens. O(peers) may reach it.
      - V(follow) hands over O(neighbours) where they are given, and returns when the content is whole, has failed, or
        O(patience) is over.
      - V(end) ends the agent, closes its port, and removes all of it but the content.
      - V(share) decides on the control node, once for all hosts, what is brought to whom from whom. V(certificate) makes the
        run's there, and V(tell) says there what came of one wave. No host is asked.
    type: str
    choices: [describe, start, follow, end, share, certificate, tell]
    required: true
  path:
    description:
      - A file or directory, for O(step=describe).
      - For O(step=end), where the content was to go; what came of it and is not whole is removed then.
    type: path
  peers:
    description:
      - For O(step=start), the addresses of those that may ask this host. Where the host's firewall is firewalld or ufw, it lets
        them in until O(step=end). Left out, nothing is opened.
    type: list
    elements: str
  plan:
    description: For O(step=share), the name of the variable that holds what M(baremetal.vllm.plan) returned.
    type: str
  look:
    description: For O(step=share), the name of the variable in which each host has what M(baremetal.vllm.host_state) returned.
    type: str
  shared:
    description: The name of the variable that holds what O(step=share) returned.
    type: str
  kind:
    description: Which of its contents are meant.
    type: str
    choices: [image, weights]
  wave:
    description: Which of their waves is meant, from 0. A host takes part in one content of a wave at most.
    type: int
  bounds:
    description: With O(shared), C(bounds) of the order that differ from what its number of hosts makes of them.
    type: dict
  results:
    description: By step the names of the variables in which each host has what that step of the wave returned.
    type: dict
  content:
    description: The content's name, for O(step=follow) and O(step=end).
    type: str
  order:
    description: What this host is to do, for O(step=start).
    type: dict
    suboptions:
      name:
        description: The member's name, as others know it.
        type: str
        required: true
      content:
        description: The SHA-256 of the manifest, which O(step=describe) returns as C(digest).
        type: str
        required: true
      target:
        description: Where the content goes. Content that lies there already is given on from there.
        type: path
        required: true
      listen:
        description: The address to listen on.
        type: str
        default: 0.0.0.0
      port:
        description: The port to listen on; V(0) is any that is free.
        type: int
        default: 0
      bounds:
        description:
          - What it may do and for how long - C(receivers) at once, C(rate) in bytes a second (0 is no bound), and seconds of
            C(silence), C(wait), C(window), C(give_up) and C(lease); C(floor), bytes a second under which a neighbour is slow.
        type: dict
        default: {}
  credential:
    description: The run's certificate and its key as PEM. It lies in a file for root alone until the agent has read it.
    type: str
  neighbours:
    description: Whom to ask, nearest first; of each C(name), C(address), C(port), and C(later) for those after this host.
    type: list
    elements: dict
  patience:
    description: Seconds that O(step=follow) waits at most.
    type: float
    default: 10
attributes:
  check_mode:
    support: none
    description: Is skipped.
  diff_mode:
    support: none
    description: What it brings is not text.
"""

EXAMPLES = r"""
- name: Say which content lies here
  baremetal.vllm.fan_out:
    step: describe
    path: /var/lib/vllm/images/engine.squashfs
  register: __content

- name: Start a member
  baremetal.vllm.fan_out:
    step: start
    order:
      name: "{{ inventory_hostname }}"
      content: "{{ __content.digest }}"
      target: /var/lib/vllm/images/engine.squashfs
    credential: "{{ __credential }}"
"""

RETURN = r"""
hosts:
  description: Those that take part in anything.
  returned: with O(step=share)
  type: list
  elements: str
kinds:
  description: By kind of content its C(waves), their C(numbers), and its C(seeds), by host what that brings for all.
  returned: with O(step=share)
  type: dict
pem:
  description: The run's certificate with its key.
  returned: with O(step=certificate)
  type: str
digest:
  description: The content's name.
  returned: with O(step=describe)
  type: str
  sample: 9f2c0a
size:
  description: Bytes of all files.
  returned: with O(step=describe)
  type: int
status:
  description:
    - What the agent told last - C(state) (V(starting), V(waiting), V(fetching), V(whole), V(ended), V(failed), or V(none) where
      there is no agent), C(port), C(received) and C(sent) bytes, C(chunks) of C(total), C(rate), C(neighbour), C(receivers),
      C(liars), C(damaged), C(complaints), C(problem).
  returned: with O(step=start), O(step=follow) and O(step=end)
  type: dict
"""

from collections.abc import Sequence
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.job import FanoutJob
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.manifest import ManifestError
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.order import OrderError, read_neighbours, read_order
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.store import Place, described
from ansible_collections.baremetal.vllm.plugins.module_utils.host.job import JobError
from ansible_collections.baremetal.vllm.plugins.module_utils.text.address import resolved
from ansible_collections.baremetal.vllm.plugins.module_utils.units import opening

# Of what firewalls let in, by which it is found and taken back.
OPENING = "fanout"


def let_in(port: int, peers: Sequence[str]) -> str:
    """Have the host's firewall let `peers` (addresses, or names that this host knows) in, or nobody; returns why it could not."""
    sources = tuple(dict.fromkeys(address for peer in peers for address in resolved(peer)))
    try:
        opening.apply(OPENING, opening.Opening(OPENING, (port,), sources) if sources else None)
    except (opening.OpeningError, OSError) as error:
        return str(error)
    return ""


def main() -> None:
    order = {
        "name": {"type": "str", "required": True},
        "content": {"type": "str", "required": True},
        "target": {"type": "path", "required": True},
        "listen": {"type": "str", "default": "0.0.0.0"},  # noqa: S104 - the firewall opens it for members, TLS takes no others
        "port": {"type": "int", "default": 0},
        "bounds": {"type": "dict", "default": {}},
    }
    module = AnsibleModule(
        argument_spec={
            "step": {
                "type": "str",
                "choices": ["describe", "start", "follow", "end", "share", "certificate", "tell"],
                "required": True,
            },
            "path": {"type": "path"},
            "peers": {"type": "list", "elements": "str"},
            **{name: {"type": "str"} for name in ("plan", "look", "shared")},
            "kind": {"type": "str", "choices": ["image", "weights"]},
            "wave": {"type": "int"},
            **{name: {"type": "dict"} for name in ("bounds", "results")},
            "content": {"type": "str"},
            "order": {"type": "dict", "options": order},
            "credential": {"type": "str", "no_log": True},
            "neighbours": {"type": "list", "elements": "dict"},
            "patience": {"type": "float", "default": 10.0},
        },
        required_if=[
            ("step", "describe", ["path"]),
            ("step", "start", ["order", "credential"]),
            ("step", "follow", ["content"]),
            ("step", "end", ["content"]),
        ],
    )
    p = module.params
    try:
        if p["step"] == "describe":
            found = described(Place(Path(p["path"])))
            module.exit_json(changed=False, digest=found.digest, size=found.size)
        given = None if p["neighbours"] is None else read_neighbours(p["neighbours"])
        if p["step"] == "start":
            wanted = read_order(p["order"])
            closed = let_in(wanted.port, p["peers"]) if p["peers"] is not None else ""
            if closed:
                module.warn(closed)
            status = FanoutJob(wanted.content).start(wanted, p["credential"], given or ())
            module.exit_json(changed=True, status=status)
        if p["step"] == "follow":
            module.exit_json(changed=False, status=FanoutJob(p["content"]).follow(given, p["patience"]))
        if p["step"] == "end":
            status = FanoutJob(p["content"]).end(Path(p["path"]) if p["path"] else None)
            let_in(0, ())
            module.exit_json(changed=True, status=status)
        module.fail_json(msg=f"step {p['step']} is the action plugin's, which no host is asked for")
    except (ManifestError, OrderError, JobError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file of this host'}: {error.strerror or error}")


if __name__ == "__main__":
    main()
