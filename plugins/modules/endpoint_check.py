#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
"""Prove over HTTP what vLLM endpoints of this host promise."""

from __future__ import annotations

DOCUMENTATION = r"""
module: endpoint_check
short_description: Prove over HTTP that vLLM endpoints do what their kind promises
version_added: 0.1.0
description:
  - Asks every endpoint of a host what clients will ask of it, and what must be refused, and reports each check with
    what was observed and what was expected.
  - Runs on the host itself, so that an endpoint bound to loopback can be checked and the key stays where it lies.
  - A check that fails is data in RV(results), never a failure of the task. Only unusable parameters fail.
  - Changes nothing of a service; in check mode it does the same. Root keeps each full proof that was passed in
    C(/var/lib/vllm/proofs), with the unit and the process that it is of, so that later runs need not ask for all of it again.
options:
  services:
    description:
      - The endpoints, as the plan resolves them. Keys that are not listed here are left aside.
      - "C(name): the model's name; C(kind): one of chat, reasoning, vision, embedding, rerank, score, classify,
        transcription; C(address) and C(port): where it listens, a wildcard address being reached over loopback;
        C(served_names): every name under which clients ask for it; C(unit): its systemd unit, for the report."
      - "C(prove): what else to show, a mapping with C(key) (an API key guards /v1), C(tools), C(reasoning), C(adapters)
        (names of LoRA adapters), C(max_model_len), C(meaning) (false for random weights, whose answers cannot make
        sense), C(structured), C(outside) (the option that makes its engine exchange data with other hosts, an empty text
        for none; without it the check only_its_port is skipped)."
    type: list
    elements: dict
    required: true
  api_key_file:
    description:
      - A file on the host, as systemd's EnvironmentFile= takes it, with a line V(VLLM_API_KEY=…). An absent file means
        no key.
    type: path
  timeout:
    description: Seconds that one request may take, from the connection to the last byte.
    type: float
    default: 60
  concurrency:
    description: How many endpoints are checked at once. Checks of one endpoint run one after the other.
    type: int
    default: 4
  quick:
    description:
      - Only ask whether each endpoint is healthy, lists its model and answers one request of its kind rightly. A
        second or less where an engine is idle, against a dozen requests for the whole proof.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Only reads, so check mode does the same.
  diff_mode:
    support: none
    description: Nothing changes.
author: The baremetal.vllm contributors (@baremetal-vllm)
"""

EXAMPLES = r"""
- name: Prove a chat endpoint
  baremetal.vllm.endpoint_check:
    services:
      - name: smollm2-135m-instruct
        kind: chat
        address: 0.0.0.0
        port: 8000
        prove: {key: true}
    api_key_file: /etc/vllm/secrets/api_key.env
  register: __proof
"""

RETURN = r"""
results:
  description: One entry for each service, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    model: {description: The service's name., type: str}
    kind: {description: What was to be proved., type: str}
    unit: {description: Its systemd unit., type: str}
    url: {description: Where it was asked., type: str}
    passed: {description: Whether no check failed and at least one passed., type: bool}
    first_token_seconds:
      description: From a streamed request to its first text; null for kinds that do not stream.
      type: float
    seconds: {description: What all checks of the service took., type: float}
    proof: {description: How it was proved - V(full) or V(short) (O(quick))., type: str}
    proved: {description: When it was last proved in full as it runs now; empty where it was not., type: str}
    unproved: {description: Why no full proof counts., type: str}
    compile:
      description: >-
        Of a full proof, what the engine's start did by its log - how many times it C(compiled), C(seconds), C(loaded) (graphs
        from a cache) and C(refused) (why a cache was not loaded) - and C(kernels), the files of machine code that are younger
        than it; null where the log does not say, as of an eager engine.
      type: dict
    checks:
      description: >-
        Each with C(name), C(passed), C(observed), C(expected), C(skipped) (the reason why it was not tried, else
        empty), C(seconds), C(first_token_seconds).
      type: list
      elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.secret import read_key
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Invalid, parse_services
from ansible_collections.baremetal.vllm.plugins.module_utils.look import endpoints


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "dict", "required": True},
            # no_log is about the file's name, which is no secret: the key itself never passes through a parameter.
            "api_key_file": {"type": "path", "no_log": False},
            "timeout": {"type": "float", "default": 60.0},
            "concurrency": {"type": "int", "default": 4},
            "quick": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    if parameters["timeout"] <= 0 or parameters["concurrency"] < 1:
        module.fail_json(
            msg=f"timeout is {parameters['timeout']:g} and concurrency {parameters['concurrency']}: "
            "write seconds above 0 and a number of endpoints from 1"
        )
    try:
        services = parse_services(parameters["services"])
    except Invalid as problem:
        module.fail_json(msg="\n".join(problem.problems))
    file, timeout, concurrency = parameters["api_key_file"], parameters["timeout"], parameters["concurrency"]
    try:
        if parameters["quick"]:
            results = endpoints.ask(services, file, timeout, concurrency)
        else:
            results = endpoints.prove(services, read_key(file) if file else None, timeout, concurrency, module.warn)
    except (OSError, ValueError) as problem:
        module.fail_json(msg=f"api_key_file {file} cannot be read: {problem}")
    module.exit_json(changed=False, results=results)


if __name__ == "__main__":
    main()
