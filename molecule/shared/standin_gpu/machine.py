"""STAND-IN hardware of a lab machine: what it shall be (a JSON file), and the files under /sys, /proc and /dev that say so.

A machine of the lab shares this computer's kernel and can load nothing into it. Here the files that a kernel with GPUs
shows are plain ones on tmpfs, laid out anew at each boot.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

HOME = Path("/opt/standin-gpu")
STATE = Path("/var/lib/standin-gpu/machine.json")
RUN = Path("/run/standin-gpu")
PCI = Path("/sys/bus/pci/devices")
MODULES = Path("/sys/module")
DRIVER = Path("/proc/driver")
EFI = Path("/sys/firmware/efi/efivars")
SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
TURING, BLACKWELL = 0x1E00, 0x2900
NULL_DEVICE = ("c", "1", "3")
REMOTE = Path("/lib/systemd/systemd-journal-remote")
JOURNAL = "/var/log/journal/{id}/system@stand-in.journal"


@dataclass
class Machine:
    """`gpus` and `switches` are PCI device numbers ("2330" is an H100 SXM, "22a3" an NVSwitch); `secure_boot` None for a
    computer without UEFI, `trusted` the keys that its firmware trusts besides the distribution's.

    `faults` are names that the stand-ins look for: smi-hangs, gpu-lost, fell-off, ecc, remap-pending. `processes` are those
    with memory on a GPU: its index, the process's id, MiB.
    """

    gpus: list[str] = field(default_factory=list)
    switches: list[str] = field(default_factory=list)
    secure_boot: bool | None = None
    trusted: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    processes: list[tuple[int, int, int]] = field(default_factory=list)


def read() -> Machine:
    return Machine(**json.loads(STATE.read_text())) if STATE.exists() else Machine()


def write(machine: Machine) -> None:
    STATE.parent.mkdir(parents=True, exist_ok=True)
    STATE.write_text(json.dumps(asdict(machine)))


def kernel() -> str:
    return Path("/proc/sys/kernel/osrelease").read_text().strip()


def addresses(machine: Machine) -> list[str]:
    """PCI addresses of the GPUs, in bus order."""
    return [f"0000:{0x1B + 0x10 * index:02x}:00.0" for index in range(len(machine.gpus))]


def devices(machine: Machine) -> Iterator[tuple[str, str, str]]:
    """(address, device number, class) of everything on the bus."""
    for address, number in zip(addresses(machine), machine.gpus):
        yield address, number, "030200"
    for index, number in enumerate(machine.switches):
        yield f"0000:{0xC0 + index:02x}:00.0", number, "068000"


def mount(kind: str, path: Path) -> None:
    if subprocess.run(["mountpoint", "-q", path], check=False).returncode:
        subprocess.run(["mount", "-t", kind, "stand-in", path], check=True)


def appear(machine: Machine) -> None:
    """Lay out the bus and the firmware's variables; the running kernel stays what it is."""
    subprocess.run(["mount", "-o", "remount,rw", "/sys"], check=True)
    mount("tmpfs", PCI)
    mount("tmpfs", DRIVER)
    for path in PCI.iterdir():
        shutil.rmtree(path)
    for address, number, kind in devices(machine):
        device = PCI / address
        device.mkdir()
        facts = {"vendor": "0x10de", "device": f"0x{number}", "class": f"0x{kind}", "numa_node": "0"}
        for name, value in {**facts, "modalias": modalias(number, kind)}.items():
            (device / name).write_text(f"{value}\n")
    MODULES.mkdir(exist_ok=True)
    bind()
    shutil.rmtree(EFI, ignore_errors=True)
    if machine.secure_boot is not None:
        EFI.mkdir(parents=True)
        (EFI / SECURE_BOOT).write_bytes(bytes([6, 0, 0, 0, int(machine.secure_boot)]))


def modalias(number: str, kind: str) -> str:
    return f"pci:v000010DEd0000{number.upper()}sv000010DEsd00000001bc{kind[:2]}sc{kind[2:4]}i{kind[4:]}"


def bind() -> None:
    """The driver of each GPU is the first of nvidia and nouveau that is loaded."""
    driver = next((name for name in ("nouveau", "nvidia") if (MODULES / name).exists()), "")
    for device in PCI.iterdir():
        link = device / "driver"
        link.unlink(missing_ok=True)
        if driver and (device / "class").read_text().startswith("0x03"):
            link.symlink_to(f"/sys/bus/pci/drivers/{driver}")


def nodes(machine: Machine) -> list[Path]:
    return [Path(f"/dev/nvidia{index}") for index in range(len(machine.gpus))] + [Path("/dev/nvidiactl")]


def make_nodes(paths: list[Path]) -> None:
    """Device nodes that can be opened: those of /dev/null, under the names of the real ones."""
    for path in paths:
        if not path.exists():
            subprocess.run(["mknod", "-m", "666", path, *NULL_DEVICE], check=True)


def number(machine: Machine) -> None:
    """What the driver tells of its GPUs: the number of each one's device node."""
    for index, address in enumerate(addresses(machine)):
        told = DRIVER / "nvidia" / "gpus" / address
        told.mkdir(parents=True, exist_ok=True)
        (told / "information").write_text(f"Bus Location: \t {address}\nDevice Minor: \t {index}\n")


def open_files(pattern: str) -> int:
    """How often processes have device nodes of this name open."""
    wanted, count = {str(path) for path in Path("/dev").glob(pattern)}, 0
    # Not pathlib's glob, which a process that ends while we look brings down.
    for link in glob.iglob("/proc/[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            count += os.readlink(link) in wanted
    return count


def runs(command: str) -> bool:
    """Whether a process of this name runs, as its kernel has it: 15 characters at most."""
    for comm in glob.iglob("/proc/[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if Path(comm).read_text().strip() == command:
                return True
    return False


def count_users() -> None:
    """Write reference counts as the kernel would: open device nodes, and loaded modules that stand on the module."""
    for name, pattern in (("nvidia", "nvidia[0-9c]*"), ("nvidia_uvm", "nvidia-uvm*")):
        path = MODULES / name
        if path.exists():
            text = f"{open_files(pattern) + len(list((path / 'holders').iterdir()))}\n"
            if (path / "refcnt").read_text() != text:
                (path / "refcnt").write_text(text)


def say(text: str) -> None:
    """Write a line of the kernel's log: a container has none, but its journal can be given one."""
    host = Path("/etc/machine-id").read_text().strip()
    stamps = {
        "__REALTIME_TIMESTAMP": str(time.time_ns() // 1000),
        "__MONOTONIC_TIMESTAMP": str(time.monotonic_ns() // 1000),
    }
    fields = {
        **stamps,
        "_BOOT_ID": Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""),
        "_MACHINE_ID": host,
        "_TRANSPORT": "kernel",
        "SYSLOG_IDENTIFIER": "kernel",
        "PRIORITY": "3",
        "MESSAGE": text,
    }
    entry = "".join(f"{name}={value}\n" for name, value in fields.items()) + "\n"
    command = [REMOTE, "-o", JOURNAL.format(id=host), "-"]
    subprocess.run(command, input=entry, text=True, capture_output=True, check=True)
