"""Faults of the driver's services: the fabric manager of NVSwitch systems, and the persistence daemon."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import ServiceState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import hardware
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose_case import Case, some
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

FABRIC, PERSISTENCE = "nvidia-fabricmanager", "nvidia-persistenced"
_SLOW = ": the driver lets go of GPUs that nobody uses, and every start waits for them"


def fabric_manager(case: Case) -> Iterator[Finding]:
    """Source: Fabric Manager User Guide, "Installing Fabric Manager": where there are NVSwitches, at the driver's version."""
    unit = case.unit(FABRIC)
    if not hardware.needs_fabric_manager(case.gpus, case.state.switches):
        yield from _needless(case, unit)
        return
    if not case.installed:
        return
    name, version = next(
        (found for found in map(case.package, (FABRIC, "nvidia-fabric-manager")) if found[0]), ("", "")
    )
    if not unit.state and not name:
        yield Finding(
            "fabric-manager-missing",
            "the GPUs talk through NVSwitches, and the fabric manager that sets those up is not installed",
            f"nvidia-fabricmanager {case.version} is installed",
            "packages",
        )
        return
    if version and version != case.installed:
        yield Finding(
            "fabric-manager-mismatch",
            f"{name} is {version} and the driver is {case.installed}: it refuses any other version than its own",
            f"It is brought to {case.version}",
            "packages",
        )
    elif unit.state != "active" or not unit.enabled:
        yield Finding(
            "fabric-manager-not-running", sentence("the fabric manager", unit), "It is enabled and started", "services"
        )


def switches(case: Case) -> Iterator[Finding]:
    """Source: Fabric Manager User Guide, appendix "NVSwitch SXid Error Codes"."""
    said = [line for line in case.state.log if "SXid" in line]
    if said:
        yield Finding(
            "nvswitch-error",
            f"an NVSwitch had a fatal error since the boot: {said[-1]}",
            "What ran on the GPUs behind it was stopped; if a model does not start, reboot the host, and have the switch board "
            "looked at if it returns",
            fatal=False,
        )


def _needless(case: Case, unit: ServiceState) -> Iterator[Finding]:
    fabric = case.state.facts is not None and any(gpu.fabric for gpu in case.state.facts.gpus)
    if not fabric and (unit.enabled or unit.state in ("active", "failed")):
        # A virtual machine may have the links and not the switches: nobody but its owner knows.
        heal = "" if case.state.virtual else "services"
        yield Finding(
            "fabric-manager-without-switch",
            f"{sentence('the fabric manager', unit)}, on a host without NVSwitches",
            "It is stopped and disabled" if heal else "Remove the package nvidia-fabricmanager, or disable its service",
            heal,
            fatal=False,
        )


def persistence(case: Case) -> Iterator[Finding]:
    """Persistence is asked for and not in force; never fatal, since engines only start more slowly without."""
    if not case.wanted.persistence or not case.consistent:
        return
    unit = case.unit(PERSISTENCE)
    off = [gpu.index for gpu in case.state.facts.gpus if gpu.persistence is False] if case.state.facts else []
    if unit.state != "active" or not unit.enabled:
        yield Finding(
            "persistence-off",
            (sentence("the persistence daemon", unit) if unit.state else "the persistence daemon is not installed")
            + _SLOW,
            "It is enabled and started; or write nvidia_driver_persistence: false",
            "services" if unit.state else "packages",
            fatal=False,
        )
    elif off:
        yield Finding(
            "persistence-off",
            f"the persistence daemon runs, and GPU {some(map(str, off))} is not in persistence mode{_SLOW}",
            "Take --no-persistence-mode (Ubuntu's default) out of its command: systemctl edit nvidia-persistenced",
            fatal=False,
        )


def sentence(what: str, unit: ServiceState) -> str:
    """ "the fabric manager is failed, exit-code and not enabled ("…")"."""
    said = f' ("{unit.status}")' if unit.status else ""
    result = f", {unit.result}" if unit.state == "failed" and unit.result else ""
    return f"{what} is {unit.state or 'not known to systemd'}{result}{'' if unit.enabled else ' and not enabled'}{said}"
