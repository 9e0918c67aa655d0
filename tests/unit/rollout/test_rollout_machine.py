"""Rollouts on simulated fleets while things break: what must hold at every step, and what a repaired fleet comes to.

`ROLLOUT_HISTORIES=5000 pytest tests/unit/rollout/test_rollout_machine.py` looks at more histories.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.rollout.schedule import Asked
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from simulated_fleet import BAD, Fleet, Gateway, Host
from simulated_rollout import Rollout

SERIALS = st.sampled_from([1, 2, 3, "50%", "100%", [1, 2], [1, "50%"], [2, "100%"]])
KINDS = st.sampled_from(["good", "good", "good", *BAD, "hang"])
STEPS = st.sampled_from([1, 2, 3, 5, 8, 13, 21, 200])
NODES = st.sampled_from(["a", "b"])


class Rollouts(RuleBasedStateMachine):
    """Operators, faults and rollouts in any order."""

    fleet: Fleet
    models: dict[str, list[str]]

    @initialize(data=st.data())
    def build(self, data: Any) -> None:
        """2 to 6 hosts, 1 to 4 models on some of them each, at version 1, all proven."""
        names = [f"h{i}" for i in range(data.draw(st.integers(2, 6), label="hosts"))]
        some = st.lists(st.sampled_from(names), min_size=1, max_size=len(names), unique=True)
        self.models = {
            f"m{i}": sorted(data.draw(some, label=f"m{i}")) for i in range(data.draw(st.integers(1, 4), label="models"))
        }
        hosts = {}
        for name in names:
            units = {model: 1 for model, at in self.models.items() if name in at}
            hosts[name] = Host(name, dict(units), set(units), dict.fromkeys(units, 0))
            hosts[name].mark(hosts[name].write_generation(units, "first"), "proven")
        doors = {
            f"gw{i}": Gateway(self.replicas()) for i in range(data.draw(st.sampled_from([1, 1, 2, 0]), label="gw"))
        }
        self.fleet = Fleet(hosts, doors)
        self.running: dict[str, tuple[Rollout, Iterator[str]]] = {}
        self.begun = 0
        self.faults = 0
        self.looked: dict[str, int] = {}
        self.last: tuple[dict[str, dict[str, int]], Asked] | None = None
        self.doing: dict[str, str] = {}

    def replicas(self) -> set[tuple[str, str]]:
        return {(model, host) for model, hosts in self.models.items() for host in hosts}

    def plan(self, version: int, changed: set[str], moved: Mapping[str, list[str]] = {}) -> dict[str, dict[str, int]]:
        """All hosts, with the changed models at a version and the others at the first, and `moved` ones elsewhere."""
        return {
            host: {m: version if m in changed else 1 for m, at in {**self.models, **moved}.items() if host in at}
            for host in self.fleet.hosts
        }

    # --- rollouts -------------------------------------------------------------------------------------------------

    @rule(node=NODES, serial=SERIALS, allow_gap=st.booleans(), kind=KINDS, count=STEPS, data=st.data())
    def begin(self, node: str, serial: Any, allow_gap: bool, kind: str, count: int, data: Any) -> None:
        if node in self.running:
            return self.go_on(node, count)
        names = list(self.fleet.hosts)
        self.begun += 1
        version = data.draw(st.sampled_from([1, 2, self.begun + 2]), label="version")
        if version > 1:
            self.fleet.kinds.setdefault(version, kind)
        changed = set(
            data.draw(st.lists(st.sampled_from(sorted(self.models)), min_size=1, unique=True), label="models")
        )
        canary = data.draw(st.sampled_from(["", *names]), label="canary")
        limit = tuple(data.draw(st.sampled_from([[], [], [], names[:-1], names[1:]]), label="limit"))
        lost = self.fleet.lock["id"] if self.fleet.lock and not self.fleet.lock["alive"]() else ""
        some = st.lists(st.sampled_from(names), min_size=1, unique=True)
        moved = {"m0": data.draw(some, label="moved")} if data.draw(st.integers(0, 3), label="moves") == 3 else {}
        asked = (self.plan(version, changed, moved), Asked(canary, serial, allow_gap))
        # Whoever finds a rollout dead begins it again.
        self.last = self.last if self.last and data.draw(st.booleans(), label="the same again") else asked
        run = Rollout(self.fleet, *self.last, node, self.begun, limit, lost)
        self.running[node] = (run, run.steps())
        self.go_on(node, count)

    @rule(count=STEPS)
    def go(self, count: int) -> None:
        for node in list(self.running):
            self.go_on(node, count)

    def go_on(self, node: str, count: int) -> None:
        run, steps = self.running[node]
        for _ in range(count):
            if not self.step(run, steps, node):
                del self.running[node]
                return

    @rule(node=NODES)
    def control_node_dies(self, node: str) -> None:
        if node in self.running:
            run, _ = self.running.pop(node)
            run.alive = False
            event("control node died")

    # --- faults ---------------------------------------------------------------------------------------------------

    @rule(data=st.data(), what=st.sampled_from(["engine", "power", "net", "gateway", "operator", "repair"]))
    def fault(self, data: Any, what: str) -> None:
        self.faults += 1
        host = self.fleet.hosts[data.draw(st.sampled_from(list(self.fleet.hosts)), label="host")]
        if what == "engine" and host.engines:
            host.engines.discard(data.draw(st.sampled_from(sorted(host.engines)), label="engine"))
        elif what == "power":
            self.power(host, not host.power)
        elif what == "net":
            host.net = not host.net
        elif what == "gateway" and self.fleet.gateways:
            door = self.fleet.gateways[data.draw(st.sampled_from(list(self.fleet.gateways)), label="gateway")]
            door.running = not door.running
        elif what == "operator":
            self.operator(host)
        elif what == "repair":
            self.power(host, True)

    def power(self, host: Host, on: bool) -> None:
        """A machine that comes back starts what its unit files say."""
        host.power = on
        for model in host.units:
            if on:
                host.start(model, self.fleet.kinds)
            else:
                host.engines.discard(model)

    def operator(self, host: Host) -> None:
        """Drains a host by hand, or gives it back; never one that a rollout holds."""
        for door in self.fleet.gateways.values():
            for key in [(model, host.name) for model in host.units]:
                if door.drained.get(key) == "maintenance":
                    del door.drained[key]
                elif key in door.servers:
                    door.drained.setdefault(key, "maintenance")

    # --- what must hold -------------------------------------------------------------------------------------------

    def step(self, run: Rollout, steps: Iterator[str], node: str) -> bool:
        """One step, judged; whether there are more."""
        before = self.served(run)
        if run.schedule is None:
            self.looked[run.identity] = self.faults
        doing = next(steps, "")
        lost = before - self.served(run)
        # Without a gateway nobody tells a rollout of what broke since it looked; nor does one that gets its new list.
        asked = self.fleet.gateways and not self.doing.get(node, "").startswith("configure")
        blind = not asked and self.faults > self.looked[run.identity]
        # There a host that goes back takes along what its new units alone brought.
        blind = blind or (not self.fleet.gateways and self.doing.get(node, "").startswith(("take", "back_switch")))
        # And hosts outside --limit are taken to serve.
        blind = blind or bool(run.limit and not self.fleet.gateways)
        self.doing[node] = doing
        accepted = {
            model for gap in (run.schedule.gaps if run.schedule else ()) for model in self.models if f".{model}:" in gap
        }
        assert not lost - (set(self.models) if run.asked.allow_gap else accepted) or blind, (
            f"{lost} lost by what came before {doing!r}"
        )
        self.nobody_drained_unseen()
        if doing:
            return True
        self.ended(run)
        return False

    def served(self, run: Rollout) -> set[str]:
        """Models that a client finds. Without a gateway he looks where the plan says."""
        at = {m: {host for host in run.wanted if self.fleet.gateways or m in run.wanted[host]} for m in self.models}
        return {model for model in self.models if self.fleet.serving(model) & at[model]}

    def nobody_drained_unseen(self) -> None:
        """Whom a rollout drained is named by its last word, or the lock tells that one is at work or died."""
        if self.fleet.lock is None:
            for host in self.fleet.ours():
                named = [line for line in self.fleet.told.splitlines() if host in line and "drained" in line.lower()]
                assert named, f"{host} is drained, and nobody was told:\n{self.fleet.told}"

    def ended(self, run: Rollout) -> None:
        """A rollout that came to its end."""
        event(f"ended: {'refused' if run.refused else 'complete' if run.summary and run.summary.whole else 'stopped'}")
        if not run.finished or run.refused or run.summary is None:
            return
        for name, end in run.summary.endings.items():
            event(f"host: {end.what}")
            host = self.fleet.hosts[name]
            sets = [generation["set"] for generation in host.generations]
            if end.what in ("switched", "back", "broken"):
                assert host.units in sets, f"{name} is mixed: {host.units}"
            if end.what == "switched":
                assert host.units == run.wanted[name]
            if end.drained:
                assert end.remedy
        self.bad_touched_one_batch(run)
        if run.summary.whole:
            for name in run.summary.endings:
                assert self.fleet.hosts[name].units == run.wanted[name]
                assert name not in self.fleet.ours()
            if self.faults == self.looked[run.identity]:
                for name in run.limit or run.wanted:
                    kept = self.fleet.hosts[name].kept()
                    assert {g["outcome"] for g in kept["generations"] if g["number"] == kept["current"]} <= {"proven"}

    def bad_touched_one_batch(self, run: Rollout) -> None:
        assert run.schedule is not None
        kinds = self.fleet.kinds
        forward = {host: at for host, at in run.switched.items() if run.schedule.touched[host].action == "switch"}
        broken = {
            at for h, at in forward.items() if {kinds.get(v) for v in run.wanted[h].values()} & {"no_start", "nonsense"}
        }
        assert len(broken) <= 1, f"a bad release reached batches {broken}"
        canary = run.asked.canary
        if canary in forward and "hang" in {kinds.get(v) for v in run.wanted[canary].values()}:
            assert max(forward.values()) == forward[canary], "the canary hung, and others followed"

    def teardown(self) -> None:
        """Everything is repaired, and the next operator rolls out something good: the fleet is whole, and stays so."""
        if not hasattr(self, "fleet"):
            return
        for run, _ in self.running.values():
            run.alive = False
        for host in self.fleet.hosts.values():
            host.net = True
            self.power(host, True)
        for door in self.fleet.gateways.values():
            door.running = True
            door.drained = {key: why for key, why in door.drained.items() if why != "maintenance"}
        wanted = self.plan(0, set(self.models))
        for _ in range(4):
            run = self.play(wanted)
            assert not run.refused, run.refused
            assert run.summary is not None
            if run.summary.whole:
                break
        assert run.summary.whole, self.fleet.told
        assert {name: host.units for name, host in self.fleet.hosts.items()} == wanted
        assert not self.fleet.ours()
        assert self.play(wanted).schedule.order == ()  # type: ignore[union-attr]

    def play(self, wanted: dict[str, dict[str, int]]) -> Rollout:
        self.begun += 1
        lost = self.fleet.lock["id"] if self.fleet.lock else ""
        run = Rollout(self.fleet, wanted, Asked("", "50%", True), "c", self.begun, take_over=lost)
        steps = run.steps()
        while self.step(run, steps, "c"):
            pass
        return run


Rollouts.TestCase.settings = settings(
    max_examples=int(os.environ.get("ROLLOUT_HISTORIES", "80")),
    stateful_step_count=30,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
TestRollouts = Rollouts.TestCase
