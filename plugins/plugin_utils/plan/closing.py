"""The end of a run that has proved its endpoints: the command that asks one, for the person at the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined] # typeshed knows proxy_bypass, which on macOS asks the system

from ansible_collections.baremetal.vllm.plugins.module_utils.text.address import is_loopback
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.clients import curl
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.gateway import reached
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

# Kinds that a command is shown of; a page of the plan has one for every model.
SHOWN = 3


def closing(
    plan: FleetPlan,
    proved: Iterable[tuple[str, str]],
    address: Callable[[str], str],
    environ: Mapping[str, str],
) -> list[str]:
    """Lines with a `curl` of the first model of each kind, at most three; [] where nothing was proved.

    `proved`: host and model of each endpoint that passed; `address`: where the control node reaches a host; `environ`: its
    environment, whose proxy a request to the fleet must not take.
    """
    passed = set(proved)
    of_kind: dict[str, tuple[str, Service]] = {}
    models = set()
    for host, service in plan.endpoints:
        if (host, service.name) in passed:
            models.add(service.name)
            of_kind.setdefault(service.kind, (host, service))
    shown = list(of_kind.values())[:SHOWN]
    lines: list[str] = []
    anywhere_keyed = False
    for host, service in shown:
        inside = plan.gateway is None and is_loopback(service.address)
        url, keyed = reached(plan.gateway, service, service.address if inside else address(host))
        anywhere_keyed |= keyed
        # RFC 6874: what names an interface is escaped in a URL.
        url = url.replace("%", "%25")
        where = f" on {host} itself, where alone it listens" if inside else ""
        command = curl(service, url, keyed=keyed, direct=not inside and _proxied(url, environ))
        lines += ["", f"Ask {service.name}{where}:", *command.splitlines()]
    if anywhere_keyed:
        key = "vllm_api_key" if plan.gateway is None else "a key of gateway_keys"
        lines += ["", f"The key is {key} in your inventory; `read -rs VLLM_API_KEY` takes it without showing it."]
    if len(models) > len(shown):
        lines += [
            f"A command for each of the {len(models)} models: the playbook plan with -e vllm_plan_document=FILE.md"
        ]
    return lines


def _proxied(url: str, environ: Mapping[str, str]) -> bool:
    """Whether curl would send a request through the proxy of the environment (curl(1), "Environment": http_proxy in small
    letters only, HTTPS_PROXY and ALL_PROXY in both)."""
    parts = urlsplit(url)
    names = ("http_proxy",) if parts.scheme == "http" else ("https_proxy", "HTTPS_PROXY")
    if not any(environ.get(name) for name in (*names, "all_proxy", "ALL_PROXY")):
        return False
    without = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return not proxy_bypass_environment(parts.hostname or "", {"no": without})
