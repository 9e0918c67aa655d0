"""What an inventory says of hosts that bring content to each other: whether they do, where they stand, on which port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout.parts import PORT
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import GatewayPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

WEIGHTS_FROM, HOSTS_GIVE, UPSTREAM = "vllm_weights_from", "hosts", "upstream"
FANOUT_KEYS = (WEIGHTS_FROM, "vllm_rack", "vllm_fanout_port")


def check_fanout(
    hosts: Mapping[str, Values],
    services: Mapping[str, Sequence[Service]],
    gateway: GatewayPlan | None,
    problems: Problems,
) -> None:
    """What is no value of these, and a port that something else of the plan listens on; `hosts`: the variables of each."""
    for name, declared in hosts.items():
        source = declared.get(WEIGHTS_FROM, HOSTS_GIVE)
        if source not in (HOSTS_GIVE, UPSTREAM):
            remedy = did_you_mean(str(source), (HOSTS_GIVE, UPSTREAM))
            problems.add(f"{HOSTS}.{WEIGHTS_FROM}", f"{source!r} is not known", remedy, name)
        rack = declared.get("vllm_rack", "")
        if not isinstance(rack, (str, int)):
            problems.add(f"{HOSTS}.vllm_rack", f"{rack!r} is no name", "Write one such as r12", name)
        port = whole(declared.get("vllm_fanout_port", PORT))
        if port is None or not 0 < port < 65536:
            given = declared["vllm_fanout_port"]
            problems.add(f"{HOSTS}.vllm_fanout_port", f"{given!r} is not a port", f"Write one such as {PORT}", name)
            continue
        taken = {service.port: service.name for service in services.get(name, ())}
        if gateway is not None and name in gateway.hosts:
            taken.update({gateway.settings.port: "the gateway", gateway.settings.metrics_port: "the gateway's metrics"})
        if port in taken and source != UPSTREAM:
            problems.add(
                f"{HOSTS}.vllm_fanout_port",
                f"{port} is also the port of {taken[port]} on {HOSTS}",
                "Set vllm_fanout_port to another one",
                name,
            )
