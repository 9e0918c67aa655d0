"""One machine: the files that make the shared root this machine, and the commands that mount and boot it."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.baremetal.vllm.tools.lab.base import POOL
from ansible_collections.baremetal.vllm.tools.lab.network import BRIDGE
from ansible_collections.baremetal.vllm.tools.lab.spec import Lab, Machine

# Prefix of everything that carries a machine's name outside of it.
PREFIX = "bmvllm-"
# systemd finds its own place in a unified hierarchy only (257 refuses the older one), and device rules of units are
# BPF programs there: without the call and the capability, DevicePolicy=closed would be accepted and not enforced.
# /tmp lies on the disk, as on a server: what nspawn mounts there by itself is too small to build things in.
BOOT_ENVIRONMENT = {"UNIFIED_CGROUP_HIERARCHY": "1", "SYSTEMD_NSPAWN_TMPFS_TMP": "0"}


def boot_command(machine: Machine, root: Path, pool: Path) -> list[str]:
    """The systemd-nspawn command of a machine; the console goes to its standard output."""
    return [
        "systemd-nspawn",
        "--boot",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--settings=no",
        f"--directory={root}",
        f"--machine={PREFIX}{machine.name}",
        f"--hostname={machine.name}",
        f"--network-bridge={BRIDGE}",
        "--console=read-only",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--rlimit=NOFILE=1024:524288",
        "--system-call-filter=bpf",
        "--capability=CAP_BPF",
        f"--bind={pool}:{POOL}",
        *(f"--bind={device}" for device in loop_devices()),
    ]


def loop_devices(devices: Path = Path("/dev")) -> list[Path]:
    """What a machine needs to mount a file: engines may be images (docs/engine.md). systemd-nspawn makes none of these.

    They are the computer's, and shared: a machine that takes the next free one takes it from all. A kernel without them gives
    none, and machines install packages then.
    """
    control = devices / "loop-control"
    return [control, *sorted(devices.glob("loop[0-9]*"))] if control.exists() else []


def overlay_command(base: Path, machine: Path) -> list[str]:
    """Mount the machine's own layer over the shared root."""
    layers = f"lowerdir={base},upperdir={machine / 'upper'},workdir={machine / 'work'}"
    return ["mount", "-t", "overlay", "-o", layers, "overlay", str(machine / "root")]


def own_files(
    machine: Machine, lab: Lab, resolv_conf: str, authorized_key: str, host_key: str
) -> dict[str, tuple[str, int]]:
    """Path in the machine -> (text, mode) of everything that the shared root cannot know."""
    if machine.ipv6:
        way = f"Address={machine.address}/{lab.subnet6.prefixlen}\nLinkLocalAddressing=ipv6\n"
    else:
        way = f"Address={machine.address}/{lab.subnet.prefixlen}\nGateway={lab.gateway}\nLinkLocalAddressing=no\n"
    port = {"etc/ssh/sshd_config.d/10-lab.conf": (f"Port {machine.port}\n", 0o644)} if machine.port != 22 else {}
    neighbours = "".join(f"{other.address} {other.name}\n" for other in lab.machines if other != machine)
    return {
        "etc/hostname": (f"{machine.name}\n", 0o644),
        "etc/hosts": (f"127.0.0.1 localhost\n{machine.address} {machine.name}\n{neighbours}", 0o644),
        "etc/resolv.conf": (resolv_conf, 0o644),
        "etc/systemd/network/10-lab.network": (
            f"[Match]\nName=host0\n\n[Network]\n{way}IPv6AcceptRA=no\n",
            0o644,
        ),
        **port,
        "etc/ssh/ssh_host_ed25519_key": (host_key, 0o600),
        "root/.ssh/authorized_keys": (authorized_key, 0o600),
    }


def resolv_conf_of(texts: list[str]) -> str:
    """The first resolver configuration that still means something inside a machine (no loopback-only resolver)."""
    for text in texts:
        settings = [line.split() for line in text.splitlines() if len(line.split()) > 1]
        servers = [words for words in settings if words[0] == "nameserver" and not words[1].startswith(("127.", "::1"))]
        if servers:
            others = [words for words in settings if words[0] in ("search", "options")]
            return "".join(f"{' '.join(words)}\n" for words in servers + others)
    return ""
