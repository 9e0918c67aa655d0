"""Brings the lab to what is wanted: the order of things, with a record of each kept so that it can be undone."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import ipaddress
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ansible_collections.baremetal.vllm.tools.lab import base, network, power, preflight, process, ssh, sysctl
from ansible_collections.baremetal.vllm.tools.lab.computer import Say, long_command, remove_tree
from ansible_collections.baremetal.vllm.tools.lab.spec import Lab, LabError, Machine, Places
from ansible_collections.baremetal.vllm.tools.lab.state import State, load, save


class Keeper:
    """The lab on this computer.

    :param say: takes a line about what is going on
    :param check: report what would be done, do none of it
    """

    def __init__(self, places: Places, say: Say, check: bool = False) -> None:
        self.places = places
        self.say = say
        self.check = check
        self.changes: list[str] = []
        self.state = State()

    # The three states

    def present(self, lab: Lab) -> list[str]:
        """Every machine of `lab` boots or runs; others that already run stay. What was done, in order."""
        self.refuse_if(preflight.glance())
        with self.locked():
            if self.state.machines and self.state.subnet != str(lab.subnet):
                raise LabError(
                    f"the lab runs on {self.state.subnet}, not on {lab.subnet}: remove it first (-e lab_state=absent)"
                )
            names = {one.name for one in lab.machines}
            whole = replace(
                lab, machines=(*lab.machines, *(old for old in self.state.machines if old.name not in names))
            )
            down = [one for one in lab.machines if not self.runs(one)]
            rules = network.ruleset(whole)
            network_stands = self.network_stands(whole, rules)
            if not down and network_stands and self.state == self.state_for(whole):
                return []
            self.refuse_if(preflight.observe(network.BRIDGE, rules))
            network.check_subnet(lab.subnet)
            roots = self.build_roots(down)
            if not network_stands:
                self.do(f"network {lab.subnet} on {network.BRIDGE}", lambda: self.set_network(whole, rules))
            if not self.check:
                self.record(self.state_for(whole))
            for one in down:
                self.do(f"boot {one.name} ({one.address}, Debian {one.suite})", self.booting(one, whole, roots))
            if not self.check:
                self.write_access(whole)
                power.wait_until_running(self.places, down, self.say)
            return self.changes

    def absent(self, names: Sequence[str] = ()) -> list[str]:
        """Without names: nothing of the lab is left but its caches. With names: these machines are gone."""
        with self.locked():
            for one in self.state.machines:
                if not names or one.name in names:
                    self.do(f"remove {one.name}", self.removing(one))
            if not names:
                self.remove_network()
                if self.places.state.exists():
                    self.do("remove the lab's state directory", self.remove_state)
            elif self.changes and self.state.machines and not self.check:
                left = Lab(ipaddress.IPv4Network(self.state.subnet), self.state.machines)
                self.set_network(left, network.ruleset(left))
                self.write_access(left)
            return self.changes

    def killed(self, names: Sequence[str]) -> list[str]:
        """The power of these machines is cut; their disks stay, and `present` boots them again."""
        with self.locked():
            unknown = sorted(set(names) - {one.name for one in self.state.machines})
            if unknown or not names:
                raise LabError(f"lab_names: no machine of the lab is called {', '.join(unknown) or '(nothing)'}")
            for one in self.state.machines:
                if one.name in names and power.supervised(self.places, one.name) is not None:
                    self.do(f"cut the power of {one.name}", self.switching_off(one))
            return self.changes

    # What is there

    def refuse_if(self, computer: preflight.Computer) -> None:
        complaint = preflight.complaint(computer)
        if complaint:
            raise LabError(complaint)

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

    def state_for(self, whole: Lab) -> State:
        wanted = replace(self.state, subnet=str(whole.subnet))
        for one in whole.machines:
            wanted = wanted.having(one)
        return wanted

    def runs(self, wanted: Machine) -> bool:
        """The machine is there as wanted and answers."""
        recorded = self.state.machine(wanted.name)
        return recorded is not None and recorded.identity() == wanted.identity() and power.answers(self.places, wanted)

    def network_stands(self, whole: Lab, rules: str) -> bool:
        saved = self.places.state / "rules.nft"
        return (
            network.bridge_up(whole)
            and sysctl.suffices(sysctl.read())
            and saved.exists()
            and saved.read_text() == rules
            and network.tables() == ["ip", *(["ip6"] if whole.ipv6 else [])]
            and not network.closed_chains(network.ruleset_json())
        )

    # Steps

    def build_roots(self, down: Sequence[Machine]) -> dict[str, Path]:
        """Machine name -> the shared root it lies on or shall lie on, made where the cache does not have it."""
        here = base.surroundings()
        found: dict[str, Path] = {}
        for one in down:
            own = power.root_of(self.places, one)
            root = here.root(one.suite, one.packages)
            target = own or self.places.roots / root.directory
            if own is None and not target.exists() and target not in found.values():
                extra = f" with {', '.join(one.packages)}" if one.packages else ""
                self.do(
                    f"building Debian {one.suite} root{extra}", self.building(root, target, f"Debian {one.suite} root")
                )
            found[one.name] = target
        return found

    def building(self, root: base.Root, target: Path, what: str) -> Callable[[], None]:
        def build() -> None:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f"{target.name}.partial")
            remove_tree(partial)
            with tempfile.TemporaryDirectory(prefix="bmvllm-") as workshop:
                base.prepare(root, Path(workshop))
                long_command(base.mmdebstrap_command(root, Path(workshop), partial), f"building {what}", self.say)
            partial.replace(target)

        return build

    def booting(self, one: Machine, whole: Lab, roots: dict[str, Path]) -> Callable[[], None]:
        return lambda: power.boot(self.places, one, whole, roots[one.name], self.say)

    def switching_off(self, one: Machine) -> Callable[[], None]:
        return lambda: power.off(self.places, one)

    def removing(self, one: Machine) -> Callable[[], None]:
        def remove() -> None:
            power.off(self.places, one)
            power.remove_disk(self.places, one.name)
            self.record(self.state.without(one.name))

        return remove

    def set_network(self, whole: Lab, rules: str) -> None:
        state = replace(self.state, subnet=str(whole.subnet))
        self.record(state.remembering(sysctl.read(), process.boot_id()))
        if not network.bridge_up(whole):
            network.make_bridge(whole)
        network.load_rules(rules)
        network.open_chains()
        sysctl.raise_all()
        (self.places.state / "rules.nft").write_text(rules)

    def write_access(self, whole: Lab) -> None:
        """The files that let ssh in."""
        keys = {one.name: (self.places.machine(one.name) / "host_key.pub").read_text() for one in whole.machines}
        (self.places.ssh / "known_hosts").write_text(ssh.known_hosts(whole.machines, keys))
        (self.places.ssh / "config").write_text(ssh.configuration(whole.machines, self.places))
        self.places.control_sockets.mkdir(exist_ok=True, mode=0o700)

    def remove_network(self) -> None:
        if shutil.which("nft"):
            if network.openings(network.ruleset_json()):
                self.do("remove the lab's rules from other firewalls", network.close_chains)
            if network.tables():
                self.do(f"remove nft table {network.TABLE}", network.remove_tables)
        if shutil.which("ip") and network.bridge_exists():
            self.do(f"remove {network.BRIDGE}", network.remove_bridge)
        now = sysctl.read()
        for name, before in self.state.settings_to_restore(process.boot_id()).items():
            if now.get(name) != before:
                self.do(f"set {sysctl.dotted(name)} back to {before}", functools.partial(sysctl.write, name, before))

    def remove_state(self) -> None:
        ssh.close_shared_connections(self.places, "")
        remove_tree(self.places.state)
        with contextlib.suppress(OSError):
            self.places.state.parent.rmdir()

    # Small things

    def do(self, what: str, action: Callable[[], None]) -> None:
        self.changes.append(what)
        self.say(f"to do: {what}" if self.check else what)
        if not self.check:
            action()

    def record(self, state: State) -> None:
        self.state = state
        save(self.state_file, state)
