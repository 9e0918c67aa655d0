#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Drains servers of a gateway and makes them ready again, through HAProxy's admin socket."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gateway_server
short_description: Drain servers of a gateway, or make them ready again
description:
  - Runs on a gateway. A drained server gets no new requests and finishes those that it has.
  - Draining is refused where it would take the last serving replica of a model, and then changes nothing at all.
  - What is drained stays drained over reloads, restarts and kills of HAProxy, and who drained it, why and since when is
    recorded beside it. While HAProxy is down, the change is written down and holds from its next start.
  - Draining twice is the same as once; the record of the first time stays.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  state:
    description: What the servers shall be. C(query) changes nothing.
    type: str
    choices: [query, drained, ready]
    default: query
  servers:
    description: The servers to change.
    type: list
    elements: dict
    default: []
    suboptions:
      model:
        description: The model's name in the inventory.
        type: str
        required: true
      host:
        description: The engine's host by its inventory name.
        type: str
        required: true
  hosts:
    description:
      - Every server of these engine hosts that this gateway has, whatever it serves. A gateway that is not set up has none, and
        nothing changes there.
      - With V(ready), only those that O(who) has drained; what somebody else drained stays so.
    type: list
    elements: str
    default: []
  who:
    description: Who drains, for the record.
    type: str
    default: ""
  why:
    description: What for, for the record.
    type: str
    default: ""
  allow_gap:
    description: Drain also the last serving replica of a model.
    type: bool
    default: false
  leaving:
    description: Models that leave the fleet as a whole; that nobody serves them is no gap.
    type: list
    elements: str
    default: []
  wait:
    description:
      - With V(ready), seconds within which health checks have to see the servers up; then the task fails.
      - With V(0), and while HAProxy is down, nobody waits.
    type: float
    default: 0
  socket:
    description: HAProxy's admin socket.
    type: path
    default: /run/haproxy-vllm/admin.sock
  directory:
    description: Where the state for HAProxy's next start and the record of drains are kept.
    type: path
    default: /var/lib/haproxy-vllm
  config:
    description: HAProxy's configuration, which tells what there is to drain while it is down.
    type: path
    default: /etc/haproxy/vllm.cfg
attributes:
  check_mode:
    support: full
    description: Says what would be drained or made ready, and refuses what would be refused.
  diff_mode:
    support: full
    description: Shows each changed server's state before and after.
"""

EXAMPLES = r"""
- name: Take a host's endpoint out of the fleet
  baremetal.vllm.gateway_server:
    state: drained
    servers:
      - model: qwen
        host: gpu1
    who: alice
    why: new power supply

- name: Take a host out of the fleet
  baremetal.vllm.gateway_server:
    state: drained
    hosts: [gpu1]
    who: alice
    why: new power supply

- name: See what is drained
  baremetal.vllm.gateway_server:
    state: query
"""

RETURN = r"""
servers:
  description: By model and host, C(admin) (ready, drained or maint), C(up) by its health checks, C(sessions) under way.
  returned: always
  type: dict
drains:
  description: By C(model/host) of what is drained, C(who), C(why) and C(since). All but C(why) are null where it is not
    recorded, because somebody used the admin socket by hand.
  returned: always
  type: dict
replaced:
  description: By unit of the gateway the programs and libraries that an update replaced under its running process.
  returned: with O(state=query)
  type: dict
certificate:
  description:
    - Of the certificate that HAProxy has loaded its C(path), when it C(ends), and the C(days) until then by the gateway's clock;
      empty without TLS.
  returned: with O(state=query)
  type: dict
running:
  description: Whether HAProxy is up.
  returned: always
  type: bool
"""

import time
from contextlib import nullcontext
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway import drain
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway.query import query, seen
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway.runtime import (
    ADMIN,
    CONFIG,
    DIRECTORY,
    Gateway,
    GatewayError,
    GatewaySight,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import SystemdError


def on_hosts(sight: GatewaySight, module: AnsibleModule) -> list[drain.Pair]:
    """The servers of the hosts that are asked for; to be made ready, those that the same one has drained."""
    params = module.params
    found = [(model, host) for model, servers in sight.view.items() for host in servers if host in params["hosts"]]
    if params["state"] == "drained":
        return found
    return [pair for pair in found if sight.drains.get("/".join(pair), {}).get("who") == params["who"]]


def diff(sight: GatewaySight, pairs: list[drain.Pair], wanted: str) -> dict[str, str]:
    """The state of each pair before and after, a line each, as Ansible shows it."""
    before = "".join(f"{model}/{host}: {sight.view[model][host].admin}\n" for model, host in pairs)
    return {"before": before, "after": "".join(f"{model}/{host}: {wanted}\n" for model, host in pairs)}


def change(module: AnsibleModule, gateway: Gateway, asked: list[drain.Pair]) -> tuple[dict[str, object], GatewaySight]:
    """What changes, or would, and the gateway afterwards.

    Raises GatewayError: where HAProxy refuses, or does not keep what it was told.
    """
    wanted = module.params["state"]
    sight = gateway.look()
    wrong = drain.unknown(sight.view, asked)
    if wrong:
        module.fail_json(msg=f"Nothing was changed: {'; '.join(wrong)}. Does its configuration follow the plan?")
    gaps = [] if wanted == "ready" or module.params["allow_gap"] else drain.left_without(sight.view, asked)
    gaps = [model for model in gaps if model not in module.params["leaving"]]
    if gaps:
        module.fail_json(
            msg=f"Nothing was drained: without {', '.join('/'.join(pair) for pair in asked)} no replica would serve "
            f"{', '.join(gaps)}. Wait for another replica to be up and ready, or allow the gap (rollout_allow_gap or "
            "retire_allow_gap: true).",
            gaps=gaps,
            **seen(sight),
        )
    pairs = [(model, host) for model, host in asked if sight.view[model][host].admin != wanted]
    told = {"changed": bool(pairs), **({"diff": diff(sight, pairs, wanted)} if pairs else {})}
    if pairs and not module.check_mode:
        sight = gateway.change(pairs, wanted == "drained", module.params["who"], module.params["why"])
    elif not module.check_mode:
        gateway.forget(sight)
    return told, sight


def until_up(module: AnsibleModule, gateway: Gateway, sight: GatewaySight, asked: list[drain.Pair]) -> GatewaySight:
    """The sight in which all servers are up; fails where they are not in time.

    Raises GatewayError: where HAProxy answers something else than its state.
    """
    end = time.monotonic() + module.params["wait"]
    while module.params["wait"] and sight.process is not None:
        down = ["/".join((model, host)) for model, host in asked if not sight.view[model][host].up]
        if not down:
            break
        if time.monotonic() > end:
            module.fail_json(
                msg=f"{', '.join(down)}: ready, but this gateway did not see it up within {module.params['wait']:g} s. "
                "Can this gateway reach the engine's port?",
                changed=True,
                **seen(sight),
            )
        time.sleep(0.5)
        sight = gateway.look()
    return sight


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["query", "drained", "ready"], "default": "query"},
            "servers": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"model": {"type": "str", "required": True}, "host": {"type": "str", "required": True}},
            },
            "hosts": {"type": "list", "elements": "str", "default": []},
            "who": {"type": "str", "default": ""},
            "why": {"type": "str", "default": ""},
            "allow_gap": {"type": "bool", "default": False},
            "leaving": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "float", "default": 0.0},
            "socket": {"type": "path", "default": ADMIN},
            "directory": {"type": "path", "default": DIRECTORY},
            "config": {"type": "path", "default": CONFIG},
        },
        supports_check_mode=True,
    )
    gateway = Gateway(*(Path(module.params[name]) for name in ("socket", "directory", "config")))
    try:
        if module.params["state"] == "query":
            module.exit_json(changed=False, **query(gateway))
        asked = [(server["model"], server["host"]) for server in module.params["servers"]]
        if module.params["hosts"]:
            sight = gateway.look()
            asked += on_hosts(sight, module)
            if not asked:
                module.exit_json(changed=False, **seen(sight))
        asked = sorted(set(asked))
        with nullcontext() if module.check_mode else gateway.locked():
            told, sight = change(module, gateway, asked)
        # Not under the lock: reloads and other drains go on meanwhile.
        if module.params["state"] == "ready" and not module.check_mode:
            sight = until_up(module, gateway, sight, asked)
        module.exit_json(**told, **seen(sight))
    except (GatewayError, SystemdError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'the gateway'}: {error.strerror}")


if __name__ == "__main__":
    main()
