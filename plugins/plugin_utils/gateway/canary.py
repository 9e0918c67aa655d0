"""What the canary of a host is told: its endpoints, and when one counts as hung."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

# An engine that listens on all addresses is asked on loopback.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def canary_config(
    services: Sequence[Service], interval: Any, timeout: Any, failures: Any, restarts: Any
) -> dict[str, object]:
    """The canary's settings: {"config": text of its JSON file, "interval": s, "timeout": s, "bound": s}.

    `services`: those of the plan. `bound`: within how many seconds an endpoint that hangs is restarted. Raises ValueError
    with all settings that are wrong, a line each, named as the role's inputs.
    """
    given = {"interval": (interval, 1), "timeout": (timeout, 4), "failures": (failures, 1), "restarts": (restarts, 0)}
    read = {name: whole(value) for name, (value, __) in given.items()}
    wrong = [
        f"canary_{name}: {value!r} is not a whole number, {least} or more"
        for name, (value, least) in given.items()
        if (found := read[name]) is None or found < least
    ]
    if wrong:
        raise ValueError("\n".join(wrong))
    numbers = {name: value or 0 for name, value in read.items()}
    endpoints = [
        {
            "unit": service.unit,
            "address": LOOPBACK.get(service.address, service.address),
            "port": service.port,
            "kind": service.kind,
            "model": service.name,
        }
        for service in services
    ]
    settings = {name: numbers[name] for name in ("timeout", "failures", "restarts")}
    bound = numbers["interval"] + numbers["failures"] * (numbers["timeout"] + numbers["interval"])
    return {
        "config": json.dumps({**settings, "endpoints": endpoints}, indent=2) + "\n",
        "interval": numbers["interval"],
        "timeout": numbers["timeout"],
        "bound": bound,
    }
