"""Rollouts on simulated fleets while things break: what must hold at every step, and what a repaired fleet comes to.

`ROLLOUT_HISTORIES=5000 pytest tests/unit/plugins/plugin_utils/fleet/test_rollout_machine.py` looks at more histories.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.judge import troubles
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.outcome import Ending, Summary
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.resume import need
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.schedule import Asked, HostStep
from hypothesis import HealthCheck, currently_in_test_context, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from simulated_fleet import BAD, SERVED, Fleet, Gateway, Host
from simulated_rollout import Rollout, Wanted
from thoroughness import examples

SERIALS = st.sampled_from([1, 2, 3, "50%", "100%", [1, 2], [1, "50%"], [2, "100%"]])
KINDS = st.sampled_from(["good", "good", "good", *BAD, "hang"])
STEPS = st.sampled_from([1, 2, 3, 5, 8, 13, 200])
NODES = st.sampled_from(["a", "b"])
# What a rollout is about to do, as `Rollout.steps` tells it; most of it names a host.
MOMENTS = ["configure", "hold", "drain", "drain", "baseline", "switch", "prove", "soak", "ask", "undrain"]
MOMENTS += ["back_drain", "take", "back_switch", "mark", "report", "release"]
FAULTS = ["engine", "alone", "power", "net", "full", "gateway", "gateway net", "operator", "repair"]


def happened(what: str) -> None:
    """For hypothesis's statistics."""
    if currently_in_test_context():
        event(what)


@dataclass(frozen=True)
class Found:
    """A host as a rollout found it. `outcome`: that of its installed generation `number`; `before`: earlier sets of units
    that served, each with its outcome."""

    units: dict[str, int]
    number: int
    outcome: str
    before: list[tuple[dict[str, int], str]]

    @classmethod
    def of(cls, host: Host) -> Found:
        number = host.kept()["current"]
        outcome = next((g["outcome"] for g in host.generations if g["number"] == number), "")
        served = [g for g in host.generations if g["outcome"] in SERVED and (not number or g["number"] < number)]
        return cls(dict(host.units), number, outcome, [(dict(g["set"]), g["outcome"]) for g in served])

    def sound(self, kinds: Mapping[int, str]) -> bool:
        """Whether all that it could go back to was proven, and is good."""
        good = [{kinds.get(v, "good") for v in units.values()} == {"good"} for units, __ in self.before]
        return bool(good) and all(good) and all(outcome == "proven" for __, outcome in self.before)

    def outcome_of(self, host: Host) -> str:
        return next((str(g["outcome"]) for g in host.generations if g["number"] == self.number), "")


class Rollouts(RuleBasedStateMachine):
    """Operators, faults and rollouts in any order; in half of the histories nothing breaks, and more must hold."""

    fleet: Fleet
    models: dict[str, list[str]]

    @initialize(calm=st.booleans(), goal=st.integers(0, 1), data=st.data())
    def build(self, calm: bool, goal: int, data: Any) -> None:
        """1 to 4 models on some of the hosts each."""
        hosts = data.draw(st.integers(2, 6), label="hosts")
        doors = data.draw(st.sampled_from([1, 1, 2, 0]), label="gateways")
        names = [f"h{i}" for i in range(hosts)]
        models = {}
        for i in range(data.draw(st.integers(1, 4), label="models")):
            fewest = data.draw(st.sampled_from([1, 2, 2]), label="fewest")
            at = st.lists(st.sampled_from(names), min_size=fewest, max_size=hosts, unique=True)
            models[f"m{i}"] = sorted(data.draw(at, label=f"m{i}"))
        self.raise_fleet(names, models, doors, calm, goal)

    def raise_fleet(
        self, names: Sequence[str], models: dict[str, list[str]], doors: int, calm: bool = False, goal: int = 0
    ) -> None:
        """All at version 1, proven. `goal`: the version of the rollout that ends the history."""
        self.models, self.calm, self.goal = models, calm, goal
        hosts = {}
        for name in names:
            units = {model: 1 for model, at in models.items() if name in at}
            hosts[name] = Host(name, dict(units), set(units), dict.fromkeys(units, 0))
            hosts[name].mark(hosts[name].write_generation(units, "first"), "proven")
        self.fleet = Fleet(hosts, {f"gw{i}": Gateway(self.replicas()) for i in range(doors)})
        self.running: dict[str, tuple[Rollout, Iterator[str]]] = {}
        self.begun = 0
        self.faults = 0
        self.looked: dict[str, int] = {}
        self.found: dict[str, dict[str, Found]] = {}
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
        version = data.draw(st.sampled_from([1, 2, self.begun + 3]), label="version")
        if version > 1:
            self.fleet.kinds.setdefault(version, kind)
        changed = set(
            data.draw(st.lists(st.sampled_from(sorted(self.models)), min_size=1, unique=True), label="models")
        )
        canary = data.draw(st.sampled_from(["", *names]), label="canary")
        limit = tuple(data.draw(st.sampled_from([[], [], [], names[:-1], names[1:]]), label="limit"))
        # The id of a dead rollout stands in the refusal that its successor reads.
        dead = self.fleet.lock and not self.fleet.lock["alive"]()
        take_over = (
            self.fleet.lock["id"] if self.fleet.lock and dead and data.draw(st.booleans(), label="take over") else ""
        )
        some = st.lists(st.sampled_from(names), min_size=1, unique=True)
        moved = {"m0": data.draw(some, label="moved")} if data.draw(st.integers(0, 3), label="moves") == 3 else {}
        asked = (self.plan(version, changed, moved), Asked(canary, serial, allow_gap))
        # Whoever finds a rollout dead begins it again.
        self.last = self.last if self.last and data.draw(st.booleans(), label="the same again") else asked
        self.start(node, *self.last, limit, take_over)
        self.go_on(node, count)

    def start(
        self, node: str, wanted: Wanted, asked: Asked, limit: tuple[str, ...] = (), take_over: str = ""
    ) -> Rollout:
        self.begun += 1
        run = Rollout(self.fleet, wanted, asked, node, self.begun, limit, take_over)
        self.running[node] = (run, run.steps())
        self.doing[node] = ""
        return run

    @rule(count=STEPS)
    def go(self, count: int) -> None:
        for node in list(self.running):
            self.go_on(node, count)

    def go_on(self, node: str, count: int) -> None:
        run, steps = self.running[node]
        for __ in range(count):
            if not self.step(run, steps, node):
                del self.running[node]
                return

    @rule(node=NODES)
    def control_node_dies(self, node: str) -> None:
        if node in self.running and not self.calm:
            self.faults += 1
            run, __ = self.running.pop(node)
            run.alive = False
            happened("control node died")

    # --- faults ---------------------------------------------------------------------------------------------------

    @rule(data=st.data(), what=st.sampled_from(FAULTS))
    def fault(self, data: Any, what: str) -> None:
        if not self.calm:
            self.break_down(data, what, data.draw(st.sampled_from(list(self.fleet.hosts)), label="host"))

    @rule(node=NODES, moment=st.sampled_from(MOMENTS), what=st.sampled_from(["node", "alone", *FAULTS]), data=st.data())
    def strike(self, node: str, moment: str, what: str, data: Any) -> None:
        """Break something of the host that is at a certain step."""
        node = node if node in self.running else next(iter(self.running), "")
        if self.calm or not node or not self.until(node, moment):
            return
        if what == "node":
            return self.control_node_dies(node)
        named = [name for name in self.fleet.hosts if name in self.doing[node].split()]
        self.break_down(data, what, data.draw(st.sampled_from(named or list(self.fleet.hosts)), label="host"))

    @rule(node=NODES)
    def others_die_before_a_drain(self, node: str) -> None:
        """What a rollout counted on when it looked is gone: only the gateway can tell it now."""
        if self.calm:
            return
        if node not in self.running:
            self.fleet.kinds.setdefault(self.begun + 3, "good")
            self.start(node, self.plan(self.begun + 3, set(self.models)), Asked("", 1))
        if self.until(node, "drain"):
            self.faults += 1
            self.leave_alone(self.fleet.hosts[self.doing[node].split()[1]])
            self.go_on(node, 2 * len(self.fleet.gateways))

    def until(self, node: str, moment: str) -> bool:
        """Go on until a rollout is about to do something; whether it came there."""
        run, steps = self.running[node]
        while not self.doing[node].startswith(moment):
            if not self.step(run, steps, node):
                del self.running[node]
                return False
        return True

    def break_down(self, data: Any, what: str, name: str) -> None:
        """Break something, or mend it."""
        self.faults += 1
        host = self.fleet.hosts[name]
        if what == "engine" and host.engines:
            host.engines.discard(data.draw(st.sampled_from(sorted(host.engines)), label="engine"))
        elif what == "power":
            self.power(host, not host.power)
        elif what == "net":
            host.net = not host.net
        elif what == "full":
            host.full = not host.full
        elif what in ("gateway", "gateway net") and self.fleet.gateways:
            door = self.fleet.gateways[data.draw(st.sampled_from(list(self.fleet.gateways)), label="gateway")]
            if what == "gateway":
                door.running = not door.running
            else:
                door.net = not door.net
        elif what == "alone":
            self.leave_alone(host)
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

    def leave_alone(self, host: Host) -> None:
        """All other engines of its models die."""
        for other in self.fleet.hosts.values():
            if other is not host:
                other.engines -= host.engines

    def operator(self, host: Host) -> None:
        """Drains a host by hand, or gives it back where nobody rolls out; never one that a rollout holds."""
        for door in self.fleet.gateways.values():
            for key in [(model, host.name) for model in host.units]:
                if door.drained.get(key) == "maintenance":
                    if not self.running:
                        del door.drained[key]
                elif key in door.servers:
                    door.drained.setdefault(key, "maintenance")

    # --- what must hold -------------------------------------------------------------------------------------------

    def step(self, run: Rollout, steps: Iterator[str], node: str) -> bool:
        """One step, judged; whether there are more."""
        before, ill = self.served(run), self.ill()
        if run.schedule is None:
            self.looked[run.identity] = self.faults
            self.found[run.identity] = {name: Found.of(host) for name, host in self.fleet.hosts.items()}
        may_hold = self.may_hold(run)
        was = self.doing.get(node, "")
        open_doors = self.open_to_clients()
        doing = next(steps, "")
        stopped = {(m, h) for m, h in open_doors if m not in self.fleet.hosts[h].engines} & self.open_to_clients(False)
        assert not stopped, f"{stopped} stopped by what came before {doing!r}, and a gateway sends requests there"
        if was == "lock":
            holds = self.fleet.lock is not None and self.fleet.lock["id"] == run.identity
            assert holds == may_hold, f"{run.identity} {'holds' if holds else 'was refused'}: {run.refused}"
        lost = before - self.served(run) - ill
        # Without a gateway nobody tells a rollout of what broke since it looked; nor does one that gets its new list.
        asked = self.fleet.gateways and not was.startswith("configure")
        blind = not asked and self.faults > self.looked[run.identity]
        # There a host that goes back takes along what its new units alone brought.
        blind = blind or (not self.fleet.gateways and was.startswith(("take", "back_switch")))
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

    def open_to_clients(self, running: bool = True) -> set[tuple[str, str]]:
        """Replicas to which a gateway sends requests; `running`: which could answer."""
        doors = [door for door in self.fleet.gateways.values() if door.running]
        pairs = {key for door in doors for key in door.servers - set(door.drained)}
        return {(m, h) for m, h in pairs if not running or m in self.fleet.hosts[h].engines}

    def may_hold(self, run: Rollout) -> bool:
        """Only the control node of a dead rollout knows that it died; others need its id from the operator."""
        held = self.fleet.lock
        if held is None or not self.fleet.answers():
            return self.fleet.answers()
        return run.take_over == held["id"] or (run.node == held["node"] and not held["alive"]())

    def served(self, run: Rollout) -> set[str]:
        """Models that a client finds. Without a gateway he looks where the plan says."""
        if self.fleet.gateways:
            return {model for model in self.models if self.fleet.served(model)}
        at = {m: {host for host in run.wanted if m in run.wanted[host]} for m in self.models}
        return {model for model in self.models if self.fleet.serving(model) & at[model]}

    def ill(self) -> set[str]:
        """Models of which an engine runs and answers wrongly: without a gateway it is counted for one that serves."""
        hosts = [] if self.fleet.gateways else self.fleet.hosts.values()
        return {m for host in hosts for m in host.engines if host.answers(m, self.fleet.kinds) not in ("good", "slow")}

    def nobody_drained_unseen(self) -> None:
        """Whom a rollout drained is named by its last word, or the lock tells that one is at work or died."""
        if self.fleet.lock is None:
            for host in self.fleet.ours():
                named = [line for line in self.fleet.told.splitlines() if host in line and "drained" in line.lower()]
                assert named, f"{host} is drained, and nobody was told:\n{self.fleet.told}"

    def ended(self, run: Rollout) -> None:
        """A rollout that came to its end."""
        happened(
            f"ended: {'refused' if run.refused else 'complete' if run.summary and run.summary.whole else 'stopped'}"
        )
        if not run.finished or run.refused or run.summary is None:
            return
        for name, end in run.summary.endings.items():
            happened(f"host: {end.what}")
            self.ended_host(run, name, end)
        self.bad_touched_one_batch(run)
        if self.calm:
            self.calmly_ended(run, run.summary)
        if run.summary.whole:
            for name in run.summary.endings:
                assert self.fleet.hosts[name].units == run.wanted[name]
                assert name not in self.fleet.ours()
            if self.faults == self.looked[run.identity]:
                for name in run.limit or run.wanted:
                    kept = self.fleet.hosts[name].kept()
                    assert {g["outcome"] for g in kept["generations"] if g["number"] == kept["current"]} <= {"proven"}

    def ended_host(self, run: Rollout, name: str, end: Ending) -> None:
        """In the old state or in the new one, whatever broke; and who could go back did."""
        assert run.schedule is not None
        host, was, turn = self.fleet.hosts[name], self.found[run.identity][name], run.schedule.touched[name]
        if end.what in ("switched", "back", "broken"):
            # What a run that died left half done stays so where no unit can be written any more.
            stuck = end.what == "broken" and host.full and host.units == was.units
            assert stuck or host.units in [generation["set"] for generation in host.generations], (
                f"{name} is mixed: {host.units}"
            )
        if end.what == "switched":
            assert host.units == run.wanted[name]
        if end.what in ("kept", "waiting"):
            assert host.units == was.units, f"{name} is told as {end.what}: {was.units} became {host.units}"
        if was.outcome == "proven" and turn.action == "switch" and end.what == "back":
            assert host.units == was.units, f"{name} did not go back to {was.units}: {host.units}"
        if was.outcome == "proven" and turn.action == "switch" and end.what == "broken":
            assert "back" in run.registered[name], f"{name} could go back to {was.units}"
        if was.outcome == "failed" and was.before:
            assert end.what != "proven", f"{name}: {was.units} were judged bad, and now good"
        doors = self.fleet.gateways.values()
        calm = self.faults == self.looked[run.identity] and all(door.net and door.running for door in doors)
        if calm and doors and host.reachable and not host.full and was.sound(self.fleet.kinds):
            refused = troubles(run.registered.get(name, {}).get("back_drain"))
            assert end.what != "broken" or refused, f"{name} could go back to one of {was.before}"
        if was.outcome == "proven" and was.units != run.wanted[name]:
            assert was.outcome_of(host) == "proven", f"{name}: {was.units} are blamed for others"
        if end.drained:
            assert end.remedy

    def calmly_ended(self, run: Rollout, summary: Summary) -> None:
        """Nothing broke: who was switched to something bad is back, all others are new or untouched, all serve."""
        assert not self.fleet.ours()
        for name, host in self.fleet.hosts.items():
            was = self.found[run.identity][name]
            assert host.units in (was.units, run.wanted[name]), f"{name} is neither old nor new: {host.units}"
            assert host.engines == set(host.units), f"{name} has {host.engines} of {host.units}"
            assert {host.answers(model, self.fleet.kinds) for model in host.units} <= {"good", "slow", ""} or (
                "hang" in self.kinds(host.units)
            ), f"{name} serves {host.units}: {self.fleet.kinds}"
            new = {m: v for m, v in run.wanted[name].items() if was.units.get(m) != v}
            if run.limit and name not in run.limit:
                assert host.units == was.units
            elif not self.kinds(new) & {*BAD, "hang"} and summary.whole:
                assert host.units == run.wanted[name]
            elif self.kinds(new) & {"no_start", "nonsense"}:
                assert host.units == was.units
        versions = [run.wanted[name] for name in run.limit or run.wanted]
        if not {kind for units in versions for kind in self.kinds(units)} - {"good"}:
            assert summary.whole, self.fleet.told

    def kinds(self, units: Mapping[str, int]) -> set[str]:
        return {self.fleet.kinds.get(version, "good") for version in units.values()}

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
        for run, steps in self.running.values():
            run.alive = False
            steps.close()  # type: ignore[attr-defined]
        for host in self.fleet.hosts.values():
            host.net, host.full = True, False
            self.power(host, True)
        for door in self.fleet.gateways.values():
            door.running = door.net = True
            door.drained = {key: why for key, why in door.drained.items() if why != "maintenance"}
        self.calm = False
        wanted = self.plan(self.goal, set(self.models))
        for __ in range(6):
            run = self.play(wanted)
            if run.summary and run.summary.whole:
                break
        assert run.summary is not None
        assert run.summary.whole, self.fleet.told
        assert self.fleet.lock is None
        assert not self.fleet.ours(), f"{self.fleet.ours()} left drained"
        for name, host in self.fleet.hosts.items():
            assert host.units == wanted[name]
            assert host.engines == set(wanted[name])
        assert self.play(wanted).schedule.order == (), "a second run does something"  # type: ignore[union-attr]

    def play(self, wanted: Wanted) -> Rollout:
        """From the start to the end, without a gap unless a model has too few replicas for that."""
        enough = all(len(self.fleet.serving(model) & set(at)) > 1 for model, at in self.models.items())
        for allow_gap in (False, True):
            # A control node knows its own dead rollouts: it needs nobody to tell it their ids.
            node = self.fleet.lock["node"] if self.fleet.lock else "c"
            run = self.start(node, wanted, Asked("", "50%", allow_gap))
            self.go_on(node, 10_000)
            if not run.refused:
                happened(f"repaired {'with' if allow_gap else 'without'} a gap")
                break
            assert not enough, run.refused
            assert not allow_gap, run.refused
        return run


Rollouts.TestCase.settings = settings(
    max_examples=int(os.environ.get("ROLLOUT_HISTORIES") or examples(200)),
    stateful_step_count=30,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
TestRollouts = Rollouts.TestCase


# --- what the histories are worth: each of these broken decisions is noticed ----------------------------------------

TWO = {"m0": ["h0", "h1"]}


def history(models: dict[str, list[str]] = TWO, goal: int = 0, **kinds: str) -> Rollouts:
    """A fleet of two hosts behind a gateway. `kinds`: what versions do, as v2="nonsense"."""
    state = Rollouts()
    state.raise_fleet(["h0", "h1"], models, 1, goal=goal)
    state.fleet.kinds = {int(version[1:]): kind for version, kind in kinds.items()}
    return state


def roll_out(state: Rollouts, version: int, until: str = "over", node: str = "a", changed: str = "m0") -> None:
    state.start(node, state.plan(version, {changed}), Asked())
    state.until(node, until)


def good() -> None:
    state = history()
    roll_out(state, 2)
    state.teardown()


def other_replica_dies_before_the_drain() -> None:
    state = history()
    roll_out(state, 2, until="drain h0")
    state.fleet.hosts["h1"].engines.clear()
    state.until("a", "over")
    state.teardown()


def second_release_is_bad() -> None:
    state = history(v3="nonsense")
    roll_out(state, 2)
    roll_out(state, 3)
    state.teardown()


def dies_before_the_proof_of_a_bad_release() -> None:
    state = history(v2="nonsense")
    roll_out(state, 2, until="prove h0")
    state.control_node_dies("a")
    roll_out(state, 2)
    state.teardown()


def dies_before_it_takes_back_what_is_slow() -> None:
    state = history(v2="slow")
    roll_out(state, 2, until="take h0")
    state.control_node_dies("a")
    roll_out(state, 2)
    state.teardown()


def dies_between_drain_and_switch() -> None:
    state = history(goal=1)
    roll_out(state, 2, until="baseline of h0")
    state.control_node_dies("a")
    state.teardown()


def two_at_once() -> None:
    state = history()
    roll_out(state, 2, until="switch h0")
    roll_out(state, 3, node="b")
    state.teardown()


def undrained_host_fails_its_soak() -> None:
    state = history({"m0": ["h0", "h1"], "m1": ["h0"]})
    state.start("a", state.plan(2, {"m0", "m1"}), Asked(allow_gap=True))
    state.until("a", "over")
    state.start("a", state.plan(3, {"m0"}) | {"h0": {"m0": 3, "m1": 2}}, Asked())
    state.until("a", "baseline of h0")
    state.control_node_dies("a")
    state.start("a", state.plan(2, {"m0", "m1"}), Asked())
    state.until("a", "ask h0")
    state.fleet.hosts["h0"].engines.discard("m0")
    state.until("a", "over")
    state.teardown()


DECISIONS = "ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet"
LOCK = "ansible_collections.baremetal.vllm.plugins.module_utils.gateway.lock"
HISTORIES = [
    ("simulated_rollout.left_without", lambda *__: [], other_replica_dies_before_the_drain),
    (f"{DECISIONS}.schedule.HostStep", lambda *given: HostStep(*given[:4], (), *given[5:]), good),
    (f"{DECISIONS}.schedule._way_back", lambda __, host: host.previous, second_release_is_bad),
    (f"{DECISIONS}.schedule._way_back", lambda *__: 0, second_release_is_bad),
    (f"{DECISIONS}.schedule._way_back", lambda __, host: host.current, dies_before_the_proof_of_a_bad_release),
    (f"{DECISIONS}.judge.Verdict.take_back", False, second_release_is_bad),
    (
        f"{DECISIONS}.schedule.need",
        lambda seen: need(replace(seen, outcome="pending") if seen.outcome == "failed" else seen),
        dies_before_it_takes_back_what_is_slow,
    ),
    (
        f"{DECISIONS}.schedule.need",
        lambda seen: need(replace(seen, drained="")),
        dies_between_drain_and_switch,
    ),
    (f"{LOCK}.dead", lambda *__: False, dies_before_the_proof_of_a_bad_release),
    (f"{LOCK}.dead", lambda *__: True, two_at_once),
    (
        f"{DECISIONS}.schedule.HostStep",
        lambda action, why, models, *others: HostStep(action, why, models if action != "undrain" else (), *others),
        undrained_host_fails_its_soak,
    ),
    (f"{DECISIONS}.schedule.HostStep", lambda *given: HostStep(*given[:2], (), *given[3:]), good),
]


@pytest.mark.parametrize(("decision", "instead", "history"), HISTORIES)
def test_a_broken_decision_is_noticed(
    decision: str, instead: Any, history: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    history()
    monkeypatch.setattr(decision, instead)
    with pytest.raises(AssertionError):
        history()
