"""Units of a gateway that go on with programs or libraries which an update has replaced."""

from __future__ import annotations

from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.units.replaced import replaced

UNITS = ("haproxy-vllm.service", "haproxy-vllm-bodies.service", "keepalived-vllm.service")


def outdated() -> dict[str, list[str]]:
    """Paths by unit. The main process tells: HAProxy's master starts itself anew at a reload, and its earlier workers, which end
    with their last streams, are no reason for another one."""
    states = systemd.show(UNITS)
    found = {unit: replaced([state.main_pid]) for unit, state in states.items() if state.main_pid}
    return {unit: paths for unit, paths in found.items() if paths}
