#!/usr/bin/python
"""The part of `baremetal.vllm.model_weights` that runs on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_weights_host
short_description: Looks after the weights of one host
description:
  - Does one step of M(baremetal.vllm.model_weights), whose action plugin calls it. Not meant for playbooks.
version_added: 0.1.0
author: The baremetal.vllm contributors (@baremetal-vllm)
options:
  step:
    description:
      - V(settle) compares the items with the disk, keeps the token's file, and in offline mode takes over directories
        that were copied to their place by hand.
      - V(prepare) makes the directories into which models are pushed and says which files are still to be sent.
      - V(adopt) checks what was pushed and renames it into place.
      - V(fetch) starts the download process, V(poll) tells how far it is.
    type: str
    choices: [settle, prepare, adopt, fetch, poll]
    required: true
  items:
    description: Weights as the plan gives them.
    type: list
    elements: dict
    default: []
  manifests:
    description: Manifests of the pushed items by path.
    type: dict
    default: {}
  verify:
    description: Read every file and compare its SHA-256, not only its size.
    type: bool
    default: false
  offline:
    description: Nothing is fetched; what lies in place without a manifest is taken over.
    type: bool
    default: false
  owner:
    description: User id under which pushed files arrive; V(-1) where it is that of the module itself.
    type: int
    default: -1
  store:
    description: Directory of the weights.
    type: path
    default: /var/lib/vllm/models
  endpoint:
    description: Address of the hub.
    type: str
    default: https://huggingface.co
  engine_python:
    description: Python that has C(huggingface_hub).
    type: path
    default: ""
  token_file:
    description: File that holds the hub's token, readable by root only.
    type: path
    default: /etc/vllm/secrets/hf_token
  hf_token:
    description: The token; when empty, the file is left alone.
    type: str
    default: ""
  run_dir:
    description: Directory of the download process.
    type: path
    default: /run/baremetal-vllm/weights
  reserved:
    description: Bytes that will be pushed besides.
    type: int
    default: 0
  pause:
    description: Seconds before another try after a network error; grows with each try.
    type: float
    default: 5.0
extends_documentation_fragment:
  - baremetal.vllm.proxy
"""

EXAMPLES = r"""
- name: Compare one model with the disk
  baremetal.vllm.model_weights_host:
    step: settle
    items:
      - {source: host, path: /srv/models/bge-m3}
"""

RETURN = r"""
states:
  description: For each item what was found (present, absent, damaged, unmanaged, refused, adopted), with the reason.
  type: list
  elements: dict
  returned: step settle
status:
  description: State, items with total and done bytes, and errors of the download process.
  type: dict
  returned: steps fetch and poll
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders, proxy
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import job, manifest, space, store


def settle(module: AnsibleModule) -> dict[str, object]:
    p = module.params
    states = [store.look(item, p["verify"]) for item in p["items"]]
    changed = False
    if p["offline"]:
        for index, (item, state) in enumerate(zip(p["items"], states)):
            if item["source"] == "hub" and state.state == "unmanaged":
                wrong = store.usable(state.path) if module.check_mode else store.adopt_carried(item)
                size = space.held_bytes(state.path)
                states[index] = store.State(state.path, "refused" if wrong else "adopted", wrong or "", size)
                changed = changed or not wrong
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


def prepare(module: AnsibleModule) -> dict[str, Any]:
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
    p = module.params
    wrong = {}
    for item in p["items"]:
        faults = store.adopt_pushed(item, manifest.from_data(p["manifests"][item["path"]]))
        if faults:
            wrong[item["path"]] = faults
    return {"changed": len(wrong) < len(p["items"]), "wrong": wrong}


def fetch(module: AnsibleModule) -> dict[str, Any]:
    p = module.params
    order = {
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
            "step": {"type": "str", "required": True, "choices": ["settle", "prepare", "adopt", "fetch", "poll"]},
            "items": {"type": "list", "elements": "dict", "default": []},
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
