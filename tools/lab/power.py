"""A machine's disk and power: made on its root, switched on under a supervisor, watched until it runs, switched off."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.tools.lab import machine, network, process, ssh, supervisor
from ansible_collections.baremetal.vllm.tools.lab.computer import (
    EVERY,
    Say,
    mount_points,
    remove_tree,
    ssh_answers,
    timed,
    write,
)
from ansible_collections.baremetal.vllm.tools.lab.spec import Lab, LabError, Machine, Places

# Seconds a machine has from the start of its first process to "running".
BOOT_TIME = 120
# Seconds that a machine whose processes live has to answer (it may be rebooting) before it counts as down.
ANSWER_TIME = 20


def supervised(places: Places, name: str) -> process.Process | None:
    """The living supervisor of a machine."""
    found = process.from_json(status(places, name).get("supervisor"))
    return found if found is not None and found.alive() else None


def status(places: Places, name: str) -> dict[str, Any]:
    """What the supervisor last wrote; {} when it has not."""
    return read_json(places.machine(name) / "status.json")


def answers(places: Places, one: Machine) -> bool:
    """Whether the machine is switched on and its sshd speaks, or does within the time of a reboot."""
    deadline = time.monotonic() + ANSWER_TIME
    while supervised(places, one.name) is not None and time.monotonic() < deadline:
        if ssh_answers(one.address, one.port):
            return True
        time.sleep(0.2)
    return False


def root_of(places: Places, one: Machine) -> Path | None:
    """The shared root that the machine's disk lies on; None for a machine without disk, or with one to be made anew."""
    made = read_json(places.machine(one.name) / "made.json")
    return Path(made["root"]) if made.get("identity") == one.identity() else None


def boot(places: Places, one: Machine, lab: Lab, root: Path, say: Say) -> None:
    """Start the machine, on a new disk over `root` unless it has its own; `wait_until_running` sees it through."""
    directory = places.machine(one.name)
    off(places, one)
    if root_of(places, one) is None:
        remove_disk(places, one.name)
        for part in ("upper", "work", "root"):
            (directory / part).mkdir(parents=True)
        (directory / "made.json").write_text(json.dumps({"identity": one.identity(), "root": str(root)}))
    mount(root_of(places, one) or root, directory, say)
    personalize(places, one, lab)
    pool = places.debs(one.suite)
    pool.mkdir(parents=True, exist_ok=True)
    settings = {
        "argv": machine.boot_command(one, directory / "root", pool),
        "environment": machine.BOOT_ENVIRONMENT,
        "cgroup": one.name,
        "console": str(directory / "console.log"),
        "status": str(directory / "status.json"),
    }
    (directory / "supervisor.json").write_text(json.dumps(settings))
    (directory / "status.json").unlink(missing_ok=True)
    with open(directory / "console.log", "ab") as console:
        subprocess.Popen(
            (sys.executable, "-I", supervisor.__file__, str(directory / "supervisor.json")),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            cwd="/",
            start_new_session=True,
        )


def mount(lower: Path, directory: Path, say: Say) -> None:
    """A layer over the shared root, or a copy of it where this file system cannot carry layers.

    :raises LabError: when the root is no longer in the cache
    """
    root = directory / "root"
    if str(root) in mount_points() or (root / "etc").exists():
        return
    if not lower.exists():
        raise LabError(f"{lower}, which {directory.name} lies on, is gone: remove the machine (lab_state=absent)")
    done = network.run(machine.overlay_command(lower, directory))
    if done.returncode:
        say(f"copying {lower.name}: layers are not possible under {directory}")
        network.command("cp", "--archive", "--reflink=auto", f"{lower}/.", str(root))


def personalize(places: Places, one: Machine, lab: Lab) -> None:
    """Write into the machine's disk what makes it this machine."""
    host_key = places.machine(one.name) / "host_key"
    ssh.make_key(places.ssh / "id_ed25519", "baremetal.vllm lab")
    ssh.make_key(host_key, one.name)
    resolvers = [Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")]
    resolv_conf = machine.resolv_conf_of([path.read_text() for path in resolvers if path.exists()])
    key = (places.ssh / "id_ed25519.pub").read_text()
    for name, (text, mode) in machine.own_files(one, lab, resolv_conf, key, host_key.read_text()).items():
        write(places.machine(one.name) / "root" / name, text, mode)


def wait_until_running(places: Places, down: Sequence[Machine], say: Say) -> None:
    """:raises LabError: with the end of the console for a machine that does not come up"""
    begun, told, waiting = time.monotonic(), time.monotonic(), list(down)
    while waiting:
        one = waiting[0]
        elapsed = time.monotonic() - begun
        if ssh_answers(one.address, one.port):
            check_running(places, waiting.pop(0), BOOT_TIME - elapsed)
            say(timed(f"{one.name} is running", time.monotonic() - begun))
            continue
        ended = status(places, one.name).get("ended")
        if ended or elapsed > BOOT_TIME:
            why = f"ended while booting: {ended}" if ended else f"did not answer within {BOOT_TIME} s"
            raise LabError(f"{one.name} {why}; the end of its console:\n{console_end(places, one.name)}")
        if time.monotonic() - told > EVERY:
            told = time.monotonic()
            say(timed(f"waiting for {', '.join(each.name for each in waiting)}", elapsed))
        time.sleep(0.1)


def check_running(places: Places, one: Machine, seconds: float) -> None:
    """:raises LabError: when systemd in the machine does not call it running, with the units that failed"""
    # The manager of a login that comes too early fails (user@0.service), and the next login starts it anew.
    question = (
        "systemctl is-system-running --wait >/dev/null; systemctl reset-failed 'user@*.service';"
        " systemctl is-system-running; systemctl --failed --plain --no-legend"
    )
    command = ("ssh", "-F", str(places.ssh / "config"), one.name, question)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=max(seconds, 10), check=False)
    except subprocess.TimeoutExpired:
        end = console_end(places, one.name)
        raise LabError(f"{one.name} has not finished booting; the end of its console:\n{end}") from None
    if done.stdout.split()[:1] != ["running"]:
        raise LabError(f"{one.name} is {(done.stdout + done.stderr).strip()!r} after booting; expected 'running'")


def console_end(places: Places, name: str) -> str:
    try:
        lines = (places.machine(name) / "console.log").read_text(errors="replace").splitlines()
    except OSError:
        return "(no console)"
    return "\n".join(lines[-15:])


def off(places: Places, one: Machine) -> None:
    """End the machine's processes: by its supervisor, or one by one where that has died."""
    ssh.close_shared_connections(places, one.address)
    keeper = supervised(places, one.name)
    if keeper is not None:
        keeper.kill(signal.SIGTERM)
        if not keeper.wait(20):
            keeper.kill()
    nspawn = process.from_json(status(places, one.name).get("nspawn"))
    if nspawn is not None and nspawn.alive():
        for child in process.children(nspawn.pid):
            leader = process.identify(child)
            if leader is not None:
                leader.kill()
        if not nspawn.wait(10):
            nspawn.kill()
            nspawn.wait(5)
    supervisor.remove_cgroups(supervisor.cgroups_of(one.name))


def remove_disk(places: Places, name: str) -> None:
    directory = places.machine(name)
    root = directory / "root"
    if str(root) in mount_points():
        network.command("umount", str(root))
    remove_tree(directory)


def read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
