"""How the control node reaches the machines: a key of the lab's own, known host keys, and one ssh configuration."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from ansible_collections.baremetal.vllm.tools.lab.spec import Machine, Places


def make_key(path: Path, comment: str) -> None:
    """An Ed25519 key pair without passphrase at `path` and `path`.pub, unless it is there."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)), check=True)


def known_hosts(machines: Iterable[Machine], keys: Mapping[str, str]) -> str:
    """A line a machine: address, name and public host key (`keys`: machine name -> 'type base64 comment')."""
    lines = []
    for machine in machines:
        kind, key = keys[machine.name].split()[:2]
        names = [machine.address, machine.name]
        # sshd(8): another port stands behind the name in brackets.
        own = names if machine.port == 22 else [f"[{name}]:{machine.port}" for name in names]
        lines.append(f"{','.join(own)} {kind} {key}\n")
    return "".join(lines)


def configuration(machines: Iterable[Machine], places: Places) -> str:
    """An ssh_config for ssh itself, Ansible and testinfra: `ssh -F FILE lab1` is all it takes."""
    hosts = "".join(
        f"Host {one.name}\n  HostName {one.address}\n{f'  Port {one.port}' + chr(10) if one.port != 22 else ''}\n"
        for one in machines
    )
    return (
        f"{hosts}"
        "Host *\n"
        "  User root\n"
        f"  IdentityFile {places.ssh / 'id_ed25519'}\n"
        "  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {places.ssh / 'known_hosts'}\n"
        "  GlobalKnownHostsFile none\n"
        "  StrictHostKeyChecking yes\n"
        "  ConnectTimeout 10\n"
        # A machine that lost its power says nothing; without these a session would wait for it for ever.
        "  ServerAliveInterval 5\n"
        "  ServerAliveCountMax 3\n"
        "  LogLevel ERROR\n"
    )


def close_shared_connections(places: Places, address: str) -> None:
    """End the multiplexed connections that Ansible kept to a machine that goes ('' for every machine).

    The inventory names their sockets after the address, so that nobody else's connection is cut.
    """
    for socket in places.control_sockets.glob(f"{address}-*" if address else "*"):
        subprocess.run(
            ("ssh", "-O", "exit", "-o", f"ControlPath={socket}", "lab"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=10,
            check=False,
        )
        socket.unlink(missing_ok=True)
