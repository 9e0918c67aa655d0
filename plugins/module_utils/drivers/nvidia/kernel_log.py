"""What the kernel's log of this boot says about the driver: Xids, and why a module or a GPU did not come up.

The lines are NVIDIA's own (kernel-open/nvidia/nv.c, os-interface.c of open-gpu-kernel-modules) and the kernel's
(kernel/module/signing.c, security/lockdown).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Xid
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import Run

# "NVRM: Xid (PCI:0000:9b:00): 119, pid=12, name=x, Timeout …", in old drivers "NVRM: Xid (0000:03:00): 14, Channel 1".
_XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2})[^)]*\): (\d+)(?:, *(.*))?")
# Where the GPU is gone before the driver has a channel, it writes this instead.
_LOST = re.compile(r"NVRM: GPU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2})\.\d: (GPU has fallen off the bus)")
_FALLEN = 79
_COMPLAINTS = re.compile(
    r"RmInitAdapter failed|API mismatch|No NVIDIA (?:devices|graphics adapter) probed|probe routine was not called|"
    r"is not supported by (?:the )?open|not supported by the NVIDIA|RmFetchGspRmImages|Cannot initialize GSP firmware|"
    r"firmware load for nvidia/\S+ failed|loading \S*nvidia/\S+ failed|PCI I/O region assigned|request_mem_region failed|"
    r"requires use of the NVIDIA open kernel modules|ignoring the legacy GPU|fallen off the bus and is not responding|"
    r"SXid \([^)]*\): \d+, Fatal|"
    # "module verification failed … tainting kernel" is no complaint: every module that DKMS signed says so, and is loaded.
    r"nvidia\S*: (?:version magic|disagrees about version|Unknown symbol)|"
    r"(?:unsigned module loading|Loading of (?:unsigned )?module)\b.*|Loading of module with unavailable key"
)
# NVLink 5 grades its errors in their text: "NETIR_LINK_EVT Fatal XC0 i0 Link 08 (…)", "NETIR_BER_EVENT Nonfatal …".
_FATAL = " Fatal "
_STAMP = re.compile(r"^(?:<\d+>)?\[\s*\d+\.\d+\]\s*")
_SHOWN = 6


def read(run: Run, since: str = "boot") -> list[str]:
    """The kernel's log since the boot, or since a time within it as `journalctl --since` takes it; [] where none can be read."""
    later = [] if since == "boot" else ["--since", since]
    code, out, __ = run(["journalctl", "-k", "-b", "-q", "--no-pager", "-o", "cat", *later])
    if code == 0 and out.strip():
        return out.splitlines()
    # Without a journal the kernel's own buffer has at least the newest part.
    out = run(["dmesg"])[1] if since == "boot" else ""
    return out.splitlines()


def xids(lines: Iterable[str]) -> tuple[Xid, ...]:
    """Xids by GPU and code, with how often and the newest text; a fatal one's stays whatever lesser ones follow.

    >>> xids(["NVRM: Xid (PCI:0000:05:00): 79, GPU has fallen off the bus."])
    (Xid(address='0000:05:00.0', code=79, count=1, text='GPU has fallen off the bus.'),)
    """
    found: dict[tuple[str, int], Xid] = {}
    lost: dict[str, str] = {}
    for line in lines:
        match, gone = _XID.search(line), _LOST.search(line)
        if match:
            key = address(match[1]), int(match[2])
            earlier, told = found.get(key), (match[3] or "").strip()
            if earlier and _FATAL in earlier.text and _FATAL not in told:
                told = earlier.text
            found[key] = Xid(*key, (earlier.count if earlier else 0) + 1, told)
        elif gone:
            lost[address(gone[1])] = gone[2]
    for where, text in lost.items():
        found.setdefault((where, _FALLEN), Xid(where, _FALLEN, 1, text))
    return tuple(found[key] for key in sorted(found))


def address(text: str) -> str:
    """A PCI address as the kernel names devices: four digits of domain, lower case, function 0.

    >>> address("00000000:9B:00")
    '0000:9b:00.0'
    """
    domain, bus, device = text.lower().split(":")[:3]
    return f"{domain[-4:]}:{bus}:{device[:2]}.0"


def complaints(lines: Sequence[str]) -> tuple[str, ...]:
    """The newest lines that say why a module or a GPU did not come up, each once, without their time."""
    said = [_STAMP.sub("", line).strip() for line in lines if _COMPLAINTS.search(line) and not _XID.search(line)]
    return tuple(dict.fromkeys(said))[-_SHOWN:]
