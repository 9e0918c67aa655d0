"""The gateway's sets of files for a task's host, with what an action alone can read: certificates, the interface."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import secrets_digest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway import config, files, judge
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.certificate import join
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.keys import GatewayClient, read_keys
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import GatewayPlan, Settings
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments


def gateway_sets(action: Action, templates: Path, given: Mapping[str, Any]) -> list[Arguments]:
    """What module gateway brings about on the task's host, as module unit_files takes it, in that order.

    `given`: plan, keys, engine_key, state, host_firewall and selinux, as that module has them.

    Raises AnsibleActionFail: for a gateway that cannot be set up so, every reason on a line.
    """
    planned = given.get("plan")
    if planned is None or given.get("state") == "absent":
        # The floating address leaves first: another gateway takes it over.
        return [
            files.absent(files.merged(files.keepalived(), files.renewal())),
            files.absent(files.haproxy(templates, {config.CONFIG: ""}, {})),
        ]
    plan, host = build(GatewayPlan, planned), action.host
    addresses = dict(zip(plan.hosts, plan.addresses))
    clients = () if plan.settings.open else _read(given)
    engine_key = str(given.get("engine_key") or "")
    _judge(plan, clients, engine_key, addresses)
    secrets = config.secret_files(clients, engine_key, _certificate(action, plan.settings))
    peers = [address for name, address in addresses.items() if name != host]
    opening = files.let_in(plan.settings, peers, boolean(given.get("host_firewall", True)))
    labelled = boolean(given.get("selinux", True))
    present = [files.haproxy(templates, config.public_files(templates, plan, clients), secrets, opening, labelled)]
    gone = []
    if plan.settings.tls_path:
        present.append(files.renewal(plan.settings.tls_path, templates))
    else:
        gone.append(files.renewal())
    if plan.settings.floating_address:
        interface = plan.settings.floating_interface or _interface(action, peers[0])
        present.append(files.keepalived(config.keepalived(templates, plan, host, interface), templates))
    else:
        gone.append(files.keepalived())
    return [*present, *([files.absent(files.merged(*gone))] if gone else [])]


def with_digests(fileset: Arguments) -> Arguments:
    """A set for the look alone: of its secret files a digest each, and no text."""
    rest = {key: value for key, value in fileset.items() if key != "secrets"}
    return {**rest, "digests": {path: secrets_digest(text) for path, text in fileset.get("secrets", {}).items()}}


def _certificate(action: Action, settings: Settings) -> str:
    """The PEM that goes to the host; "" where there is none or it lies there already. Ansible Vault's files are opened."""
    paths = [path for path in (settings.tls_certificate, settings.tls_key) if path]
    return join(*(Path(action._loader.get_real_file(path)).read_text() for path in paths))


def _interface(action: Action, peer: str) -> str:
    """The host's interface that leads to another gateway; asking for it is a round trip of its own."""
    said = action._low_level_execute_command(f"ip -json route get {peer}")["stdout"]
    try:
        return str(json.loads(said)[0]["dev"])
    except (ValueError, LookupError):
        raise AnsibleActionFail(
            f"No interface of this host leads to {peer}. Set gateway_floating_interface to the one that carries "
            "gateway_floating_address"
        ) from None


def _read(given: Mapping[str, Any]) -> tuple[GatewayClient, ...]:
    problems = Problems()
    clients = read_keys(given.get("keys"), problems)
    _raise(problems)
    return clients


def _judge(plan: GatewayPlan, clients: Sequence[GatewayClient], engine_key: str, addresses: Mapping[str, str]) -> None:
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
