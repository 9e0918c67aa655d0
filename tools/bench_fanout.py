"""`make bench-fanout`: how near the fan-out of content comes to the ideal, on real agents in network namespaces of this computer.

Each member has a namespace and a link of 200 Mbit/s in either direction (tc-tbf(8)) to one bridge. One member has 300 MB, five
lack them; the ideal is the time that one link takes for the content alone, 12.0 s (headers of Ethernet, IP and TCP make it 12.5).
Time is from the moment when the agents, which are started and listen, are told whom to ask, to the moment when the last one has
given the content its name. Needs root. Its namespaces carry its own process id; they and its processes are removed by name and
id, however it ends.

Six agents need half of two cores: on a computer that does other work (`pressed`), give them precedence with chrt -r 5. The bytes
of the source's link are the kernel's count, which has one header for several packets (segmentation offload).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.fanout import agent
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout import manifest as mf
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.order import Bounds, Order, RunFolder, replace
from ansible_collections.baremetal.vllm.plugins.module_utils.host.until import until
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout import certificate, schedule

PORT = 7000
PATIENCE = 180.0


@dataclass
class Lab:
    """Namespaces on a bridge, each with its own shaped link, and the agents in them."""

    rate: str
    name: str = f"fan{os.getpid()}"
    spaces: list[str] = field(default_factory=list)
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def build(self, count: int) -> None:
        """A bridge in a namespace of its own, and `count` members around it."""
        switch = self._space("sw")
        ip("-n", switch, "link", "add", "br0", "type", "bridge")
        ip("-n", switch, "link", "set", "br0", "up")
        for number in range(count):
            space = self._space(str(number))
            ip("link", "add", "eth0", "netns", space, "type", "veth", "peer", "name", f"p{number}", "netns", switch)
            ip("-n", switch, "link", "set", f"p{number}", "master", "br0", "up")
            ip("-n", space, "address", "add", f"{self.address(number)}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "link", "set", "eth0", "up")
            for where, device in ((space, "eth0"), (switch, f"p{number}")):
                shape = ("root", "tbf", "rate", self.rate, "burst", "128kb", "latency", "50ms")
                run("tc", "-n", where, "qdisc", "add", "dev", device, *shape)

    def address(self, number: int) -> str:
        """Of a member, in a network that documentation has to itself (RFC 5737)."""
        return f"192.0.2.{number + 1}"

    def sent(self, number: int) -> int:
        """Bytes that a member's link carried out, headers and all."""
        shown = run("ip", "-n", f"{self.name}-{number}", "-s", "-json", "link", "show", "eth0")
        return int(json.loads(shown)[0]["stats64"]["tx"]["bytes"])

    def start(self, number: int, folder: RunFolder) -> subprocess.Popen[bytes]:
        """An agent in a member's namespace."""
        words = ["ip", "netns", "exec", f"{self.name}-{number}", sys.executable, "-m", agent.__name__, str(folder.path)]
        with folder.log.open("ab") as log:
            started = subprocess.Popen(words, stdout=log, stderr=log)
        self.agents.append(started)
        return started

    def remove(self) -> None:
        """What was started and made, and nothing else."""
        for started in self.agents:
            if started.poll() is None:
                started.kill()
            started.wait()
        for space in self.spaces:
            subprocess.run(["ip", "netns", "delete", space], check=False)

    def _space(self, name: str) -> str:
        space = f"{self.name}-{name}"
        ip("netns", "add", space)
        self.spaces.append(space)
        return space


@dataclass(frozen=True)
class Host:
    """One member's place in the benchmark: number, run folder, where its content goes."""

    number: int
    folder: RunFolder
    target: Path

    @property
    def status(self) -> dict[str, object]:
        """What its agent told last."""
        try:
            found: dict[str, object] = json.loads(self.folder.status.read_text())
        except FileNotFoundError:
            return {}
        return found


def run(*words: str) -> str:
    """A command's output; ends the benchmark with its words where it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def ip(*words: str) -> None:
    """ip(8)."""
    run("ip", *words)


@dataclass(frozen=True)
class Result:
    """Seconds until the last survivor was whole; of the source, content and bytes on its link; whether every digest was right;
    for which share of the time something on this computer waited for a processor."""

    seconds: float
    source: int
    wire: int
    right: bool
    pressed: float


def measure(work: Path, size: int, receivers: int, rate: str, kill: int | None) -> Result:
    """One run; with `kill`, the receiver of that number is killed when it has half of the content."""
    for folder in work.iterdir():
        shutil.rmtree(folder)
    hosts = [
        Host(n, RunFolder(work / str(n) / "run"), work / str(n) / "disk" / "content") for n in range(receivers + 1)
    ]
    for host in hosts:
        host.folder.path.mkdir(parents=True)
        host.target.parent.mkdir()
    write(hosts[0].target, size)
    found = mf.describe(hosts[0].target)
    with laboratory(rate, receivers + 1) as lab:
        pem = certificate.make()
        members = [
            schedule.Member(str(n), lab.address(n), PORT, whole=n == 0, upstream=n == 0) for n in range(receivers + 1)
        ]
        processes = []
        for host, member in zip(hosts, members):
            bounds = Bounds(receivers=member.receivers)
            host.folder.write_order(Order(member.name, found.digest, str(host.target), "0.0.0.0", PORT, bounds))
            replace(host.folder.credential, pem)
            host.folder.heard()
            processes.append(lab.start(host.number, host.folder))
        await_("every agent listens", lambda: all(host.status.get("port") for host in hosts))
        lists = schedule.neighbours(schedule.chain(members))
        begun, wire, waited_before = time.monotonic(), lab.sent(0), pressure()
        for host in hosts[1:]:
            host.folder.write_neighbours(lists[str(host.number)])
        if kill is not None:
            await_("half of it is there", lambda: int(str(hosts[kill].status.get("received", 0))) * 2 >= size)
            os.kill(int(str(hosts[kill].status["pid"])), signal.SIGKILL)
        waited = [host for host in hosts[1:] if host.number != kill]
        if not until(lambda: all(over(host) for host in waited), bool, PATIENCE, 0.02):
            sys.exit("\n".join(["they never became whole:", *(json.dumps(host.status) for host in hosts)]))
        seconds = time.monotonic() - begun
        pressed = (pressure() - waited_before) / seconds
        wire = lab.sent(0) - wire
        for host in hosts:
            host.folder.end.touch()
        for process in processes:
            process.wait(60)
        for host in waited:
            if host.status["problem"]:
                sys.exit(f"member {host.number}: {host.status['problem']}\n{host.folder.log.read_text()}")
        right = all(mf.describe(host.target).digest == found.digest for host in waited)
        return Result(seconds, int(str(hosts[0].status["sent"])), wire, right, pressed)


def pressure() -> float:
    """Seconds since the boot in which something waited for a processor (Documentation/accounting/psi.rst of the kernel)."""
    words = Path("/proc/pressure/cpu").read_text().split()
    return int(words[words.index("some") + 4].partition("=")[2]) / 1e6


def over(host: Host) -> bool:
    """Whether a member has everything, or has given up."""
    return host.target.exists() or host.status.get("state") == "failed"


def await_(what: str, there: Callable[[], bool]) -> None:
    """Wait for it, or end the benchmark."""
    if not until(there, bool, PATIENCE, 0.02):
        sys.exit(f"it never came about that {what}")


def write(path: Path, size: int) -> None:
    """Content without a repetition that anything could profit from."""
    with path.open("wb") as stream:
        for block in range(0, size, 1 << 24):
            stream.write(hashlib.shake_128(b"%d" % block).digest(min(1 << 24, size - block)))


@contextlib.contextmanager
def laboratory(rate: str, count: int) -> Iterator[Lab]:
    """A lab that is gone afterwards."""
    lab = Lab(rate)
    try:
        lab.build(count)
        yield lab
    finally:
        lab.remove()


def main() -> None:
    """Both runs, and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--receivers", type=int, default=5)
    parser.add_argument("--mbit", type=int, default=200)
    asked = parser.parse_args()
    if os.geteuid():
        sys.exit("Network namespaces need root: run it with sudo.")
    size = asked.megabytes * 10**6
    ideal = size * 8 / (asked.mbit * 10**6)
    # Each host has a disk of its own; six on one would be what is measured. Memory stands in for them.
    place = "/dev/shm" if shutil.disk_usage("/dev/shm").free > (asked.receivers + 2) * size else None
    rows = []
    with tempfile.TemporaryDirectory(prefix="fanout-", dir=place) as work:
        for what, kill, goal in (("all receivers live", None, 1.15), ("one of them is killed midway", 2, 1.3)):
            result = measure(Path(work), size, asked.receivers, f"{asked.mbit}mbit", kill)
            rows.append((what, result, goal))
    print(f"{asked.megabytes} MB to {asked.receivers} receivers over links of {asked.mbit} Mbit/s; ideal {ideal:.1f} s")
    print(f"{'':<30} {'seconds':>8} {'ratio':>6} {'goal':>6} {'source':>7} {'its link':>9} {'pressed':>8}  digests")
    for what, result, goal in rows:
        print(
            f"{what:<30} {result.seconds:>8.2f} {result.seconds / ideal:>6.3f} {goal:>6.2f} {result.source / size:>6.3f}×"
            f" {result.wire / size:>8.3f}× {result.pressed:>8.0%}  {'all right' if result.right else 'WRONG'}"
        )


if __name__ == "__main__":
    main()
