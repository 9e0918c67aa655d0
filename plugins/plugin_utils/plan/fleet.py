"""The plan: one pure function from the inventory to what every host shall run.

Everything downstream (engine, weights, units, proofs, report) reads what `plan_fleet` returns and derives none of it
again. It touches no host, no clock and no file but the collection's own data: the caller resolves host patterns,
hashes pushed directories and reads the models' configurations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.kernels import Kernels
from ansible_collections.baremetal.vllm.plugins.module_utils.text.address import LOOPBACK
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problem, Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.facts import ModelFacts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.setting import whole_share
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.extras import read_extras
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.load import release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fanout import check_fanout
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.gateway import (
    judge_listening,
    listens_on,
    plan_gateway,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.headers import check_headers
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import (
    DeclaredHost,
    declared_as,
    read_host,
    read_release,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.kernels import attention_without, check_kernels
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.keys import check_keys
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.memory import MemoryJudge
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import Entry, Menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.options import Options
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.placement import place
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.ports import ports
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.releases import known_releases
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.sandbox import (
    advise,
    firewall,
    packages,
    read_destinations,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.service import derived_arguments, engine_path, service
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.shares import share
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.variables import check_variables
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.weights import locate
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import (
    Engine,
    FleetPlan,
    HostPlan,
    Weights,
    digest,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service


@dataclass(frozen=True)
class Inventory:
    """What the operator wrote, the menu read and the rest as plain data.

    `menu`: `vllm_models`; `hosts`: host name to its variables; `match`: an Ansible host pattern to host names (of the whole
    inventory); `gateways`: name to variables of the hosts of the gateway group; `names`, `gateway_names`: by host of either
    group the names of all its variables, ours or not;
    `digests`: pushed directory of the control node to the SHA-256 of its content, or to a sentence that says why not;
    `locks`: by host the locks on the control node that its engine may be installed from, with the kernels each holds;
    `facts`: by entry what its model's files say, or a sentence that says why nothing is known; `adapters`: by entry and
    adapter the `adapter_config.json` of those that are at hand; `unchecked`: releases
    whose options are taken as written; `extra_*`: what plug-ins of vLLM add (`vllm_extra_options`,
    `vllm_extra_choices`, `vllm_extra_env`).
    """

    menu: Menu
    hosts: Mapping[str, Mapping[str, object]]
    match: Callable[[str], Sequence[str]]
    digests: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, ModelFacts | str] = field(default_factory=dict)
    adapters: Mapping[str, Mapping[str, Mapping[str, object]]] = field(default_factory=dict)
    locks: Mapping[str, Mapping[str, Kernels]] = field(default_factory=dict)
    keyed: bool = False
    # Only judged: it enters no plan, no message and no representation of this.
    api_key: Any = field(default=None, repr=False)
    gateways: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    gateway_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # The groups of hosts as a task sees them, by variable, and what was given with -e: the headers of plays see that alone.
    groups: Mapping[str, str] = field(default_factory=dict)
    extra: Sequence[str] = ()
    unchecked: Any = ()
    extra_options: Any = None
    extra_choices: Any = None
    extra_env: Any = None


@dataclass(frozen=True)
class Outcome:
    """`fleet`: the plan, of no host when refused; `plan`: its JSON form, empty when refused; `digest`: its SHA-256; the rest for
    people."""

    fleet: FleetPlan
    plan: Mapping[str, object]
    digest: str
    problems: list[Problem]
    warnings: list[Problem]


def plan_fleet(inventory: Inventory) -> Outcome:
    """Resolve the whole fleet, or refuse with every problem there is."""
    problems, menu = Problems(), inventory.menu.entries
    for problem in inventory.menu.problems:
        problems.add(problem.key, problem.reason, problem.remedy)
    read = [read_host(name, declared, problems) for name, declared in inventory.hosts.items()]
    hosts = [host for host in read if host is not None]
    if not inventory.hosts:
        problems.add("gpu_hosts", "is an empty group", "Put at least one host into the inventory group gpu_hosts")
    for name, declared in inventory.hosts.items():
        judge_listening(name, declared, problems)
    check_headers({**inventory.names, **inventory.gateway_names}, inventory.groups, inventory.extra, problems)
    check_variables(inventory.names, inventory.gateway_names, problems)
    check_keys(inventory.api_key, inventory.hosts, inventory.gateways, problems)
    _refuse_same_names(menu, problems)
    hosts_of = _assign(menu, inventory, problems)
    extras = read_extras(inventory.extra_options, inventory.extra_choices, inventory.extra_env, problems)
    fleet = _Fleet(
        inventory=inventory,
        problems=problems,
        port_of=ports(menu, hosts_of, problems),
        releases=known_releases(hosts, inventory.unchecked, problems),
        options=Options(extras, inventory.adapters, problems),
        memory=MemoryJudge(inventory.facts, problems),
        destinations={name: read_destinations(declared, problems, name) for name, declared in inventory.hosts.items()},
    )
    on_host: dict[str, list[Entry]] = {}
    for entry in menu:
        for name in hosts_of[entry.name]:
            on_host.setdefault(name, []).append(entry)
    planned = {host.name: fleet.host(host, on_host.get(host.name, [])) for host in hosts}
    services = {name: part.services for name, part in planned.items()}
    gateway = plan_gateway(inventory.gateways, inventory.hosts, services, keyed=inventory.keyed, problems=problems)
    check_fanout(inventory.hosts, services, gateway, problems)
    for name, part in planned.items():
        closed = firewall(gateway, inventory.hosts[name], part.services, fleet.destinations[name])
        planned[name] = replace(part, firewall=closed)
    plan = FleetPlan(planned, gateway)
    # A model that no readable host serves is checked all the same, so that all its mistakes are told in this run.
    readable = {host.name for host in hosts}
    for entry in menu:
        if readable.isdisjoint(hosts_of[entry.name]):
            asked = {read_release(inventory.hosts[name]) for name in hosts_of[entry.name]}
            for version in sorted(asked) or [""]:
                fleet.options.read(entry, release(version))
    if not inventory.keyed:
        listening = sorted({listens_on(*host, keyed=False) for host in inventory.hosts.items()})
        problems.warn(
            "vllm_api_key",
            f"is not set: whoever reaches an endpoint may use it (they listen on {', '.join(listening) or LOOPBACK})",
            "Set vllm_api_key from a vault",
        )
    if problems.found:
        plan = FleetPlan({})
    document = {} if problems.found else plan.document()
    return Outcome(plan, document, digest(document), sorted(problems.found), sorted(problems.warned))


@dataclass(frozen=True)
class _Fleet:
    """What holds for every host while the plan is made."""

    inventory: Inventory
    problems: Problems
    port_of: Mapping[str, int]
    releases: Mapping[str, Release | None]
    options: Options
    memory: MemoryJudge
    destinations: Mapping[str, Sequence[str] | str | None]

    def host(self, host: DeclaredHost, entries: Sequence[Entry]) -> HostPlan:
        """One host's part of the plan: its engine, its weights and its services in the order of their starts."""
        known = self.releases[host.release]
        read = [(entry, self.options.read(entry, known)) for entry in entries]
        placed = place(host, read, self.problems)
        shares = share(host, read, placed, whole_share(known), self.problems)
        address = listens_on(host.name, self.inventory.hosts[host.name], keyed=self.inventory.keyed)
        weights: dict[str, Weights] = {}
        services: list[Service] = []
        for entry, args in read:
            at, digests, gpus = f"vllm_models.{entry.name}", self.inventory.digests, placed.get(entry.name, ())
            own = locate(at, entry.source, digests, self.problems)
            adapters = {
                name: locate(f"{at}.adapters.{name}", source, digests, self.problems)
                for name, source in entry.adapters.items()
            }
            weights.update({item.path: item for item in (own, *adapters.values())})
            whole = derived_arguments(args, adapters, shares.get(entry.name), known)
            advise(host.name, entry, args, self.destinations[host.name], self.problems)
            # Engines that profile one device at the same time fail each other; sharers wait for the earlier ones.
            after = [s.unit for s in services if host.gpu_count == 0 or not set(s.gpus).isdisjoint(gpus)]
            services.append(
                service(
                    host,
                    entry,
                    whole,
                    known,
                    weights=own,
                    gpus=gpus,
                    address=address,
                    port=self.port_of.get(entry.name, 0),
                    keyed=self.inventory.keyed,
                    after=after,
                    memory=self.memory.of(entry, args, shares.get(entry.name), host, known, gpus),
                    without_kernels=attention_without(
                        host.kinds(gpus), args, self.memory.facts(entry), host.release, host.accelerator
                    ),
                )
            )
        engine = Engine(host.release, host.accelerator, engine_path(host.release), tuple(packages(services)))
        declared, locks = self.inventory.hosts[host.name], self.inventory.locks.get(host.name, {})
        check_kernels(host, declared, locks, services, self.problems)
        return HostPlan(
            host=declared_as(host),
            engine=engine if services else None,
            weights=tuple(weights.values()),
            services=tuple(services),
        )


def _refuse_same_names(menu: Sequence[Entry], problems: Problems) -> None:
    owner: dict[str, str] = {}
    for entry in menu:
        for name in (entry.name, *entry.aliases, *entry.adapters):
            if name in owner:
                problems.add(
                    f"vllm_models.{entry.name}",
                    f"clients could not tell it from {owner[name]}: both answer to {name!r}",
                    "Give each model, alias and adapter a name of its own",
                )
            owner.setdefault(name, entry.name)


def _assign(menu: Sequence[Entry], inventory: Inventory, problems: Problems) -> dict[str, tuple[str, ...]]:
    """The hosts of every entry, in the inventory's order."""
    everywhere = tuple(inventory.hosts)
    matched: dict[str, list[str]] = {}
    hosts_of: dict[str, tuple[str, ...]] = {}
    for entry in menu:
        if entry.hosts is None:
            hosts_of[entry.name] = everywhere
            continue
        if entry.hosts not in matched:
            matched[entry.hosts] = list(inventory.match(entry.hosts))
        names = matched[entry.hosts]
        key = f"vllm_models.{entry.name}.hosts"
        strangers = [name for name in names if name not in inventory.hosts]
        if not names:
            problems.add(
                key, f"the pattern {entry.hosts!r} matches no host", "Correct it, or add the hosts to the inventory"
            )
        for name in strangers:
            problems.add(
                key,
                f"{entry.hosts!r} matches {HOSTS}, outside the group gpu_hosts",
                "Add them to gpu_hosts, or narrow the pattern: `pattern:&gpu_hosts`",
                name,
            )
        hosts_of[entry.name] = tuple(name for name in names if name in inventory.hosts)
    return hosts_of
