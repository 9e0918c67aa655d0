"""Renders the door and asks the host; documented in plugins/modules/gateway.py."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action, lost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway import config, files, judge
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.certificate import join
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.keys import GatewayClient, read_keys
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import GatewayPlan, Settings
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result


class ActionModule(Action):
    def act(self) -> Result:
        """Bring the host's sets of files to what the plan asks for, or take them away."""
        given = self.given
        self._compare = given.get("compare", False)
        templates, planned = Path(given["templates"]), given.get("plan")
        if planned is None or given.get("state") == "absent":
            # The floating address leaves first: another gateway takes it over.
            return self._ask(
                files.absent(files.merged(files.keepalived(), files.renewal())),
                files.absent(files.haproxy(templates, {config.CONFIG: ""}, {})),
            )
        plan, host = build(GatewayPlan, planned), self.host
        addresses = dict(zip(plan.hosts, plan.addresses))
        clients = () if plan.settings.open else _read(given)
        engine_key = str(given.get("engine_key") or "")
        _judge(plan, clients, engine_key, addresses)
        secrets = config.secret_files(clients, engine_key, self._certificate(plan.settings))
        peers = [address for name, address in addresses.items() if name != host]
        opening = files.let_in(plan.settings, peers, boolean(given.get("host_firewall", True)))
        labelled = boolean(given.get("selinux", True))
        door = files.haproxy(templates, config.public_files(templates, plan, clients), secrets, opening, labelled)
        present, gone = [door], []
        if plan.settings.tls_path:
            present.append(files.renewal(plan.settings.tls_path, templates))
        else:
            gone.append(files.renewal())
        if plan.settings.floating_address:
            interface = plan.settings.floating_interface or self._interface(peers[0])
            present.append(files.keepalived(config.keepalived(templates, plan, host, interface), templates))
        else:
            gone.append(files.keepalived())
        return self._ask(*present, *([files.absent(files.merged(*gone))] if gone else []))

    def _ask(self, *requests: Arguments) -> Result:
        """Each request to the host in turn, until one fails; their results as one."""
        whole: Result = {"changed": False, "steps": [], "missing": [], "diff": []}
        for request in requests:
            answer = self.ask_host("unit_files", {**request, "compare": self._compare})
            if lost(answer):
                return {**answer, "changed": whole["changed"] or answer.get("changed", False)}
            whole["changed"] = whole["changed"] or answer["changed"]
            for key in ("steps", "missing", "diff"):
                whole[key] += answer[key]
            if answer.get("warnings"):
                whole.setdefault("warnings", []).extend(answer["warnings"])
        return whole

    def _certificate(self, settings: Settings) -> str:
        """The PEM that goes to the host; "" where there is none or it lies there already. Ansible Vault's files are opened."""
        paths = [path for path in (settings.tls_certificate, settings.tls_key) if path]
        return join(*(Path(self._loader.get_real_file(path)).read_text() for path in paths))

    def _interface(self, peer: str) -> str:
        """The host's interface that leads to another gateway."""
        said = self._low_level_execute_command(f"ip -json route get {peer}")["stdout"]
        try:
            return str(json.loads(said)[0]["dev"])
        except (ValueError, LookupError):
            raise AnsibleActionFail(
                f"No interface of this host leads to {peer}. Set gateway_floating_interface to the one that carries "
                "gateway_floating_address"
            ) from None


def _read(given: dict[str, object]) -> tuple[GatewayClient, ...]:
    problems = Problems()
    clients = read_keys(given.get("keys"), problems)
    _raise(problems)
    return clients


def _judge(plan: GatewayPlan, clients: tuple[GatewayClient, ...], engine_key: str, addresses: dict[str, str]) -> None:
    problems = Problems()
    judge.judge_names(plan.models, problems)
    judge.judge_clients(clients, plan.names, engine_key, problems)
    judge.judge_engine_key(engine_key, problems)
    judge.judge_floating(plan.settings.floating_address, addresses, problems)
    _raise(problems)


def _raise(problems: Problems) -> None:
    if problems.found:
        lines = "\n".join(f"  - {problem}" for problem in sorted(problems.found))
        raise AnsibleActionFail(f"The gateway cannot be set up so; nothing was changed.\n{lines}")
