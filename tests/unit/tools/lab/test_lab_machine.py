"""A machine's own files, its boot command and how ssh reaches it."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.tools.lab import machine, ssh, supervisor
from ansible_collections.baremetal.vllm.tools.lab.spec import Lab, Machine, Places

A = Machine("a", "10.1.2.11")
B = Machine("b", "10.1.2.12", suite="trixie")
LAB = Lab(ipaddress.IPv4Network("10.1.2.0/24"), (A, B))
PLACES = Places(Path("/state"), Path("/cache"))


def test_boot_command() -> None:
    command = machine.boot_command(A, Path("/state/machines/a/root"), Path("/cache/debs/bookworm"))
    assert command[0] == "systemd-nspawn"
    # What the lab's promises hang on: booted, unknown to machined, its own network, rules for devices enforced.
    assert {
        "--boot",
        "--register=no",
        "--keep-unit",
        "--settings=no",
        "--directory=/state/machines/a/root",
        "--machine=bmvllm-a",
        "--hostname=a",
        "--network-bridge=bmvllm0",
        "--system-call-filter=bpf",
        "--capability=CAP_BPF",
        "--bind=/cache/debs/bookworm:/var/cache/lab-debs",
    } <= set(command)


def test_a_machine_gets_the_loop_devices_that_there_are(tmp_path: Path) -> None:
    assert machine.loop_devices(tmp_path) == []
    for name in ("loop0", "loop1", "loop-control", "lp0", "loopback"):
        (tmp_path / name).touch()
    assert [device.name for device in machine.loop_devices(tmp_path)] == ["loop-control", "loop0", "loop1"]


def test_overlay_command_puts_the_own_layer_above_the_shared_root() -> None:
    words = machine.overlay_command(Path("/cache/roots/x"), Path("/state/machines/a"))
    layers = "lowerdir=/cache/roots/x,upperdir=/state/machines/a/upper,workdir=/state/machines/a/work"
    assert words == ["mount", "-t", "overlay", "-o", layers, "overlay", "/state/machines/a/root"]


def test_own_files() -> None:
    files = machine.own_files(A, LAB, "nameserver 9.9.9.9\n", "ssh-ed25519 KEY\n", "PRIVATE")
    assert files["etc/hostname"] == ("a\n", 0o644)
    assert "10.1.2.12 b" in files["etc/hosts"][0]
    assert "Address=10.1.2.11/24\nGateway=10.1.2.1\n" in files["etc/systemd/network/10-lab.network"][0]
    assert files["etc/ssh/ssh_host_ed25519_key"] == ("PRIVATE", 0o600)
    assert not any(name.startswith("/") for name in files)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["search x\nnameserver 9.9.9.9\n"], "nameserver 9.9.9.9\nsearch x\n"),
        (["nameserver 127.0.0.53\n", "nameserver 10.0.0.2\noptions edns0\n"], "nameserver 10.0.0.2\noptions edns0\n"),
        (["nameserver 127.0.0.1\nnameserver 9.9.9.9\n# x\n"], "nameserver 9.9.9.9\n"),
        (["nameserver ::1\n"], ""),
        ([], ""),
    ],
)
def test_a_resolver_on_loopback_means_nothing_inside_a_machine(texts: list[str], expected: str) -> None:
    assert machine.resolv_conf_of(texts) == expected


def test_known_hosts_and_configuration() -> None:
    keys = {"a": "ssh-ed25519 AAAA a\n", "b": "ssh-ed25519 BBBB b\n"}
    assert ssh.known_hosts(LAB.machines, keys) == "10.1.2.11,a ssh-ed25519 AAAA\n10.1.2.12,b ssh-ed25519 BBBB\n"
    configuration = ssh.configuration(LAB.machines, PLACES)
    assert "Host b\n  HostName 10.1.2.12\n" in configuration
    assert "StrictHostKeyChecking yes" in configuration


MOUNTINFO = """\
24 1 253:0 / / rw,relatime - ext4 /dev/vda rw
30 24 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 30 0:29 / /sys/fs/cgroup/systemd rw shared:1 - cgroup cgroup rw,name=systemd
33 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


def test_control_groups_are_made_where_systemd_looks() -> None:
    assert supervisor.cgroup_mounts(MOUNTINFO) == [Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified")]


def test_a_machine_with_an_ipv6_address_has_no_other_and_another_port_is_known_everywhere() -> None:
    six = Machine("six", "fd6c:6162:a01:200::14", internet=False, port=2222)
    lab = Lab(LAB.subnet, (A, six))
    files = machine.own_files(six, lab, "", "ssh-ed25519 KEY\n", "PRIVATE")
    text = files["etc/systemd/network/10-lab.network"][0]
    assert "Address=fd6c:6162:a01:200::14/64\n" in text
    assert "Gateway" not in text
    assert files["etc/ssh/sshd_config.d/10-lab.conf"][0] == "Port 2222\n"
    assert "fd6c:6162:a01:200::14 six" in machine.own_files(A, lab, "", "", "")["etc/hosts"][0]
    assert ssh.known_hosts([six], {"six": "ssh-ed25519 AAAA x\n"}) == (
        "[fd6c:6162:a01:200::14]:2222,[six]:2222 ssh-ed25519 AAAA\n"
    )
    assert "Host six\n  HostName fd6c:6162:a01:200::14\n  Port 2222\n" in ssh.configuration([six, A], PLACES)
    assert "Port" not in ssh.configuration([A], PLACES)
