"""What a host is: its system, its PCI devices, Secure Boot and the keys it trusts, units."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_files import entries, text
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Device, ServiceState, System
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import Run

NVIDIA, AMD = "10de", "1002"
# PCI classes: VGA and 3D controllers; AMD's Instinct are "display, other" or "processing accelerator".
_GPUS = {NVIDIA: ("0300", "0302"), AMD: ("0300", "0302", "0380", "1200")}
# NVSwitches are bridges of class "other"; NVIDIA's chipsets of the years before 2010 had such bridges too, below this number.
_SWITCH, _FIRST_SWITCH = "0680", 0x1A00
# Of HGX B200 and newer the switches are reached through ConnectX-7 bridges, marked so in their vital product data
# (nvidia-fabricmanager-start.sh of Fabric Manager 570).
_BRIDGE = b"SW_MNG"
# https://uefi.org/specs/UEFI/2.10/03_Boot_Manager.html; shim's own switch, MokVars.txt of rhboot/shim.
_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_SHIM_OFF = "MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23"
# https://docs.nvidia.com/multi-node-nvlink-systems/imex-guide/config.html, IMEX_NODE_CONFIG_FILE.
_IMEX_NODES = "etc/nvidia-imex/nodes_config.cfg"
UNITS = (
    "nvidia-persistenced.service",
    "nvidia-fabricmanager.service",
    "nvidia-imex.service",
    "gpu-mig.service",
    "gpu-settings.service",
    "nvidia-dcgm.service",
    "nvidia-dcgm-exporter.service",
)
_PROPERTIES = "Id,LoadState,ActiveState,UnitFileState,Result,StatusText"


def system(root: Path, machine: str) -> System:
    """The operating system from /etc/os-release (freedesktop.org, os-release(5)); `machine` as `uname -m` prints it."""
    told = text(root / "etc/os-release") or text(root / "usr/lib/os-release")
    fields = dict(line.partition("=")[::2] for line in told.splitlines() if "=" in line)
    value = {key: raw.strip().strip("\"'") for key, raw in fields.items()}
    return System(
        name=value.get("ID", ""),
        version=value.get("VERSION_ID", ""),
        codename=value.get("VERSION_CODENAME", ""),
        like=tuple(value.get("ID_LIKE", "").split()),
        arch=machine,
    )


def devices(root: Path) -> tuple[tuple[Device, ...], int]:
    """GPUs of NVIDIA and AMD on the PCI bus, and how many NVSwitches there are.

    Virtual functions are no GPUs, and those that a virtual machine has (vfio-pci) are none of this host's.
    """
    gpus, switches = [], 0
    for entry in entries(root / "sys/bus/pci/devices"):
        vendor, number, kind = (text(entry / name)[2:].lower() for name in ("vendor", "device", "class"))
        if kind[:4] in _GPUS.get(vendor, ()) and not ((entry / "physfn").exists() or _passed_through(entry)):
            gpus.append(Device(entry.name, vendor, number, kind))
        elif vendor == NVIDIA and kind.startswith(_SWITCH) and int(number or "0", 16) >= _FIRST_SWITCH:
            switches += 1
    return tuple(gpus), switches + _bridges(root)


def _passed_through(device: Path) -> bool:
    driver = device / "driver"
    return driver.is_symlink() and os.readlink(driver).rpartition("/")[2] == "vfio-pci"


def _bridges(root: Path) -> int:
    found = 0
    for entry in entries(root / "sys/class/infiniband"):
        try:
            found += _BRIDGE in (entry / "device/vpd").read_bytes()
        except OSError:
            continue
    return found


def imex_nodes(root: Path) -> tuple[str, ...]:
    """The addresses in IMEX's list of hosts, one a line; () where there is none (the package brings an empty one)."""
    lines = (line.partition("#")[0].strip() for line in text(root / _IMEX_NODES).splitlines())
    return tuple(line for line in lines if line)


def secure_boot(root: Path) -> bool | None:
    """Whether the kernel refuses unsigned modules because of Secure Boot; None where the firmware does not tell."""
    state, shim_off = (_flag(root / "sys/firmware/efi/efivars" / name) for name in (_SECURE_BOOT, _SHIM_OFF))
    return None if state is None else state and not shim_off


def _flag(variable: Path) -> bool | None:
    # Four bytes of attributes come before the value.
    try:
        return variable.read_bytes()[4:5] == b"\1"
    except OSError:
        return None


def trusted_keys(root: Path, run: Run) -> tuple[str, ...]:
    """Names of the keys that the kernel trusts (/proc/keys), and of those enrolled with shim that it may load."""
    names = re.findall(r" asymmetri (.+?): [0-9a-f]{8,}: X509", text(root / "proc/keys"))
    out = run(["mokutil", "--list-enrolled"])[1]
    names += re.findall(r"^\s*Subject:.*?\bCN ?= ?([^,/\n]+)", out, re.MULTILINE)
    return tuple(dict.fromkeys(name.strip() for name in names))


def virtual(run: Run) -> str:
    """What the host runs in ("kvm", "docker"), "" on hardware. systemd-detect-virt(1)."""
    out = run(["systemd-detect-virt"])[1]
    return "" if out.strip() == "none" else out.strip()


def units(run: Run, names: Sequence[str] = UNITS) -> dict[str, ServiceState]:
    """The driver's services by full name; a failed one has its last words as `status`."""
    out = run(["systemctl", "show", "--property", _PROPERTIES, *names])[1]
    found = {name: ServiceState("", False) for name in names}
    for block in out.strip().split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in block.splitlines())
        name = fields.get("Id", "")
        if name in found and fields.get("LoadState") not in ("not-found", None):
            found[name] = _unit(name, fields, run)
    return found


def _unit(name: str, fields: Mapping[str, str], run: Run) -> ServiceState:
    state, status = fields.get("ActiveState", ""), fields.get("StatusText", "")
    if state == "failed":
        # The unit's own program, not systemd about it.
        words = run(["journalctl", "-q", "-b", "--no-pager", "-o", "cat", "-n", "5", f"_SYSTEMD_UNIT={name}"])[1]
        lines = [line.strip() for line in words.splitlines() if line.strip()]
        told = [line for line in lines if re.search(r"fail|error|not ", line, re.IGNORECASE)]
        status = (told or lines or [status])[-1]
    enabled = fields.get("UnitFileState") in ("enabled", "enabled-runtime", "static", "alias", "generated")
    return ServiceState(state, enabled, fields.get("Result", ""), status)
