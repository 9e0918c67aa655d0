"""The sets of files around the engines of a host, as module unit_files takes them: its firewall, and its canary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.canary import canary_config
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gateway.firewall import endpoint_rules
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Firewall
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

_UNITS = "etc/systemd/system"
FIREWALL, TABLE = "firewall-vllm.service", "/etc/vllm/firewall.nft"
CANARY, TIMER, PROGRAM = "canary-vllm.service", "canary-vllm.timer", "usr/local/libexec/vllm-canary"
UNITS = (FIREWALL, CANARY, TIMER)


def firewall_files(asked: Firewall | None, templates: Path, served: Sequence[int], managed: bool) -> dict[str, Any]:
    """The table that closes the engines' ports; a set that goes where nothing is `asked`.

    `served`: ports that clients reach without a gateway, beside those of the plan; `managed`: whether the host's own firewall is
    ours to open. Raises ValueError with all that nftables cannot take, a line each.
    """
    rules: Any = endpoint_rules(asked)
    sources = [*rules["sources4"], *rules["sources6"]]
    return {
        "state": "absent" if asked is None else "present",
        "files": [
            {"path": TABLE, "src": str(templates / "etc/vllm/firewall.nft.j2")},
            {"path": f"/{_UNITS}/{FIREWALL}", "src": str(templates / _UNITS / f"{FIREWALL}.j2")},
        ],
        "variables": {"rules": rules},
        "programs": ["nft"],
        "users": ["vllm"],
        "validate": ["nft", "--check", "--file", TABLE],
        "unit": FIREWALL,
        # Where nobody said whom the endpoints are for, the host's own firewall is the operator's to open.
        "opening": {
            "name": "engines",
            "ports": rules["ports"] if sources else [],
            "sources": sources,
            "served": sorted({*(asked.served if asked is not None else ()), *served}),
            "manage": managed,
        },
        "probe": ["nft", "list", "chain", "inet", "vllm_endpoints", rules["chain"]],
    }


def canary_files(
    services: Sequence[Service], templates: Path, wanted: bool, settings: Mapping[str, object]
) -> dict[str, Any]:
    """What sends each endpoint a real request again and again; a set that goes where it is not `wanted`, or nothing is served.

    `settings`: interval, timeout, failures and restarts. Raises ValueError with all that is wrong with them, a line each.
    """
    told = canary_config(services, **settings)
    return {
        "state": "present" if wanted and services else "absent",
        "files": [
            {"path": "/etc/vllm/canary.json", "content": told["config"], "effect": "none"},
            {"path": f"/{PROGRAM}", "src": str(templates / PROGRAM), "mode": "0755", "effect": "none"},
            {"path": f"/{_UNITS}/{CANARY}", "src": str(templates / _UNITS / f"{CANARY}.j2"), "effect": "none"},
            {"path": f"/{_UNITS}/{TIMER}", "src": str(templates / _UNITS / f"{TIMER}.j2"), "effect": "restart"},
        ],
        "variables": {"interval": told["interval"], "timeout": told["timeout"], "devices": [], "groups": ""},
        "unit": TIMER,
    }
