#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Host side of baremetal.vllm.model_weights; the action plugin of the same name goes from step to step."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_weights
short_description: Brings the planned weights onto a host, whole and checked
description:
  - For each planned item, the pinned weights lie at their path when this ends, complete and with the right SHA-256.
  - Models of a hub are fetched with the engine's own C(huggingface_hub) by a process of the host that goes on when the
    control node goes away; a later run finds it, or resumes where it stopped.
  - Directories of the control node are copied file by file; only files that are missing are sent.
  - A model grows beside its place and is renamed there when every file was checked; it is never half there.
  - With nothing to do this is one module call for all items of the host.
version_added: 0.1.0
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  items:
    description:
      - The host's weights from the plan.
      - Each has V(source), where the weights come from (V(hub), V(pushed) or V(host)), and V(path), where they lie on the host.
      - Those of a hub have V(repo), the name there, and V(revision), a commit of 40 hexadecimal digits.
      - Those that are pushed have V(from), a directory on the control node, and V(digest), the SHA-256 over its sorted manifest.
    type: list
    elements: dict
    required: true
  engine_python:
    description: Python of an installed engine. In check mode it may not be there yet.
    type: path
    default: ""
  token_file:
    description: File on the host that holds the hub's token, readable by root only.
    type: path
    default: /etc/vllm/secrets/hf_token
  hf_token:
    description: Token for gated or private models; written to O(token_file) when it differs. Never shown.
    type: str
    default: ""
  endpoint:
    description: Address of the hub or of a mirror with the same interface.
    type: str
    default: https://huggingface.co
  offline:
    description:
      - Fetch nothing. A hub model that is not there is an error that says where to put it; a complete directory that
        was copied there by hand is taken over.
    type: bool
    default: false
  verify:
    description: Read every file again and compare its SHA-256; what differs is replaced.
    type: bool
    default: false
  store:
    description: Directory of the weights on the host; its file system is the one whose free space is checked.
    type: path
    default: /var/lib/vllm/models
  run_dir:
    description: Directory on the host for the download process and its status.
    type: path
    default: /run/baremetal-vllm/weights
  pause:
    description: Seconds before another try after a network error; grows with each try.
    type: float
    default: 5.0
  bundle:
    description:
      - The directory of a bundle (M(baremetal.vllm.bundle)) on the control node. All weights are pushed from it then, those of a
        hub to where they would be fetched to. Read by the action plugin.
    type: path
  step:
    description:
      - One step on the host. A playbook asks for none - the action plugin goes through them and sets this and what follows.
      - V(settle) compares the items with the disk, keeps the token's file, and in offline mode takes over directories
        that were copied to their place by hand.
      - V(prepare) makes the directories into which models are pushed and says which files are still to be sent.
      - V(adopt) checks what was pushed and renames it into place.
      - V(fetch) starts the download process, V(poll) tells how far it is.
    type: str
    choices: [settle, prepare, adopt, fetch, poll]
    default: settle
  manifests:
    description: Manifests of the pushed items by path. Set by the action plugin.
    type: dict
    default: {}
  owner:
    description:
      - User id under which pushed files arrive; V(-1) where it is that of the module itself. Set by the action plugin.
    type: int
    default: -1
  reserved:
    description: Bytes that will be pushed besides. Set by the action plugin.
    type: int
    default: 0
extends_documentation_fragment:
  - baremetal.vllm.proxy
"""

EXAMPLES = r"""
- name: Bring the planned weights
  baremetal.vllm.model_weights:
    engine_python: /opt/vllm/0.32.0/bin/python
    items:
      - source: hub
        repo: Qwen/Qwen2.5-72B-Instruct
        revision: 495f39366efef23836d0cfae4fbe635880d2be31
        path: /var/lib/vllm/models/hub/models--Qwen--Qwen2.5-72B-Instruct/495f39366efef23836d0cfae4fbe635880d2be31
"""

RETURN = r"""
weights:
  description: Each item with its path, and whether it was present, fetched, pushed or adopted (or would be).
  type: list
  elements: dict
  returned: success
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders, proxy
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import job, manifest, space, store
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.hub_fetch import Order


def settle(module: AnsibleModule) -> dict[str, object]:
    """How each model lies on the host, after taking what somebody carried there (offline), in `states`; writes the
    token. `engine`: whether there is a Python to fetch with."""
    p = module.params
    states = [store.look(item, p["verify"]) for item in p["items"]]
    changed = False
    if p["offline"]:
        states = [store.without_hub(item, state) for item, state in zip(p["items"], states)]
        for index, (item, state) in enumerate(zip(p["items"], states)):
            if state.state == "carried":
                if not module.check_mode:
                    store.adopt_carried(item)
                states[index] = store.WeightsState(state.path, "adopted", size=space.held_bytes(state.path))
                changed = True
    # An earlier run may have made them under a umask of 077; nothing else is expected to lie in the default place.
    shut = store.closed(p["store"]) if p["items"] and p["store"].startswith("/var/lib/vllm/") else []
    for path in shut if not module.check_mode else []:
        folders.publish(path)
    token = bool(p["hf_token"]) and store.write_secret(p["token_file"], p["hf_token"], module.check_mode)
    return {
        "changed": changed or token or bool(shut),
        "token_changed": token,
        "states": store.summary(states),
        "engine": os.access(p["engine_python"], os.X_OK),
    }


def prepare(module: AnsibleModule) -> dict[str, object]:
    """Make staging directories for models that are pushed. Returns by path the files that are `missing`, and the bytes
    `needed`; fails the task where the disk lacks them."""
    p = module.params
    wholes = {path: manifest.from_data(data) for path, data in p["manifests"].items()}
    needed = sum(whole.size for whole in wholes.values())
    needed -= sum(min(space.held_bytes(store.staging_of(path)), whole.size) for path, whole in wholes.items())
    lack = space.shortage(p["store"], needed)
    if lack is not None:
        module.fail_json(msg=lack)
    sent = {}
    for item in p["items"]:
        staging, missing = store.prepare(item, wholes[item["path"]], p["owner"])
        sent[item["path"]] = {"staging": staging, "missing": missing}
    return {"changed": True, "uploads": sent, "needed": needed}


def adopt(module: AnsibleModule) -> dict[str, object]:
    """Check what was pushed and put it in its place. `wrong`: by path what is wrong with it; the rest is adopted."""
    p = module.params
    wrong = {}
    for item in p["items"]:
        faults = store.adopt_pushed(item, manifest.from_data(p["manifests"][item["path"]]))
        if faults:
            wrong[item["path"]] = faults
    return {"changed": len(wrong) < len(p["items"]), "wrong": wrong}


def fetch(module: AnsibleModule) -> dict[str, object]:
    """Start the job that fetches from the hub, and return its first status; it outlives this call."""
    p = module.params
    order: Order = {
        "endpoint": p["endpoint"].rstrip("/"),
        "token_file": p["token_file"],
        "reserved": p["reserved"],
        "store": p["store"],
        "pause": p["pause"],
        "items": p["items"],
    }
    wrong = job.start(p["run_dir"], p["engine_python"], order)
    if wrong is not None:
        module.fail_json(msg=wrong)
    return {"changed": True, "status": job.poll(p["run_dir"])}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "choices": ["settle", "prepare", "adopt", "fetch", "poll"], "default": "settle"},
            "items": {"type": "list", "elements": "dict", "required": True},
            "manifests": {"type": "dict", "default": {}},
            "verify": {"type": "bool", "default": False},
            "offline": {"type": "bool", "default": False},
            "owner": {"type": "int", "default": -1},
            "store": {"type": "path", "default": "/var/lib/vllm/models"},
            "endpoint": {"type": "str", "default": "https://huggingface.co"},
            "engine_python": {"type": "path", "default": ""},
            "token_file": {"type": "path", "default": "/etc/vllm/secrets/hf_token", "no_log": False},
            "hf_token": {"type": "str", "default": "", "no_log": True},
            "run_dir": {"type": "path", "default": "/run/baremetal-vllm/weights"},
            "reserved": {"type": "int", "default": 0},
            "pause": {"type": "float", "default": 5.0},
            "bundle": {"type": "path"},
            **proxy.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    proxy.enter(module)
    os.umask(0o022)
    step = module.params["step"]
    try:
        if step == "settle":
            result = settle(module)
        elif step == "poll":
            result = {"changed": False, "status": job.poll(module.params["run_dir"])}
        elif module.check_mode:
            result = {"changed": True}
        else:
            result = {"prepare": prepare, "adopt": adopt, "fetch": fetch}[step](module)
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"{step}: {error}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
