"""Keeps one machine on: starts systemd-nspawn, starts it again after a reboot, ends when the machine is switched off.

Run as a program, detached, with the path of a JSON file: {"argv": [...], "environment": {...}, "cgroup": NAME,
"console": PATH, "status": PATH}. SIGTERM cuts the machine's power. Standard library only, and no import from the
collection: it must outlive the run that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# systemd-nspawn's status, under --keep-unit, when the machine wants to be started again.
REBOOT = 133
GROUP = "bmvllm-lab"


def cgroup_mounts(mountinfo: str) -> list[Path]:
    """Mount points of the hierarchies that systemd keeps its tree in: the unified one and name=systemd."""
    found = []
    for line in mountinfo.splitlines():
        before, __, after = line.partition(" - ")
        kind, __, options = after.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(before.split()[4]))
    return found


def cgroups_of(name: str) -> list[Path]:
    """The machine's control group in each hierarchy; machines that were started from one group would share its tree."""
    return [mount / GROUP / name for mount in cgroup_mounts(Path("/proc/self/mountinfo").read_text())]


def make_cgroups(groups: list[Path]) -> None:
    for group in groups:
        parent = group.parent
        group.mkdir(parents=True, exist_ok=True)
        for controller in ("cpu", "memory", "pids", "io"):
            # Where the kernel keeps controllers elsewhere, limits inside the machine are simply not enforced.
            with contextlib.suppress(OSError):
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")


def remove_cgroups(groups: list[Path]) -> None:
    for group in groups:
        for directory, __, __ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        with contextlib.suppress(OSError):
            os.rmdir(group.parent)


def identity(pid: int) -> dict[str, Any]:
    """The shape that `process.from_json` reads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"pid": pid, "started": int(fields[19]), "boot": boot}


def main(configuration: str) -> int:
    settings = json.loads(Path(configuration).read_text())
    status_file = Path(settings["status"])
    status: dict[str, Any] = {"supervisor": identity(os.getpid()), "nspawn": None, "boots": 0, "ended": None}

    def tell(**news: Any) -> None:
        status.update(news)
        partial = status_file.with_suffix(".partial")
        partial.write_text(json.dumps(status))
        partial.replace(status_file)

    wanted_off = False
    running: list[subprocess.Popen[bytes]] = []

    def cut_power(*__: object) -> None:
        nonlocal wanted_off
        wanted_off = True
        for nspawn in running:
            # The machine's first process takes all others with it; nspawn then clears up its own mounts and links.
            with contextlib.suppress(OSError):
                machine = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split()
                for pid in [int(child) for child in machine] or [nspawn.pid]:
                    os.kill(pid, signal.SIGKILL)

    signal.signal(signal.SIGTERM, cut_power)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    groups = cgroups_of(settings["cgroup"])
    make_cgroups(groups)

    def enter_cgroups() -> None:
        for group in groups:
            (group / "cgroup.procs").write_text("0")

    code = REBOOT
    while code == REBOOT and not wanted_off:
        with open(settings["console"], "ab") as console:
            nspawn = subprocess.Popen(
                settings["argv"],
                env={**os.environ, **settings["environment"]},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                preexec_fn=enter_cgroups,
            )
            running[:] = [nspawn]
            tell(nspawn=identity(nspawn.pid), boots=status["boots"] + 1)
            if wanted_off:
                cut_power()
            code = nspawn.wait()
            running.clear()
        time.sleep(0.2)
    remove_cgroups(groups)
    tell(ended={"status": code, "by_request": wanted_off, "at": time.time()})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
