"""Asks one planned endpoint from the control node; see plugins/modules/ask.py for its documentation."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import replace

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import KINDS
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import ControlAction
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.json_output import tell
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.keys import read_keys
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import plain
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan import clients
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.gateway import address_of, reached
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, read_plan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result, Variables


class ActionModule(ControlAction):
    def act(self) -> Result:
        """Print the answer and how to ask again; return the answer and its seconds."""
        variables, given = self.variables, self.given
        question = given.get("question") or clients.QUESTION
        plan = read_plan(given["plan"])
        host, service = _choose(plan, given.get("model"))
        url, keyed = reached(plan.gateway, service, address_of(host, variables["hostvars"][host]))
        started = time.monotonic()
        answer = _post(service, url, question, _key(plan, variables, given.get("api_key")) if keyed else None)
        seconds = time.monotonic() - started
        place = host if plan.gateway is None else url
        told = (
            f"\n{service.name} on {place} was asked: {question}\nand answered in {seconds:.1f} s: {answer}\n\n"
            f"Ask another:\n{clients.curl(service, url, question, keyed=keyed)}\n"
        )
        said = {"answer": answer, "seconds": round(seconds, 2)}
        return tell(
            {"changed": False, **said},
            lambda screen: told,
            "ask",
            lambda: {"model": service.name, "url": url, "question": question, **said},
        )


def _key(plan: FleetPlan, variables: Variables, engines: str | None) -> str | None:
    """The engines' own key, or at a gateway that of the first client who may use every model."""
    if plan.gateway is None:
        return engines
    declared = variables["hostvars"][plan.gateway.hosts[0]].get("gateway_keys")
    known = [client for client in read_keys(plain(declared), Problems()) if client.models is None]
    return known[0].keys[0] if known else None


def _choose(plan: FleetPlan, model: str | None) -> tuple[str, Service]:
    talking = [(h, s) for h, s in plan.endpoints if KINDS[s.kind].chats]
    for host, service in talking:
        if model in (None, "", *service.served_names):
            return host, service
    names = ", ".join(sorted({service.name for __, service in talking})) or "none"
    raise AnsibleActionFail(f"No planned model {model or 'that answers questions'}. Models that do: {names}.")


def _post(service: Service, base: str, question: str, key: str | None) -> str:
    path, body = clients.request(replace(service, kind="chat"), question)
    url = base + path
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    try:
        message = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310
        # The fleet is reached directly: the environment's proxy is for what is fetched from elsewhere.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(message, timeout=300) as response:
            choice = json.load(response)["choices"][0]["message"]
    except urllib.error.HTTPError as error:
        raise AnsibleActionFail(f"{url} answered {error.code}: {error.read(500).decode(errors='replace')}") from error
    except OSError as error:
        raise AnsibleActionFail(f"{url} cannot be reached from here: {error}") from error
    return str(choice.get("content") or choice.get("reasoning") or "").strip()
