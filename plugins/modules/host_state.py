#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.host_state; the action plugin of the same name renders the units and judges the engine."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_state
short_description: Look at a host once - what runs there, what the plan would change, how its endpoints answer
description:
  - Reads units, processes, drop-ins, the engine, the weights, the firewall, the canary and the gateway of one host, and decides
    by the same functions as M(baremetal.vllm.model_service), M(baremetal.vllm.engine), M(baremetal.vllm.model_weights) and
    M(baremetal.vllm.unit_files) what they would do.
  - With O(ask), each endpoint that the plan leaves as it is gets one real question in the same round trip.
  - Changes nothing, with and without check mode, and takes one round trip. Secrets are not sent to the host.
  - Root sees all of it. Another user sees units and command lines; whether the environment of a process and its secrets
    are current is then not known, and RV(whole) is false.
version_added: "0.1.0"
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  plan:
    description:
      - The name of the variable that holds what M(baremetal.vllm.plan) returned; the host's part is taken from it. It takes the
        place of O(services), O(engine) and O(weights).
      - What the roles would be given besides is then read as they would read it, from the host's variables and the roles'
        defaults, and the firewall and the canary are compared as well.
    type: str
  ask:
    description:
      - Which endpoints are asked one real question - V(kept), the planned ones that the plan leaves as they are and that run;
        V(installed), all that are installed, planned or not; V(none).
    type: str
    choices: [none, kept, installed]
    default: none
  lost:
    description:
      - What a host that does not answer is - V(told), a finding like any other, in RV(status); V(unreachable), lost to the run,
        as with any other module.
    type: str
    choices: [told, unreachable]
    default: told
  gpus:
    description: Whether driver, settings, health and acceptance of the GPUs are judged as well. It needs O(plan).
    type: bool
    default: false
  gpu_look:
    description: What is asked about the GPUs. Set by the action plugin.
    type: dict
  gateway_group:
    description:
      - The group of the gateways, with O(plan). On its hosts the gateway's files are compared as well, and HAProxy is asked. One
        that is no engine's host is asked nothing else. Gateways are not looked at where it is left out.
    type: str
  engines:
    description: Whether engines are planned on the host. Set by the action plugin.
    type: bool
    default: true
  gateway:
    description: Whether the host is a gateway. Set by the action plugin.
    type: bool
    default: false
  proof_age:
    description: How many seconds old an endpoint's last full proof may be. Any age counts where it is left out.
    type: float
  services:
    description: The host's services as M(baremetal.vllm.plan) returns them.
    type: list
    elements: dict
    default: []
  engine:
    description: The host's engine as M(baremetal.vllm.plan) returns it; empty where none is planned.
    type: dict
    default: {}
  weights:
    description: The host's weights as M(baremetal.vllm.plan) returns them.
    type: list
    elements: dict
    default: []
  api_key:
    description: The key that guards the endpoints. Only a digest of it leaves the control node.
    type: str
  secret_env:
    description: Further secret environment variables of every engine. Only a digest of them leaves the control node.
    type: dict
    default: {}
  keep:
    description: Releases that are kept although nobody uses them. This and the next five are by default as the role
      P(baremetal.vllm.vllm_engine#role) has them on this host.
    type: list
    elements: str
  prune:
    description: Whether releases that nobody uses are removed.
    type: bool
  packages:
    description: System packages that the engine needs, by distribution or family.
    type: dict
  form:
    description: In which form the engine is to be there; empty for either.
    type: str
    choices: ["", image, packages]
    default: ""
  images:
    description: Where images of engines lie on the control node. Read by the action plugin.
    type: path
  source:
    description: Where the engine comes from. Read by the action plugin, for the lock that an installation must have.
    type: str
    choices: [wheelhouse, index]
  wheelhouse:
    description: A wheelhouse on the control node, or the directory that holds several. Read by the action plugin.
    type: path
  lock:
    description: The lock on the control node for O(source=index). Read by the action plugin.
    type: path
  restart_replaced:
    description:
      - Whether a unit whose process still uses libraries that an update has replaced counts as one to be restarted. RV(units)
        names them in any case. One under which the NVIDIA driver was replaced never counts, because it would not start again
        before the kernel's module is exchanged.
    type: bool
    default: false
  rocm:
    description: The build for ROCm, such as V(rocm72); the release's first one where it is left out. Read by the action plugin.
    type: str
  units:
    description: The units as the action plugin has rendered them from O(services).
    type: list
    elements: dict
    default: []
  files:
    description: Other files, as the action plugin has rendered them.
    type: list
    elements: dict
    default: []
  secrets_path:
    description: Where the secrets lie on the host.
    type: path
    default: /etc/vllm/secrets/api_key.env
  secrets_digest:
    description: SHA-256 of the planned secrets. Set by the action plugin.
    type: str
  filesets:
    description:
      - By topic, sets of files as M(baremetal.vllm.unit_files) takes them, with digests in place of secret texts. Set by the
        action plugin.
    type: dict
    default: {}
  weights_store:
    description: Where weights lie. Set by the action plugin.
    type: path
    default: /var/lib/vllm/models
  offline:
    description: Whether the host fetches no weights from the hub. Set by the action plugin.
    type: bool
    default: false
  token_file:
    description: Where the hub's token lies on the host. Set by the action plugin.
    type: path
    default: /etc/vllm/secrets/hf_token
  token_digest:
    description: SHA-256 of the hub's token, empty where there is none. Set by the action plugin.
    type: str
    default: ""
  api_key_file:
    description: A file on the host with the key of its endpoints, read there. Set by the action plugin.
    type: path
    default: /etc/vllm/secrets/api_key.env
  timeout:
    description: Seconds that one question to an endpoint may take.
    type: float
    default: 60
  concurrency:
    description: How many endpoints are asked at once.
    type: int
    default: 4
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
  diff_mode:
    support: none
    description: The result is the difference.
"""

EXAMPLES = r"""
- name: Look at the hosts
  baremetal.vllm.host_state:
    plan: __vllm_plan
    ask: kept
  become: true
  register: __vllm_look
"""

RETURN = r"""
schema:
  description: The version of this form. A look of another version is no look.
  returned: when the host was read
  type: int
host:
  description: The host's name in the inventory.
  returned: when the host was read
  type: str
status:
  description: V(read); or V(unreachable) or V(failed), and then only RV(why). The task itself does not fail.
  returned: always
  type: str
why:
  description: Why the host could not be read.
  returned: when it could not
  type: str
steps:
  description: What M(baremetal.vllm.model_service) would do to each unit, why, and the causes one by one.
  returned: when the host was read
  type: list
  elements: dict
units:
  description: Every installed unit as it is - state, since when, restarts, release, GPUs, port, weights, drop-ins, drift,
    C(replaced), the programs and libraries that were replaced under its processes, and C(replaced_driver), those of them that
    are the NVIDIA driver's and of another version than the module in the kernel.
  returned: when the host was read
  type: dict
endpoints:
  description: Every installed unit as M(baremetal.vllm.endpoint_check) takes it.
  returned: when the host was read
  type: list
  elements: dict
generation:
  description: C(current), the number of the generation that is installed (0 for none), and C(kept), oldest first, each with its
    C(number), C(outcome), C(created), C(plan) and C(releases); empty where nothing was ever installed.
  returned: when the host was read
  type: dict
canary:
  description: C(runs), C(failed) and C(complaints); null where the host has no canary.
  returned: when the host was read
  type: dict
upkeep:
  description:
    - Whether a reboot of the host is due (C(reboot_due), the packages that ask for it) or comes by itself (C(reboots_itself),
      when), and file systems that are almost full (C(low)).
  returned: when the host was read
  type: dict
files:
  description: Other files of the units that would be written.
  returned: when the host was read
  type: list
  elements: str
engine:
  description: Whether the planned release would be installed, why, which releases would be removed, and which system
    packages are missing.
  returned: when the host was read
  type: dict
weights:
  description: Each item of weights with its state and the reason.
  returned: when the host was read
  type: list
  elements: dict
warm:
  description: What the keys of compile caches (M(baremetal.vllm.warm_cache)) are made of there - C(host), C(engine) - and
    C(held), by key of those in its store whether all of it is where engines look. Empty where no unit would be started.
  returned: when the host was read
  type: dict
unread:
  description: Units whose files or drop-ins systemd has not read in yet.
  returned: when the host was read
  type: list
  elements: str
doubts:
  description: What the host has that would keep M(baremetal.vllm.model_service) from changing anything there.
  returned: when the host was read
  type: list
  elements: str
filesets:
  description: By topic (C(firewall), C(canary), C(gateway)) C(steps), what M(baremetal.vllm.unit_files) would do, in words,
    C(warnings), and C(unknown), why its files could not be compared.
  returned: when the host was read
  type: dict
weights_files:
  description: What M(baremetal.vllm.model_weights) would do beside the weights, in words.
  returned: when the host was read
  type: list
  elements: str
gpus:
  description: Of the GPUs, by topic (C(driver), C(settings), C(gpus), C(acceptance)), why a role would do something
    (C(differs)) or refuse to go on (C(refused)); empty where nobody asked.
  returned: when the host was read
  type: dict
forced:
  description: Topics whose role was told to do its work whatever is found, as C(weights) by C(model_weights_verify).
  returned: when there are any
  type: list
  elements: str
answers:
  description: Of each endpoint that was asked the result of M(baremetal.vllm.endpoint_check), with C(proof) V(short), C(proved),
    when it was last proved in full, and C(unproved), why no such proof counts.
  returned: when the host was read
  type: list
  elements: dict
holder:
  description: Who changes the fleet, of the record on this host; empty where nobody does. A fleet with gateways keeps it there.
  returned: when the host was read
  type: dict
gateway:
  description: What M(baremetal.vllm.gateway_server) (C(state=query)) says on a gateway, or C(msg), why HAProxy could not be
    asked; empty on other hosts.
  returned: when the host was read
  type: dict
unasked:
  description: Why no endpoint could be asked; empty where those that were to be asked were.
  returned: when the host was read
  type: str
refusals:
  description: What would stop a deployment of this host.
  returned: when the host was read
  type: list
  elements: str
whole:
  description: Whether everything could be read.
  returned: when the host was read
  type: bool
"""

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import parse_services
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway import lock
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway.query import view
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway.runtime import ADMIN, CONFIG, DIRECTORY, Gateway
from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import SystemdError
from ansible_collections.baremetal.vllm.plugins.module_utils.look import endpoints, filesets, gpus, supplies, units
from ansible_collections.baremetal.vllm.plugins.module_utils.look.form import SCHEMA
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import store

NONE = "none"
KEPT = "kept"
INSTALLED = "installed"


def answers(asked: dict[str, Any], found: dict[str, Any]) -> dict[str, object]:
    """`answers` to one real question to each endpoint that is to be asked, and `unasked`, why none could be."""
    services = found["endpoints"]
    if asked["ask"] == KEPT:
        kept = {step["unit"] for step in found["steps"] if step["verb"] == "keep"}
        services = [unit["service"] for unit in asked["units"] if unit["unit"] in kept]
    if asked["ask"] == NONE or not services:
        return {"answers": [], "unasked": ""}
    file, longest = asked["api_key_file"], asked["proof_age"]
    try:
        told = endpoints.ask(parse_services(services), file, asked["timeout"], asked["concurrency"], longest)
    except (OSError, ValueError) as error:
        return {"answers": [], "unasked": f"{file} cannot be read: {error}"}
    return {"answers": told, "unasked": ""}


def look(module: AnsibleModule) -> dict[str, Any]:
    """All that is asked of a host. Raises SystemdError, OSError and ValueError."""
    asked = module.params
    # Nobody but root can compare them.
    sets = {topic: filesets.differ(told) for topic, told in asked["filesets"].items() if os.geteuid() == 0}
    for warning in (line for each in sets.values() for line in each["warnings"]):
        module.warn(warning)
    return {
        "schema": SCHEMA,
        "filesets": sets,
        "holder": lock.read(lock.PATH) or {},
        "gateway": view(Gateway(Path(ADMIN), Path(DIRECTORY), Path(CONFIG))) if asked["gateway"] else {},
        **(look_at_engines(module) if asked["engines"] else {}),
    }


def look_at_engines(module: AnsibleModule) -> dict[str, Any]:
    """What is asked of a host that engines are planned on. Raises SystemdError, OSError and ValueError."""
    asked = module.params
    names = [unit["unit"] for unit in asked["units"]]
    fresh = names if asked["restart_replaced"] else ()
    found = units.look(asked["units"], asked["files"], asked["secrets_path"], asked["secrets_digest"], fresh)
    for doubt in found["doubts"]:
        module.warn(doubt)
    states = supplies.weights(asked["weights"], asked["offline"])
    found["refusals"] += [state.detail for state in states if state.state == "refused"]
    planned = asked["engine"]
    return {
        **found,
        "engine": supplies.engine(planned, asked["packages"] or {}, asked["keep"] or [], asked["form"])
        if planned
        else {},
        "warm": supplies.warm(planned.get("accelerator", ""), planned["path"], found["steps"]) if planned else {},
        "weights": store.summary(states),
        "weights_files": supplies.weights_files(
            asked["weights"], asked["weights_store"], asked["token_file"], asked["token_digest"]
        ),
        "gpus": gpus.look(asked["gpu_look"], found["steps"], active(found["units"])) if asked["gpu_look"] else {},
        **answers(asked, found),
    }


def active(facts: dict[str, Any]) -> dict[str, str]:
    """By unit its ActiveState; of one that is not installed, that of a unit that systemd does not know."""
    return {unit: str(told.get("state", "inactive")).split()[0] for unit, told in facts.items()}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "plan": {"type": "str"},
            "ask": {"type": "str", "choices": [NONE, KEPT, INSTALLED], "default": NONE},
            "lost": {"type": "str", "choices": ["told", "unreachable"], "default": "told"},
            "proof_age": {"type": "float"},
            "gpus": {"type": "bool", "default": False},
            "gpu_look": {"type": "dict"},
            "gateway_group": {"type": "str"},
            "engines": {"type": "bool", "default": True},
            "gateway": {"type": "bool", "default": False},
            "services": {"type": "list", "elements": "dict", "default": []},
            "engine": {"type": "dict", "default": {}},
            "weights": {"type": "list", "elements": "dict", "default": []},
            "api_key": {"type": "str", "no_log": True},
            "secret_env": {"type": "dict", "default": {}, "no_log": True},
            "keep": {"type": "list", "elements": "str"},
            "prune": {"type": "bool"},
            "packages": {"type": "dict"},
            "form": {"type": "str", "choices": ["", "image", "packages"], "default": ""},
            "images": {"type": "path"},
            "source": {"type": "str", "choices": ["wheelhouse", "index"]},
            "wheelhouse": {"type": "path"},
            "lock": {"type": "path"},
            "restart_replaced": {"type": "bool", "default": False},
            "rocm": {"type": "str"},
            "units": {"type": "list", "elements": "dict", "default": []},
            "files": {"type": "list", "elements": "dict", "default": []},
            "secrets_path": {"type": "path", "default": "/etc/vllm/secrets/api_key.env"},
            "secrets_digest": {"type": "str", "no_log": True},
            "filesets": {"type": "dict", "default": {}},
            "weights_store": {"type": "path", "default": "/var/lib/vllm/models"},
            "offline": {"type": "bool", "default": False},
            "token_file": {"type": "path", "default": "/etc/vllm/secrets/hf_token", "no_log": False},
            "token_digest": {"type": "str", "default": "", "no_log": True},
            # no_log is about the file's name, which is no secret: the key itself never passes through a parameter.
            "api_key_file": {"type": "path", "default": "/etc/vllm/secrets/api_key.env", "no_log": False},
            "timeout": {"type": "float", "default": 60.0},
            "concurrency": {"type": "int", "default": 4},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, **look(module))
    except (SystemdError, ValueError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file of this host'}: {error.strerror}")


if __name__ == "__main__":
    main()
