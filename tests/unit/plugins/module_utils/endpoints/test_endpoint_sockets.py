"""What listens beyond its port is found in the kernel's own tables, with its process and its address."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints import sockets
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.client import Client
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Prove, Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.sockets import Socket, judge
from hypothesis import given
from hypothesis import strategies as st

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(address: str, port: int, state: str, inode: int) -> str:
    packed = ipaddress.ip_address(address).packed
    words = [int.from_bytes(packed[i : i + 4], sys.byteorder) for i in range(0, len(packed), 4)]
    text = "".join(f"{word:08X}" for word in words)
    return f"   0: {text}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1\n"


class Proc:
    """A /proc of processes in units, with the sockets that they hold."""

    def __init__(self, root: Path) -> None:
        self.root, self.inode = root, 100

    def process(self, pid: int, group: str, comm: str, *held: tuple[str, str, int, str]) -> None:
        """`held`: protocol, address, port and state of each socket."""
        folder = self.root / str(pid)
        for name in ("fd", "net", "ns"):
            (folder / name).mkdir(parents=True)
        (folder / "cgroup").write_text(group)
        (folder / "comm").write_text(f"{comm}\n")
        os.symlink(f"net:[{pid}]", folder / "ns" / "net")
        os.symlink("/dev/null", folder / "fd" / "0")
        tables = dict.fromkeys(("tcp", "tcp6", "udp", "udp6"), HEADER)
        for descriptor, (protocol, address, port, state) in enumerate(held, 3):
            self.inode += 1
            tables[protocol] += line(address, port, state, self.inode)
            os.symlink(f"socket:[{self.inode}]", folder / "fd" / str(descriptor))
        for protocol, text in tables.items():
            (folder / "net" / protocol).write_text(text)


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proc:
    monkeypatch.setattr(sockets, "PROCESSES", str(tmp_path))
    return Proc(tmp_path)


def test_a_units_processes_are_those_of_its_control_group_in_either_hierarchy(proc: Proc) -> None:
    proc.process(1, "0::/init.scope\n", "systemd")
    proc.process(20, "0::/system.slice/vllm-m.service\n", "vllm")
    proc.process(21, "4:memory:/\n1:name=systemd:/lab/payload/system.slice/vllm-m.service\n0::/\n", "VLLM::Worker")
    proc.process(22, "0::/system.slice/vllm-m.service/inner\n", "child")
    proc.process(23, "0::/system.slice/vllm-m.service2\n", "other")
    proc.process(24, "0::/system.slice/xvllm-m.service\n", "other")
    (proc.root / "uptime").write_text("1 1")
    assert sockets.processes_of("vllm-m.service", str(proc.root)) == [20, 21, 22]


def test_what_waits_for_others_is_found_with_process_and_address(proc: Proc) -> None:
    proc.process(
        20,
        "0::/vllm-m.service",
        "VLLM::Worker",
        ("tcp", "10.0.0.5", 40001, "0A"),
        ("tcp6", "::", 8001, "0A"),
        ("tcp", "127.0.0.1", 29500, "0A"),
        ("tcp", "10.0.0.5", 8001, "01"),
        ("udp", "0.0.0.0", 5000, "07"),
        ("udp", "10.0.0.5", 5001, "01"),
    )
    found = sockets.listening([20, 99], str(proc.root))
    assert [(s.protocol, s.address, s.port, s.loopback) for s in found] == [
        ("udp", "0.0.0.0", 5000, False),
        ("tcp", "::", 8001, False),
        ("tcp", "127.0.0.1", 29500, True),
        ("tcp", "10.0.0.5", 40001, False),
    ]
    assert str(found[-1]) == "VLLM::Worker (pid 20) on tcp 10.0.0.5:40001"


@LINUX
def test_the_kernels_own_table_is_read(tmp_path: Path) -> None:
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.2", 0))
        listener.listen()
        client.connect(listener.getsockname())
        port = listener.getsockname()[1]
        found = [s for s in sockets.listening([os.getpid()]) if s.port == port]
    assert [(s.address, s.pid, s.uid, s.loopback) for s in found] == [("127.0.0.2", os.getpid(), os.getuid(), True)]


@given(st.ip_addresses())
def test_every_address_of_the_table_is_read(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert sockets.address_of(line(str(address), 1, "0A", 1).split()[1].partition(":")[0]) == str(address)


def listener(address: str, port: int, protocol: str = "tcp", uid: int = 990) -> Socket:
    return Socket(protocol, address, port, 20, "VLLM::Worker", uid)


@pytest.mark.parametrize(
    ("listening", "closed_uid", "passed", "told"),
    [
        ([listener("0.0.0.0", 8001)], None, True, "port 8001"),
        ([listener("0.0.0.0", 8001), listener("127.0.0.1", 40001), listener("::1", 40002)], None, True, "port 8001"),
        ([listener("::ffff:127.0.0.1", 40001), listener("127.8.0.1", 40002)], None, True, "port 8001"),
        ([listener("10.0.0.5", 40001)], None, False, "VLLM::Worker (pid 20) on tcp 10.0.0.5:40001"),
        ([listener("::", 40001)], None, False, "VLLM::Worker (pid 20) on tcp [::]:40001"),
        ([listener("10.0.0.5", port) for port in range(40001, 40014)], None, False, "10.0.0.5:40003 and 10 more"),
        ([listener("10.0.0.5", port) for port in range(40001, 40014)], 990, True, "13 others beyond loopback, closed"),
        ([listener("10.0.0.5", 40001)], 991, False, "tcp 10.0.0.5:40001"),
        ([listener("10.0.0.5", 40001, "udp")], 990, False, "udp 10.0.0.5:40001"),
    ],
)
def test_only_the_planned_port_may_be_reached(
    listening: list[Socket], closed_uid: int | None, passed: bool, told: str
) -> None:
    check = judge(8001, listening, closed_uid)
    assert (check.passed, told in check.observed) == (passed, True), check
    assert "GLOO_SOCKET_IFNAME" in check.expected


def proved(service: Service) -> tuple[bool, str, str]:
    check = next(iter(sockets.only_its_port.run(Client("127.0.0.1", 1, None, 1), service)))
    return check.passed, check.skipped, check.observed


def test_the_check_looks_or_says_why_not(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "closed", lambda: False)
    proc.process(20, "0::/vllm-m.service", "vllm", ("tcp", "0.0.0.0", 8001, "0A"))
    alone = Service("m", "chat", 8001, unit="vllm-m.service", prove=Prove(outside=""))
    assert proved(alone) == (True, "", "port 8001")
    proc.process(21, "0::/vllm-m.service", "VLLM::Worker", ("tcp", "10.0.0.5", 40001, "0A"))
    assert proved(alone) == (False, "", "VLLM::Worker (pid 21) on tcp 10.0.0.5:40001")
    for service, why in (
        (Service("m", "chat", 8001, unit="vllm-m.service"), "no plan says what it needs"),
        (Service("m", "chat", 8001, unit="vllm-m.service", prove=Prove(outside="nnodes")), "nnodes makes the engine"),
        (Service("m", "chat", 8001, prove=Prove(outside="")), "no unit is named"),
        (Service("m", "chat", 8002, unit="vllm-m.service", prove=Prove(outside="")), "port 8002 is not a process's of"),
    ):
        passed, skipped, __ = proved(service)
        assert (passed, skipped.startswith(why)) == (False, True), skipped


@LINUX
@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed, and only root can be one")
def test_who_may_not_look_at_descriptors_says_so() -> None:
    parent, child = os.getpid(), os.fork()
    if not child:
        status = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            sockets.listening([parent])
        except PermissionError:
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
