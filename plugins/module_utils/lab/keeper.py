"""Brings the lab to what is wanted: the order of things, with the record of each kept so that it can be undone."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.lab import (
    base,
    machine,
    network,
    preflight,
    process,
    ssh,
    supervisor,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.lab.spec import Lab, LabError, Machine, Places
from ansible_collections.baremetal.vllm.plugins.module_utils.lab.state import State, load, save

# Seconds a machine has from the start of its first process to "running".
BOOT_TIME = 120
# Seconds between two lines about one long step.
EVERY = 5


class Keeper:
    """The lab on this computer.

    :param say: takes a line about what is going on
    :param check: report what would be done, do none of it
    """

    def __init__(self, places: Places, say: Callable[[str], None], check: bool = False) -> None:
        self.places = places
        self.check = check
        self.tell = say
        self.begun = time.monotonic()
        self.changes: list[str] = []
        self.state = State()

    # The three states

    def present(self, lab: Lab) -> list[str]:
        """Every machine of `lab` boots or runs; others that already run stay. What was done, in order."""
        with self.locked():
            others = tuple(old for old in self.state.machines if old.name not in {new.name for new in lab.machines})
            whole = replace(lab, machines=(*lab.machines, *others))
            self.refuse_clash(whole)
            down = [one for one in lab.machines if not self.runs(one)]
            rules = network.ruleset(whole)
            network_stands = self.network_stands(whole, rules)
            if not down and network_stands and self.state == self.state_for(whole):
                return []
            complaint = preflight.complaint(preflight.observe(network.BRIDGE, rules))
            if complaint:
                raise LabError(complaint)
            network.check_subnet(lab.subnet)
            roots = self.build_roots(down)
            if not network_stands:
                self.do(f"network {lab.subnet} on {network.BRIDGE}", lambda: self.set_network(whole, rules))
            if self.check:
                for one in down:
                    self.do(f"boot {one.name} ({one.address})", lambda: None)
                return self.changes
            self.record(self.state_for(whole))
            for one in down:
                self.boot(one, whole, roots[one.name])
            self.write_access(whole)
            self.wait_until_running(down)
            return self.changes

    def absent(self, names: Sequence[str] = ()) -> list[str]:
        """Without names: nothing of the lab is left but its caches. With names: these machines are gone."""
        with self.locked():
            for one in self.state.machines:
                if not names or one.name in names:
                    self.do(f"remove {one.name}", lambda one=one: self.remove(one.name))  # type: ignore[misc]
            if not names:
                self.remove_network()
                if self.places.state.exists():
                    self.do("remove the lab's state directory", lambda: remove_tree(self.places.state))
            return self.changes

    def killed(self, names: Sequence[str]) -> list[str]:
        """The power of these machines is cut; their disks stay, and `present` boots them again."""
        with self.locked():
            unknown = sorted(set(names) - {one.name for one in self.state.machines})
            if unknown or not names:
                raise LabError(f"lab_names: no machine of the lab is called {', '.join(unknown) or '(nothing)'}")
            for name in names:
                if self.supervised(name) is not None:
                    self.do(f"cut the power of {name}", lambda name=name: self.power_off(name))  # type: ignore[misc]
            return self.changes

    # What is there

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One run at a time; a second one waits for the first."""
        self.places.cache.mkdir(parents=True, exist_ok=True)
        with open(self.places.cache / "lock", "w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say("waiting for another run that works on the lab")
                fcntl.flock(lock, fcntl.LOCK_EX)
            self.state = load(self.state_file)
            yield

    @property
    def state_file(self) -> Path:
        return self.places.state / "state.json"

    def refuse_clash(self, whole: Lab) -> None:
        if self.state.machines and self.state.subnet != str(whole.subnet):
            raise LabError(
                f"the lab runs on {self.state.subnet}, not on {whole.subnet}: remove it first (-e lab_state=absent)"
            )

    def state_for(self, whole: Lab) -> State:
        wanted = replace(self.state, subnet=str(whole.subnet))
        for one in whole.machines:
            wanted = wanted.having(one)
        return wanted

    def runs(self, wanted: Machine) -> bool:
        """The machine is the wanted one, its processes live, and its sshd speaks."""
        recorded = self.state.machine(wanted.name)
        if recorded is None or recorded.identity() != wanted.identity() or self.supervised(wanted.name) is None:
            return False
        return ssh_answers(wanted.address)

    def supervised(self, name: str) -> process.Process | None:
        """The living supervisor of a machine."""
        found = process.from_json(self.status(name).get("supervisor"))
        return found if found is not None and found.alive() else None

    def status(self, name: str) -> dict[str, object]:
        try:
            return json.loads((self.places.machine(name) / "status.json").read_text())
        except (OSError, ValueError):
            return {}

    def network_stands(self, whole: Lab, rules: str) -> bool:
        saved = self.places.state / "rules.nft"
        return (
            network.bridge_up(whole)
            and network.forwarding() == "1"
            and saved.exists()
            and saved.read_text() == rules
            and network.table_exists()
            and not network.closed_chains(network.ruleset_json())
        )

    # Steps of present

    def build_roots(self, down: Sequence[Machine]) -> dict[str, Path]:
        """The shared root of each machine, made where the cache does not have it."""
        here = base.surroundings()
        found = {}
        for one in down:
            root = here.root(one.suite, one.packages)
            found[one.name] = target = self.places.roots / root.directory
            what = f"building Debian {one.suite} root{f' with {len(one.packages)} packages' if one.packages else ''}"
            if target.exists() or what in self.changes:
                continue
            self.do(what, lambda root=root, target=target, what=what: self.build_root(root, target, what))  # type: ignore[misc]
        return found

    def build_root(self, root: base.Root, target: Path, what: str) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        remove_tree(partial)
        with tempfile.TemporaryDirectory(prefix="bmvllm-") as workshop:
            base.prepare(root, Path(workshop))
            self.long_command(base.mmdebstrap_command(root, Path(workshop), partial), what)
        partial.replace(target)

    def set_network(self, whole: Lab, rules: str) -> None:
        state = replace(self.state, subnet=str(whole.subnet))
        self.record(state.remembering_forwarding(network.forwarding(), process.boot_id()))
        if not network.bridge_up(whole):
            network.make_bridge(whole)
        network.load_rules(rules)
        network.open_chains()
        network.set_forwarding("1")
        (self.places.state / "rules.nft").write_text(rules)

    def boot(self, one: Machine, whole: Lab, root: Path) -> None:
        """Start the machine; `wait_until_running` sees it through."""
        directory = self.places.machine(one.name)
        made = directory / "made.json"
        self.power_off(one.name)
        if made.exists() and json.loads(made.read_text())["identity"] != one.identity():
            self.remove_disk(one.name)
        for part in ("upper", "work", "root"):
            (directory / part).mkdir(parents=True, exist_ok=True)
        if not made.exists():
            made.write_text(json.dumps({"identity": one.identity(), "root": str(root)}))
        lower = Path(json.loads(made.read_text())["root"])
        if not lower.exists():
            raise LabError(
                f"{lower}, which {one.name} was made on, is gone: -e lab_state=absent -e lab_names={one.name} removes it"
            )
        self.mount(lower, directory)
        self.personalize(one, whole, directory / "root")
        pool = self.places.debs(one.suite)
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
        self.changes.append(f"boot {one.name} ({one.address})")
        self.say(f"booting {one.name} ({one.address}, Debian {one.suite})")

    def mount(self, lower: Path, directory: Path) -> None:
        """A layer over the shared root, or a copy of it where this file system cannot carry layers."""
        root = directory / "root"
        if str(root) in mount_points() or (root / "etc").exists():
            return
        done = network.run(machine.overlay_command(lower, directory))
        if done.returncode:
            self.say(f"copying {lower.name}: layers are not possible under {directory}")
            network.command("cp", "--archive", "--reflink=auto", f"{lower}/.", str(root))

    def personalize(self, one: Machine, whole: Lab, root: Path) -> None:
        ssh.make_key(self.places.ssh / "id_ed25519", "baremetal.vllm lab")
        host_key = self.places.machine(one.name) / "host_key"
        ssh.make_key(host_key, one.name)
        resolvers = [Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")]
        files = machine.own_files(
            one,
            whole,
            machine.resolv_conf_of([path.read_text() for path in resolvers if path.exists()]),
            (self.places.ssh / "id_ed25519.pub").read_text(),
            host_key.read_text(),
        )
        for name, (text, mode) in files.items():
            file = root / name
            if file.exists() and not file.is_symlink() and file.read_text() == text:
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.touch(mode=mode)
            file.write_text(text)
            file.chmod(mode)

    def write_access(self, whole: Lab) -> None:
        """The files that let ssh in."""
        keys = {one.name: (self.places.machine(one.name) / "host_key.pub").read_text() for one in whole.machines}
        (self.places.ssh / "known_hosts").write_text(ssh.known_hosts(whole.machines, keys))
        (self.places.ssh / "config").write_text(ssh.configuration(whole.machines, self.places))
        self.places.control_sockets.mkdir(exist_ok=True, mode=0o700)
        ssh.close_shared_connections(self.places)

    def wait_until_running(self, down: Sequence[Machine]) -> None:
        """:raises LabError: with the end of the console for a machine that does not come up"""
        begun, told, waiting = time.monotonic(), time.monotonic(), list(down)
        while waiting:
            one = waiting[0]
            elapsed = time.monotonic() - begun
            if ssh_answers(one.address):
                self.check_running(waiting.pop(0), BOOT_TIME - elapsed)
                self.say(f"{one.name} is running", elapsed=time.monotonic() - begun)
                continue
            ended = self.status(one.name).get("ended")
            if ended or elapsed > BOOT_TIME:
                why = f"ended while booting: {ended}" if ended else f"did not answer within {BOOT_TIME} s"
                raise LabError(f"{one.name} {why}; the end of its console:\n{self.console_end(one.name)}")
            if time.monotonic() - told > EVERY:
                told = time.monotonic()
                self.say(f"waiting for {', '.join(each.name for each in waiting)}", elapsed=elapsed)
            time.sleep(0.1)

    def check_running(self, one: Machine, seconds: float) -> None:
        question = "systemctl is-system-running --wait; systemctl --failed --plain --no-legend"
        command = ["ssh", "-F", str(self.places.ssh / "config"), one.name, question]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=max(seconds, 10), check=False)
        except subprocess.TimeoutExpired:
            end = self.console_end(one.name)
            raise LabError(f"{one.name} has not finished booting; the end of its console:\n{end}") from None
        words = done.stdout.split()
        if words[:1] != ["running"]:
            raise LabError(f"{one.name} is {(done.stdout + done.stderr).strip()!r} after booting; expected 'running'")

    def console_end(self, name: str) -> str:
        try:
            lines = (self.places.machine(name) / "console.log").read_text(errors="replace").splitlines()
        except OSError:
            return "(no console)"
        return "\n".join(lines[-15:])

    # Steps of absent

    def power_off(self, name: str) -> None:
        """End the machine's processes: by the supervisor, or by themselves where it has died."""
        keeper = self.supervised(name)
        if keeper is not None:
            keeper.kill(supervisor.signal.SIGTERM)
            if not keeper.wait(20):
                keeper.kill()
        nspawn = process.from_json(self.status(name).get("nspawn"))
        if nspawn is not None and nspawn.alive():
            for child in process.children(nspawn.pid):
                leader = process.identify(child)
                if leader is not None:
                    leader.kill()
            if not nspawn.wait(10):
                nspawn.kill()
                nspawn.wait(5)
        supervisor.remove_cgroups(supervisor.cgroups_of(name))

    def remove(self, name: str) -> None:
        self.power_off(name)
        self.remove_disk(name)
        self.record(self.state.without(name))

    def remove_disk(self, name: str) -> None:
        directory = self.places.machine(name)
        root = directory / "root"
        if str(root) in mount_points():
            network.command("umount", str(root))
        remove_tree(directory)

    def remove_network(self) -> None:
        before = self.state.forwarding_to_restore(process.boot_id())
        if shutil.which("nft"):
            if network.openings(network.ruleset_json()):
                self.do("remove the lab's rules from other firewalls", network.close_chains)
            if network.table_exists():
                self.do(f"remove nft table {network.TABLE}", network.remove_table)
        if network.bridge_exists():
            self.do(f"remove {network.BRIDGE}", network.remove_bridge)
        if before is not None and network.forwarding() != before:
            self.do(f"set ip_forward back to {before}", lambda: network.set_forwarding(before))
        if self.places.control_sockets.exists() and not self.check:
            ssh.close_shared_connections(self.places)

    # Small things

    def do(self, what: str, action: Callable[[], None]) -> None:
        self.changes.append(what)
        if self.check:
            self.say(f"to do: {what}")
        else:
            self.say(what)
            action()

    def record(self, state: State) -> None:
        self.state = state
        save(self.state_file, state)

    def say(self, line: str, elapsed: float | None = None) -> None:
        self.tell(f"{line}  {elapsed:.0f} s" if elapsed is not None else line)

    def long_command(self, command: Sequence[str], what: str) -> None:
        """Run a command that takes long and say so as it goes.

        :raises LabError: with its last lines
        """
        begun = time.monotonic()
        with tempfile.TemporaryFile("w+", errors="replace") as log:
            running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            while True:
                try:
                    code = running.wait(EVERY)
                    break
                except subprocess.TimeoutExpired:
                    self.say(what, elapsed=time.monotonic() - begun)
            log.seek(0)
            if code:
                raise LabError(f"{what} failed with status {code}:\n" + "\n".join(log.read().splitlines()[-15:]))
        self.say(f"{what}: done", elapsed=time.monotonic() - begun)


def ssh_answers(address: str) -> bool:
    """Whether something at port 22 introduces itself as SSH (RFC 4253, section 4.2)."""
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def mount_points() -> set[str]:
    """Mount points of this mount namespace (proc(5), mountinfo)."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line.split()[4].replace("\\040", " ") for line in lines}


def remove_tree(path: Path) -> None:
    """Remove a directory and what is in it.

    :raises LabError: when something is mounted below it: that is not the lab's to remove
    """
    mounted = sorted(point for point in mount_points() if point == str(path) or point.startswith(f"{path}/"))
    if mounted:
        raise LabError(f"{path} stays: {', '.join(mounted)} is still mounted (end what uses it, umount, run again)")
    if path.exists():
        shutil.rmtree(path)
