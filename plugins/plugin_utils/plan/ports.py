"""One port per model, the same on every host that serves it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import Entry

FIRST_PORT, PORTS = 8000, 1000


def ports(menu: Sequence[Entry], hosts_of: Mapping[str, Sequence[str]], problems: Problems) -> dict[str, int]:
    """A port per model: the one written, else one that follows from the name alone (8000 to 8999).

    A port that came from the place in the menu would move, and with it every client, when another model is removed.
    Only where two names that meet on a host fall on one port does the later in the menu take the next free one.
    """
    taken: dict[str, dict[int, str]] = {}
    chosen: dict[str, int] = {}
    for entry in menu:
        if entry.port is not None:
            chosen[entry.name] = entry.port
            _claim(entry, entry.port, hosts_of.get(entry.name, ()), taken, problems)
    for entry in menu:
        if entry.name in chosen:
            continue
        used = [taken.get(host, {}) for host in hosts_of.get(entry.name, ())]
        start = zlib.crc32(entry.name.encode())
        candidates = (FIRST_PORT + (start + step) % PORTS for step in range(PORTS))
        port = next((port for port in candidates if not any(port in ports for ports in used)), None)
        if port is None:
            problems.add(
                f"vllm_models.{entry.name}.port",
                f"none of {FIRST_PORT} to {FIRST_PORT + PORTS - 1} is left on its hosts",
                "Write a `port`, or give the model fewer neighbours",
            )
            continue
        chosen[entry.name] = port
        _claim(entry, port, hosts_of.get(entry.name, ()), taken, problems)
    return chosen


def _claim(entry: Entry, port: int, hosts: Sequence[str], taken: dict[str, dict[int, str]], problems: Problems) -> None:
    for host in hosts:
        owner = taken.setdefault(host, {}).setdefault(port, entry.name)
        if owner != entry.name:
            problems.add(
                f"vllm_models.{entry.name}.port",
                f"{port} is also the port of {owner} on {HOSTS}",
                "Give one of them another port, or leave `port` out",
                host,
            )
