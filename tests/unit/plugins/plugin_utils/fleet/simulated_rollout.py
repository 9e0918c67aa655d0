"""The role rollout on a fleet in memory: the same steps in the same order, with the product's decisions.

`Rollout.steps` yields before everything it does: there the test breaks things, or never calls it again (a control node
that died). Ansible takes a batch through a phase together; hosts that failed go back after the phases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.gateway import lock
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway.drain import left_without
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import read_look
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet import outcome
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.judge import (
    Limit,
    Verdict,
    judge,
    ran,
    troubles,
    worked,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.look import read_gateways, read_host
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.render import document
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fleet.schedule import Asked, Schedule, schedule
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import HostPlan
from simulated_fleet import Fleet, Gateway, Host, planned

Wanted = Mapping[str, Mapping[str, int]]
Registered = dict[str, Any]


@dataclass
class Rollout:
    """One run of the playbook. `take_over` is the id that its operator gives; `node` and `pid` are its process."""

    fleet: Fleet
    wanted: Wanted
    asked: Asked
    node: str
    pid: int
    limit: tuple[str, ...] = ()
    take_over: str = ""
    alive: bool = True
    refused: str = ""
    schedule: Schedule | None = None
    registered: dict[str, dict[str, Registered]] = field(default_factory=dict)
    switched: dict[str, int] = field(default_factory=dict)
    finished: bool = False
    summary: outcome.Summary | None = None

    @property
    def identity(self) -> str:
        return f"{self.node}-{self.pid}"

    # --- the playbook ---------------------------------------------------------------------------------------------

    def steps(self) -> Iterator[str]:
        yield "lock"
        if not self.hold():
            return
        yield "look and decide"
        self.decide()
        assert self.schedule is not None
        if self.schedule.refusals:
            self.refused = "\n".join(self.schedule.refusals)
            yield "release"
            return self.release()
        for gateway in [] if self.limit else self.fleet.gateways.values():
            yield "configure a gateway"
            if not gateway.net:
                return self.lose()
            self.configure(gateway)
        for number, batch in enumerate(self.schedule.batches):
            yield "hold"
            if not self.hold():
                return
            hosts = [self.fleet.hosts[name] for name in batch]
            for phase in (self.drain, self.before, self.switch, self.prove, self.soak, self.undrain):
                for host in hosts:
                    if self.verdict(host).good:
                        yield from phase(host, number)
            for host in hosts:
                if not self.verdict(host).good:
                    yield from self.go_back(host, number)
            yield "mark"
            self.mark(hosts)
            yield "report"
            self.report()
            assert self.summary is not None
            if not self.summary.good:
                break
        yield "report"
        self.report()
        yield "release"
        self.release()

    # --- lock, look, order ----------------------------------------------------------------------------------------

    def hold(self) -> bool:
        if not self.fleet.answers():
            self.lose()
            return False
        mine = {"id": self.identity, "node": self.node, "boot": "1", "pid": self.pid, "started": str(self.pid)}
        found = self.fleet.lock
        started = found["started"] if found and found["alive"]() else None
        succeeds = found and (found["id"] == self.take_over or lock.dead(found, mine, started))
        if found is None or succeeds:
            self.fleet.lock = {**mine, "who": self.node, "what": "", "since": "", "alive": lambda: self.alive}
        elif found["id"] != self.identity:
            self.refused = lock.refusal(found)
            return False
        return True

    def lose(self) -> None:
        """Gateways that do not answer end the run; what it holds stays held."""
        self.refused, self.alive = "a gateway does not answer", False

    def release(self) -> None:
        if self.fleet.lock and self.fleet.lock["id"] == self.identity:
            self.fleet.told = self.refused or "\n".join(outcome.lines(self.summary))
            self.finished = True
            if all(gateway.net for gateway in self.fleet.gateways.values()):
                self.fleet.lock = None
            else:
                self.alive = False

    def decide(self) -> None:
        names = [name for name in self.wanted if not self.limit or name in self.limit]
        found = {n: self.fleet.hosts[n] for n in names}
        looks = {n: read_look(n, host.state(self.wanted[n])) for n, host in found.items()}
        hosts = {n: read_host(HostPlan(), looks[n], found[n].kept()) for n in names}
        view = read_gateways({name: self.fleet.query(gateway) for name, gateway in self.fleet.gateways.items()})
        asked = replace(self.asked, limited=bool(self.limit))
        self.schedule = schedule(planned(self.wanted, list(self.fleet.gateways)), hosts, view, asked)
        assert document(self.schedule)["order"] == list(self.schedule.order)
        self.report()

    def configure(self, gateway: Gateway) -> None:
        gateway.servers = {(model, host) for host, models in self.wanted.items() for model in models}
        gateway.drained = {key: why for key, why in gateway.drained.items() if key in gateway.servers}

    # --- the phases of one host -----------------------------------------------------------------------------------

    def drain(self, host: Host, number: int, name: str = "drain") -> Iterator[str]:
        turn = self.turn(host)
        if name == "drain" and turn.action not in ("switch", "take_back"):
            return
        items = []
        for gateway, door in self.fleet.gateways.items():
            yield f"{name} {host.name} at {gateway}"
            servers = [(model, host.name) for model in turn.models]
            left = [] if self.asked.allow_gap else left_without(self.fleet.view(door), servers)
            for server in servers if door.net and not left else []:
                door.drained.setdefault(server, f"rollout {self.identity}")
            items.append(item(gateway, door, f"last: {left}" if left else ""))
        self.register(host, name, loop(items))

    def before(self, host: Host, number: int) -> Iterator[str]:
        turn = self.turn(host)
        if turn.action in ("switch", "take_back"):
            yield f"baseline of {host.name}"
            leaving = sorted(model for model in host.units if f"vllm-{model}.service" in turn.units)
            self.register(host, "before", self.fleet.prove(host, leaving))

    def switch(self, host: Host, number: int) -> Iterator[str]:
        turn = self.turn(host)
        if turn.action in ("switch", "take_back"):
            yield f"switch {host.name}"
            self.switched[host.name] = number
            yield from self.model_service(host, self.aim(host), "switch")

    def prove(self, host: Host, number: int) -> Iterator[str]:
        if self.turn(host).action != "undrain":
            yield f"prove {host.name}"
            self.register(host, "prove", self.fleet.prove(host, sorted(self.aim(host))))

    def undrain(self, host: Host, number: int, wait: bool = True) -> Iterator[str]:
        items = []
        for gateway, door in self.fleet.gateways.items():
            yield f"undrain {host.name} at {gateway}"
            lost = []
            for model in self.turn(host).undrain if door.net else ():
                if door.drained.get((model, host.name), "").startswith("rollout "):
                    del door.drained[model, host.name]
                server = self.fleet.view(door).get(model, {}).get(host.name)
                if wait and model not in self.turn(host).gone and door.running and not (server and server.up):
                    lost.append(model)
            items.append(item(gateway, door, f"down: {lost}" if lost else ""))
        self.register(host, "undrain", loop(items))

    def soak(self, host: Host, number: int) -> Iterator[str]:
        assert self.schedule is not None
        if self.turn(host).canary or host.name in self.schedule.first:
            yield f"soak {host.name}"
            host.age = {model: age + 1 for model, age in host.age.items()}
            yield f"ask {host.name} again"
            self.register(host, "soak", self.fleet.prove(host, sorted(self.aim(host))))

    def go_back(self, host: Host, number: int) -> Iterator[str]:
        """The rescue: what a host goes through whose verdict is bad."""
        turn, verdict = self.turn(host), self.verdict(host)
        self.register(host, "verdict", asdict(verdict))
        if verdict.take_back:
            yield from self.drain(host, number, "back_drain")
        if verdict.take_back and turn.back:
            host.mark(self.generation(host), "failed")
            if not troubles(self.registered[host.name]["back_drain"]):
                yield f"take {host.name} back"
                yield from self.model_service(host, host.set_of(turn.back), "back_switch")
                yield f"prove {host.name} again"
                self.register(host, "back_prove", self.fleet.prove(host, self.services(host, turn.back)))
            self.register(host, "back", asdict(self.judge_back(host)))
        back = self.registered[host.name].get("back")
        if (verdict.phase == "drain" and not turn.drained) or (back and back["good"]):
            yield from self.undrain(host, number, wait=False)

    def aim(self, host: Host) -> dict[str, int]:
        """The units that this host shall end with."""
        target = self.turn(host).target
        return host.set_of(target) if target else dict(self.wanted[host.name])

    def services(self, host: Host, generation: int) -> list[str]:
        """The models of a kept generation that change; all where none is named."""
        units = self.turn(host).units
        kept = host.set_of(generation) if generation else {}
        return sorted(model for model in kept if not units or f"vllm-{model}.service" in units)

    def generation(self, host: Host) -> int:
        """The one that is judged. A switch that failed before it wrote anything has none."""
        done = self.registered[host.name].get("switch")
        return int(done.get("generation", 0)) if done else int(self.turn(host).current)

    def model_service(self, host: Host, wanted: Mapping[str, int], name: str) -> Iterator[str]:
        """Units one after the other; the module goes on where only the control node's sight is lost."""
        if not host.reachable:
            return self.register(host, name, {"unreachable": True, "msg": "no route to host"})
        if host.full:
            return self.register(host, name, {"failed": True, "msg": "no space left on device"})
        generation = host.write_generation(wanted, self.identity)
        failed = []
        for step in host.steps(wanted):
            model = step["unit"][5:-8]
            if not host.power:
                return self.register(host, name, {"unreachable": True, "msg": "lost"})
            if step["verb"] == "remove":
                host.units.pop(model)
                host.engines.discard(model)
            elif step["verb"] != "keep" or model not in host.engines:
                host.units[model] = wanted[model]
                if model in host.engines:
                    host.engines.discard(model)
                    yield f"{name} {host.name}: {model} has stopped"
                    if not host.power:
                        return self.register(host, name, {"unreachable": True, "msg": "lost"})
                if not host.start(model, self.fleet.kinds):
                    failed.append(model)
            yield f"{name} {host.name}: {model}"
        if not host.reachable:
            return self.register(host, name, {"unreachable": True, "msg": "lost sight of the starting units"})
        if failed:
            host.mark(generation, "failed")
            served = [g["set"] for g in host.generations if g["outcome"] in ("active", "proven")]
            for model in failed:
                if served and model in served[-1]:
                    host.units[model] = served[-1][model]
                    host.start(model, self.fleet.kinds)
            return self.register(
                host, name, {"failed": True, "msg": f"{failed} did not start", "generation": generation}
            )
        host.mark(generation, "active")
        return self.register(host, name, {"changed": True, "generation": generation})

    # --- verdicts and the report ----------------------------------------------------------------------------------

    def turn(self, host: Host) -> Any:
        assert self.schedule is not None
        return self.schedule.touched[host.name]

    def register(self, host: Host, name: str, result: Registered) -> None:
        self.registered.setdefault(host.name, {})[name] = result

    def results(self, host: Host, name: str) -> Any:
        return (self.registered.get(host.name, {}).get(name) or {}).get("results", [])

    def verdict(self, host: Host) -> Verdict:
        """The last judgement; as in the role it stands once a host has gone back."""
        done = self.registered.get(host.name, {})
        if "verdict" in done:
            return Verdict(**done["verdict"])
        phases = {name: done.get(name) for name in ("drain", "switch", "prove", "undrain", "soak")}
        after = self.results(host, "soak") or self.results(host, "prove")
        return judge(phases, self.results(host, "before"), after, Limit(), self.turn(host).action == "take_back")

    def judge_back(self, host: Host) -> Verdict:
        done = self.registered[host.name]
        phases = {"drain": done.get("back_drain"), "switch": done.get("back_switch"), "prove": done.get("back_prove")}
        return judge(phases, self.results(host, "before"), self.results(host, "back_prove"), Limit(), True)

    def mark(self, hosts: list[Host]) -> None:
        for host in hosts:
            verdict = self.verdict(host)
            self.register(host, "verdict", asdict(verdict))
            if verdict.good and host.reachable:
                host.mark(self.generation(host), "proven")

    def report(self) -> None:
        assert self.schedule is not None
        endings = {}
        for name, turn in self.schedule.touched.items():
            done = self.registered.get(name, {})
            endings[name] = outcome.ending(
                outcome.HostResult(
                    turn.action,
                    turn.why,
                    Verdict(**done["verdict"]) if "verdict" in done else None,
                    Verdict(**done["back"]) if "back" in done else None,
                    turn.drained or worked(done.get("drain")),
                    worked(done.get("back_drain")),
                    ran(done.get("undrain")) and not troubles(done.get("undrain")),
                )
            )
        self.summary = outcome.Summary(endings, self.schedule.skipped, self.schedule.lost, self.schedule.gaps)


def item(gateway: str, door: Gateway, trouble: str) -> Registered:
    """What Ansible registers of one gateway in a loop."""
    told = {"failed": bool(trouble), "msg": trouble} if door.net else {"unreachable": True, "msg": "no route to host"}
    return {"item": gateway, "ansible_loop_var": "item", **told}


def loop(items: list[Registered]) -> Registered:
    """What Ansible registers of a loop."""
    failed = any(item.get("failed") for item in items)
    return {"results": items, "failed": failed, "msg": "One or more items failed"} if items else {"skipped": True}
