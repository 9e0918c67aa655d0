"""The state of a fleet for a machine, and what in it is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.units.replaced import told
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.status_gather import (
    ABSENT,
    ANSWERS,
    DRAINED,
    READY,
    UNKNOWN,
    Endpoint,
    Fleet,
    Gateway,
    Host,
)

# Raised when a key goes or changes its meaning; new keys may come at any time.
SCHEMA = 1
# Days: a certificate of 90 days is renewed by certbot when 30 are left (certbot's documentation, "renew").
SOON = 21
# Its reload is the door's.
TAKEN_UP = {"haproxy-vllm-bodies.service": "haproxy-vllm.service"}


def host_problems(host: Host, fleet: Fleet) -> list[str]:
    """What of one host is not as planned or not healthy, one line each."""
    if host.status != "read":
        return [f"{host.status}: {host.why}"]
    lines = list(host.drift)
    for endpoint in host.endpoints:
        lines += [f"{endpoint.model}: {line}" for line in _of_endpoint(endpoint, fleet)]
    if host.canary is not None and host.canary["failed"]:
        said = host.canary["complaints"]
        lines.append(f"the canary failed: {said[-1] if said else 'it said nothing'}")
    elif host.canary is not None and not host.canary["runs"] and not any(line.startswith("canary: ") for line in lines):
        lines.append("the canary does not run: its timer canary-vllm.timer is not active")
    return lines


def _of_endpoint(endpoint: Endpoint, fleet: Fleet) -> Iterator[str]:
    yield from endpoint.drift
    # What is not planned need not answer, and what is not installed cannot: either is told as such.
    if "not planned" not in endpoint.drift and "not installed" not in endpoint.drift and endpoint.health != ANSWERS:
        yield f"{endpoint.health}: {endpoint.why}" if endpoint.why else endpoint.health
    for gateway in fleet.gateways:
        state = endpoint.gateways[gateway.name]
        # A gateway that is down or could not be read is one problem of its own, not one of each endpoint.
        if not gateway.running or state in (READY, UNKNOWN) or (state == ABSENT and "not planned" in endpoint.drift):
            continue
        yield f"{state} at {gateway.name}{drained_by(gateway, endpoint.model, endpoint.host, state)}"


def drained_by(gateway: Gateway, model: str, host: str, state: str) -> str:
    """` by WHO since WHEN (WHY)` of a drained server; that nobody knows of it where no record does."""
    if state != DRAINED:
        return ""
    record = gateway.drains.get(f"{model}/{host}")
    if record is None or not record.get("who"):
        return ", and no record says by whom"
    return f" by {record['who']} since {record['since']} ({record['why']})"


def fleet_problems(fleet: Fleet) -> list[str]:
    """What is wrong with gateways."""
    lines = []
    for gateway in fleet.gateways:
        if gateway.status != "read":
            lines.append(f"gateway {gateway.name}: {gateway.status}: {gateway.why}")
        elif not gateway.running:
            lines.append(f"gateway {gateway.name}: haproxy-vllm.service does not run there")
        lines += [f"gateway {gateway.name}: {line}" for line in gateway.drift]
        if gateway.certificate and gateway.certificate["days"] <= 0:
            lines.append(f"gateway {gateway.name}: {_certificate(gateway.certificate)}: clients refuse it")
    return lines


def notices(fleet: Fleet) -> list[str]:
    """What is no fault of the fleet, and is better known before it becomes one."""
    return [f"{host}: {line}" if host else line for host, line in notices_of(fleet)]


def notices_of(fleet: Fleet) -> list[tuple[str, str]]:
    """The same, each beside the host that it is about; "" for what is about no host of the fleet."""
    lines: list[tuple[str, str]] = []
    restart, drivers = False, []
    for host in fleet.hosts:
        held = [endpoint for endpoint in host.endpoints if endpoint.replaced_driver]
        old = [endpoint for endpoint in host.endpoints if endpoint.replaced and endpoint not in held]
        if held:
            drivers.append(host.name)
            files = told({path for endpoint in held for path in endpoint.replaced_driver})
            models = ", ".join(endpoint.model for endpoint in held)
            said = (
                f"{models}: an update replaced the NVIDIA driver's libraries ({files}) under the running process,"
                " and the kernel has the module from before: CUDA would fail in a restarted engine"
            )
            lines.append((host.name, said))
        if old:
            restart = True
            files = told({path for endpoint in old for path in endpoint.replaced})
            models = ", ".join(endpoint.model for endpoint in old)
            lines.append((host.name, f"{models}: an update replaced {files} under the running process"))
        lines += [(host.name, line) for line in _upkeep(host.upkeep)]
    if restart:
        lines.append(("", "rollout.yml -e rollout_restart_replaced=true restarts these engines, host by host"))
    if drivers:
        remedy = (
            f"driver.yml --limit {','.join(drivers)} brings the kernel's module to these libraries (anew, or by a reboot with"
            " -e nvidia_driver_reboot=true); until then no rollout restarts these engines for libraries"
        )
        lines.append(("", remedy))
    for gateway in fleet.gateways:
        for unit, paths in gateway.replaced.items():
            verb = "reload" if unit.startswith("haproxy") else "restart"
            said = (
                f"gateway {gateway.name}: {unit}: an update replaced {told(paths)} under the running process; "
                f"`systemctl {verb} {TAKEN_UP.get(unit, unit)}` there takes it up"
            )
            lines.append(("", said))
        if gateway.certificate and 0 < gateway.certificate["days"] < SOON:
            lines.append(("", f"gateway {gateway.name}: {_certificate(gateway.certificate)}"))
    return lines


def _certificate(certificate: Mapping[str, Any]) -> str:
    """Of what HAProxy has loaded: a renewed file that it has not read yet is no help."""
    ends = str(certificate["ends"])[:16].replace("T", " ")
    verb = "ended" if certificate["days"] <= 0 else "ends"
    return f"the certificate that HAProxy loaded from {certificate['path']} {verb} on {ends} UTC"


def _upkeep(upkeep: Mapping[str, Any]) -> Iterator[str]:
    if upkeep.get("reboot_due") is not None:
        packages = f" for {upkeep['reboot_due']}" if upkeep["reboot_due"] else ""
        yield f"a reboot is due{packages}"
    if upkeep.get("reboots_itself"):
        when = upkeep["reboots_itself"]
        at = "right after the update" if when == "now" else f"at {when}"
        yield f"reboots by itself where an update asks for it, {at}, with its engines running (Automatic-Reboot)"
    for place, left in (upkeep.get("low") or {}).items():
        yield f"{place} is almost full: {left}"


def document(fleet: Fleet, time: str, digest: str) -> dict[str, Any]:
    """All of it, JSON-ready. `time` is ISO 8601 by the control node's clock, `digest` that of the plan."""
    whole = asdict(fleet)
    by_host = {host.name: host_problems(host, fleet) for host in fleet.hosts}
    return {
        "schema": SCHEMA,
        "time": time,
        "plan_digest": digest,
        "problems": fleet_problems(fleet) + [f"{host}: {line}" for host, lines in by_host.items() for line in lines],
        "notices": notices(fleet),
        "lock": whole["lock"],
        "hosts": {host["name"]: {**host, "problems": by_host[host["name"]]} for host in whole["hosts"]},
        "gateways": {gateway["name"]: gateway for gateway in whole["gateways"]},
    }
