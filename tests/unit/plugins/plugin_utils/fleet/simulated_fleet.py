"""A fleet in memory: hosts with engines and generations, gateways with drains, a lock. Only what a rollout meets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.gateway.drain import Server
from ansible_collections.baremetal.vllm.plugins.module_utils.look.form import SCHEMA
from ansible_collections.baremetal.vllm.plugins.plugin_utils.difference.look import PARTS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, read_plan

# What a version of a model does: see `Fleet.kinds`.
BAD = ("no_start", "nonsense", "slow")
SERVED = ("active", "proven")
HANG_AFTER = 1
# A look at a host on which nothing but units can differ.
LOOK: dict[str, Any] = {
    **{part: [] for part in PARTS},
    **{part: {} for part in ("units", "engine", "filesets", "gpus", "gateway", "holder", "generation")},
    "status": "read",
    "schema": SCHEMA,
}


@dataclass
class Host:
    """`units`: the installed version by model; `engines`: models whose engine runs; `age`: soaks since its start; `full`:
    no unit can be written."""

    name: str
    units: dict[str, int] = field(default_factory=dict)
    engines: set[str] = field(default_factory=set)
    age: dict[str, int] = field(default_factory=dict)
    generations: list[dict[str, Any]] = field(default_factory=list)
    power: bool = True
    net: bool = True
    full: bool = False

    @property
    def reachable(self) -> bool:
        return self.power and self.net

    def start(self, model: str, kinds: Mapping[int, str]) -> bool:
        """Start one engine; whether it answers."""
        self.age[model] = 0
        self.engines.discard(model)
        if kinds.get(self.units[model]) != "no_start":
            self.engines.add(model)
        return model in self.engines

    def write_generation(self, units: Mapping[str, int], plan: str) -> int:
        """As service/generations.py: the newest one stays where it is the same set, pending anew if it never served."""
        if self.generations and self.generations[-1]["set"] == dict(units):
            newest = self.generations[-1]
            if newest["outcome"] not in SERVED:
                newest.update(outcome="pending", plan=plan)
            return int(newest["number"])
        number = max((g["number"] for g in self.generations), default=0) + 1
        self.generations.append({"number": number, "set": dict(units), "outcome": "pending", "plan": plan})
        return number

    def mark(self, number: int, outcome: str) -> None:
        for generation in self.generations:
            if generation["number"] == number and (generation["outcome"], outcome) != ("proven", "active"):
                generation["outcome"] = outcome

    def kept(self) -> dict[str, Any]:
        """What the module generations returns."""
        same = [g["number"] for g in self.generations if g["set"] == self.units]
        now = same[-1] if same else 0
        before = [g["number"] for g in self.generations if g["outcome"] in SERVED and (not now or g["number"] < now)]
        kept = [{key: g[key] for key in ("number", "outcome", "plan")} for g in self.generations]
        return {"generations": kept, "current": now, "back": before[-1] if before else 0}

    def set_of(self, number: int) -> dict[str, int]:
        return dict(next(g["set"] for g in self.generations if g["number"] == number))

    def steps(self, wanted: Mapping[str, int]) -> list[dict[str, Any]]:
        """What host_state says that model_service would do."""
        found = []
        for model, version in wanted.items():
            runs, same = model in self.engines, self.units.get(model) == version
            verb = "keep" if runs and same else "restart" if runs else "start"
            found.append({"unit": f"vllm-{model}.service", "verb": verb, "write": not same, "enable": False})
        gone = [model for model in self.units if model not in wanted]
        return found + [{"unit": f"vllm-{m}.service", "verb": "remove", "write": False, "enable": False} for m in gone]

    def state(self, wanted: Mapping[str, int]) -> dict[str, Any]:
        """What host_state returns."""
        if not self.reachable:
            return {"status": "unreachable", "why": "no route to host"}
        return {**LOOK, "host": self.name, "steps": self.steps(wanted)}

    def answers(self, model: str, kinds: Mapping[int, str]) -> str:
        """What a request gets: "good", "bad", "slow" or "nothing"."""
        if not self.power or model not in self.engines:
            return "nothing"
        kind = kinds.get(self.units[model], "good")
        if kind == "hang":
            return "bad" if self.age[model] >= HANG_AFTER else "good"
        return {"nonsense": "bad", "slow": "slow"}.get(kind, "good")


@dataclass
class Gateway:
    """`drained`: (model, host) to the reason of its record; kept while HAProxy does not run, and known when it is back.
    `net`: whether the control node reaches it; clients always do."""

    servers: set[tuple[str, str]] = field(default_factory=set)
    drained: dict[tuple[str, str], str] = field(default_factory=dict)
    running: bool = True
    net: bool = True


@dataclass
class Fleet:
    """`plan` of a moment is host to model to version; `kinds`: what a version does, by default good."""

    hosts: dict[str, Host]
    gateways: dict[str, Gateway]
    kinds: dict[int, str] = field(default_factory=dict)
    lock: dict[str, Any] | None = None
    told: str = ""

    def serving(self, model: str) -> set[str]:
        """Hosts whose replica of a model gets requests and can take them."""
        up = {name for name, host in self.hosts.items() if host.power and model in host.engines}
        if not self.gateways:
            # Nobody keeps clients away from what is on trial there: it does not count before it answers well.
            return {name for name in up if self.hosts[name].answers(model, self.kinds) in ("good", "slow")}
        doors = [gateway for gateway in self.gateways.values() if gateway.running]
        if not doors:
            return set()
        return {h for h in up if all((model, h) in g.servers and (model, h) not in g.drained for g in doors)}

    def served(self, model: str) -> bool:
        """Whether every gateway that runs has a replica for the model; not all need have the same."""
        doors = [self.view(gateway).get(model, {}).values() for gateway in self.gateways.values() if gateway.running]
        return bool(doors) and all(any(server.serves for server in servers) for servers in doors)

    def answers(self) -> bool:
        """Whether a control node reaches a keeper of the lock."""
        return not self.gateways or any(gateway.net for gateway in self.gateways.values())

    def ours(self) -> set[str]:
        """Hosts that a rollout holds drained."""
        return {
            host
            for gateway in self.gateways.values()
            for (__, host), why in gateway.drained.items()
            if why.startswith("rollout ")
        }

    def view(self, gateway: Gateway) -> dict[str, dict[str, Server]]:
        """What a gateway knows of its servers."""
        found: dict[str, dict[str, Server]] = {}
        for model, host in sorted(gateway.servers):
            up = gateway.running and self.hosts[host].power and model in self.hosts[host].engines
            admin = "drained" if (model, host) in gateway.drained else "ready"
            found.setdefault(model, {})[host] = Server(admin, up)
        return found

    def query(self, gateway: Gateway) -> dict[str, Any]:
        """What gateway_server returns."""
        if not gateway.net:
            return {"unreachable": True, "msg": "no route to host"}
        records = {f"{m}/{h}": {"who": "op", "why": why, "since": ""} for (m, h), why in gateway.drained.items()}
        servers = {
            model: {host: asdict(server) for host, server in hosts.items()}
            for model, hosts in self.view(gateway).items()
        }
        return {"running": gateway.running, "servers": servers, "drains": records}

    def prove(self, host: Host, models: Sequence[str]) -> dict[str, Any]:
        """What endpoint_check returns."""
        if not host.reachable:
            return {"unreachable": True, "msg": "no route to host"}
        results = []
        for model in models:
            said = host.answers(model, self.kinds)
            good = said in ("good", "slow")
            check = {"name": "answers", "passed": good, "skipped": "", "observed": said, "expected": "good"}
            first = {"good": 0.003, "slow": 2.0}.get(said)
            results.append(
                {"model": model, "url": host.name, "passed": good, "checks": [check], "first_token_seconds": first}
            )
        return {"results": results}


def planned(wanted: Mapping[str, Mapping[str, int]], gateways: Sequence[str]) -> FleetPlan:
    """The parts of a plan that a rollout reads."""
    hosts = {
        host: {"services": [{"name": m, "unit": f"vllm-{m}.service", "port": 8000} for m in models]}
        for host, models in wanted.items()
    }
    names = sorted({model for models in wanted.values() for model in models})
    replicas = {name: [{"host": host} for host in wanted if name in wanted[host]] for name in names}
    routed = [{"name": name, "replicas": replicas[name]} for name in names]
    gateway = {"hosts": list(gateways), "models": routed} if gateways else None
    return read_plan({"hosts": hosts, "gateway": gateway})
