"""The plan: one pure function from the inventory to what every host shall run.

Everything downstream (engine, weights, units, proofs, report) reads what `plan_fleet` returns and derives none of it
again. It touches no host, no file and no clock: the caller resolves host patterns and hashes pushed directories.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.plan import arguments
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.hosts import Host, read_host
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.menu import Entry, Source, read_menu, whole
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.placement import place, ports
from ansible_collections.baremetal.vllm.plugins.module_utils.plan.problems import Problem, Problems

ENGINES = "/opt/vllm"
MODELS = "/var/lib/vllm/models"
CACHE = "/var/cache/vllm"
# What vLLM takes of a GPU when nothing is said (its own default for gpu-memory-utilization), divided among sharers.
GPU_SHARE = 0.9
# Seconds beyond --shutdown-timeout after which systemd ends what a client that never closes its stream keeps alive.
STOP_MARGIN = 30


@dataclass(frozen=True)
class Inventory:
    """What the operator wrote, as plain data.

    `hosts`: host name to its variables; `match`: an Ansible host pattern to host names (of the whole inventory);
    `digests`: pushed directory of the control node to the SHA-256 of its content, or to a sentence that says why not.
    """

    models: Any
    hosts: Mapping[str, Mapping[str, Any]]
    match: Callable[[str], Sequence[str]]
    digests: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None
    keyed: bool = False


@dataclass(frozen=True)
class Outcome:
    """`plan`: what DESIGN calls the plan, JSON-ready (empty when refused); `digest`: its SHA-256; the rest for people."""

    plan: dict[str, Any]
    digest: str
    problems: list[Problem]
    warnings: list[Problem]


def plan_fleet(inventory: Inventory) -> Outcome:
    """Resolve the whole fleet, or refuse with every problem there is."""
    problems = Problems()
    menu = read_menu(inventory.models, problems)
    read = {name: read_host(name, declared, problems) for name, declared in inventory.hosts.items()}
    hosts = [host for host in read.values() if host is not None]
    if not inventory.hosts:
        problems.add("gpu_hosts", "is an empty group", "Put at least one host into the inventory group gpu_hosts")
    _refuse_same_names(menu, problems)
    port_of = ports(menu)
    arguments_of = {entry.name: _arguments(entry, problems) for entry in menu}
    on_host = _assign(menu, inventory, problems)
    address = inventory.address or ("0.0.0.0" if inventory.keyed else "127.0.0.1")  # noqa: S104 (guarded by the key)
    if not inventory.keyed:
        problems.warn(
            "vllm_api_key",
            f"is not set: whoever reaches an endpoint may use it (they listen on {address})",
            "Set vllm_api_key from a vault",
        )
    plan: dict[str, Any] = {"hosts": {}}
    for host in hosts:
        entries = [(entry, arguments_of[entry.name]) for entry in on_host.get(host.name, [])]
        _refuse_same_ports(host, [entry for entry, _ in entries], port_of, problems)
        placed = place(host, entries, problems)
        plan["hosts"][host.name] = _host_plan(host, entries, placed, port_of, address, inventory, problems)
    if problems.found:
        plan = {}
    canonical = json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
    return Outcome(plan, digest, sorted(problems.found), sorted(problems.warned))


def _arguments(entry: Entry, problems: Problems) -> dict[str, Any]:
    at = f"vllm_models.{entry.name}"
    args = arguments.read_arguments(f"{at}.args", entry.args, problems)
    args = {o: v for o, v in args.items() if arguments.check_value(f"{at}.args.{o}", o, v, problems)}
    arguments.check_environment(f"{at}.env", entry.env, problems)
    if entry.kind == "reasoning" and not args.get("reasoning-parser"):
        problems.add(
            f"{at}.args.reasoning-parser",
            "is missing for a model of kind reasoning",
            "Name the parser of the model's family (deepseek_r1, qwen3, …), or set kind: chat",
        )
    if args.get("enable-auto-tool-choice") is True and not args.get("tool-call-parser"):
        problems.add(
            f"{at}.args.tool-call-parser",
            "is missing, and enable-auto-tool-choice needs it",
            "Name the parser of the model's family (hermes, llama3_json, …)",
        )
    if entry.adapters and "lora-modules" in args:
        problems.add(f"{at}.args.lora-modules", "stands beside `adapters`", "Keep one of the two")
    return args


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


def _refuse_same_ports(host: Host, entries: Sequence[Entry], port_of: Mapping[str, int], problems: Problems) -> None:
    owner: dict[int, str] = {}
    for entry in entries:
        port = port_of[entry.name]
        if port in owner:
            problems.add(
                f"vllm_models.{entry.name}.port",
                f"{port} is also the port of {owner[port]} on {host.name}",
                "Give one of them another port, or leave `port` out",
            )
        owner.setdefault(port, entry.name)


def _assign(menu: Sequence[Entry], inventory: Inventory, problems: Problems) -> dict[str, list[Entry]]:
    """Entries by host name, in menu order."""
    on_host: dict[str, list[Entry]] = {}
    for entry in menu:
        key = f"vllm_models.{entry.name}.hosts"
        names = list(inventory.hosts) if entry.hosts is None else list(inventory.match(entry.hosts))
        strangers = [name for name in names if name not in inventory.hosts]
        if entry.hosts is not None and not names:
            problems.add(
                key, f"the pattern {entry.hosts!r} matches no host", "Correct it, or add the hosts to the inventory"
            )
        if strangers:
            problems.add(
                key,
                f"{entry.hosts!r} matches {', '.join(strangers)}, outside the group gpu_hosts",
                "Add them to gpu_hosts, or narrow the pattern: `pattern:&gpu_hosts`",
            )
        for name in names:
            on_host.setdefault(name, []).append(entry)
    return on_host


def _weights(at: str, source: Source, inventory: Inventory, problems: Problems) -> dict[str, str]:
    """Where one model's files come from and lie: `source`, `path`, and what identifies their content."""
    if source.origin == "hub":
        path = f"{MODELS}/hub/models--{source.model.replace('/', '--')}/{source.revision}"
        return {"source": "hub", "repo": source.model, "revision": source.revision, "path": path}
    if source.origin == "host":
        return {"source": "host", "path": source.model}
    digest = inventory.digests.get(source.push_from, "was not hashed")
    if len(digest) != 64:
        problems.add(
            f"{at}.push_from",
            f"{source.push_from}: {digest}",
            "Name a directory of the control node that holds the model",
        )
        return {"source": "pushed", "path": ""}
    stem = source.push_from.rstrip("/").rpartition("/")[2]
    path = f"{MODELS}/pushed/{stem}/{digest[:16]}"
    return {"source": "pushed", "from": source.push_from, "path": path, "digest": digest}


def _origin(item: Mapping[str, str]) -> str:
    """Weights as a person would name them: `Org/Name@commit`, a pushed directory and its content, or the host's path."""
    if item["source"] == "host":
        return item["path"]
    return f"{item.get('repo') or item.get('from')}@{(item.get('revision') or item.get('digest', ''))[:12]}"


def _host_plan(
    host: Host,
    entries: Sequence[tuple[Entry, dict[str, Any]]],
    placed: Mapping[str, tuple[int, ...]],
    port_of: Mapping[str, int],
    address: str,
    inventory: Inventory,
    problems: Problems,
) -> dict[str, Any]:
    engine = f"{ENGINES}/{host.release}"
    weights: dict[str, dict[str, str]] = {}
    services: list[dict[str, Any]] = []
    for entry, args in entries:
        at = f"vllm_models.{entry.name}"
        own = _weights(at, entry.source, inventory, problems)
        adapters = {n: _weights(f"{at}.adapters.{n}", s, inventory, problems) for n, s in entry.adapters.items()}
        weights.update({item["path"]: item for item in (own, *adapters.values())})
        gpus = placed.get(entry.name, ())
        # Engines that profile one device at the same time fail each other; those that share wait for the earlier ones.
        sharing = [s for s in services if host.gpu_count == 0 or set(s["gpus"]) & set(gpus)]
        args = _derived_arguments(host, entry, args, adapters, placed)
        names = [entry.name, *entry.aliases]
        command = [f"{engine}/bin/vllm", "serve", own["path"], "--host", address, "--port", str(port_of[entry.name])]
        command += ["--served-model-name", *names]
        services.append(
            {
                "name": entry.name,
                "unit": f"vllm-{entry.name}.service",
                "kind": entry.kind,
                "accelerator": host.accelerator,
                "release": host.release,
                "argv": command + [word for option, value in args.items() for word in arguments.words(option, value)],
                "environment": {**_environment(host, engine, gpus), **entry.env},
                "address": address,
                "port": port_of[entry.name],
                "gpus": list(gpus),
                "after": [s["unit"] for s in sharing],
                "served_names": names,
                "weights": own["path"],
                "origin": _origin(own),
                "revision": own.get("revision") or own.get("digest", ""),
                "start_timeout": entry.start_timeout,
                "stop_timeout": STOP_MARGIN + (whole(args.get("shutdown-timeout")) or 0),
                "prove": _proofs(entry, args, inventory.keyed),
            }
        )
    return {
        "engine": {"release": host.release, "accelerator": host.accelerator, "path": engine} if services else None,
        "weights": list(weights.values()),
        "services": services,
    }


def _derived_arguments(
    host: Host,
    entry: Entry,
    args: dict[str, Any],
    adapters: Mapping[str, Mapping[str, str]],
    placed: Mapping[str, tuple[int, ...]],
) -> dict[str, Any]:
    """The operator's args and what follows from the rest of the entry; what is written always wins."""
    derived = dict(args)
    if adapters:
        derived.setdefault("enable-lora", True)
        derived["lora-modules"] = [f"{name}={item['path']}" for name, item in adapters.items()]
    own = set(placed.get(entry.name, ()))
    sharers = max((sum(gpu in other for other in placed.values()) for gpu in own), default=1)
    if sharers > 1 and "kv-cache-memory-bytes" not in derived:
        derived.setdefault("gpu-memory-utilization", int(GPU_SHARE / sharers * 100) / 100)
    return derived


def _environment(host: Host, engine: str, gpus: Sequence[int]) -> dict[str, str]:
    visible = ",".join(str(i) for i in gpus)
    by_accelerator = {
        # Without PCI order, CUDA numbers GPUs by speed, and index 0 is another one than nvidia-smi's.
        "cuda": {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": visible},
        "rocm": {"HIP_VISIBLE_DEVICES": visible},
        # vLLM's own choice binds every engine to the same first cores.
        "cpu": {"VLLM_CPU_OMP_THREADS_BIND": "nobind"},
    }
    return {
        "PATH": f"{engine}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": CACHE,
        "XDG_CACHE_HOME": CACHE,
        "VLLM_CACHE_ROOT": f"{CACHE}/vllm",
        "TRITON_CACHE_DIR": f"{CACHE}/triton",
        "TORCHINDUCTOR_CACHE_DIR": f"{CACHE}/torchinductor",
        # Weights are there before the start; an endpoint that must ask a hub at start-up fails when the hub does.
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        **by_accelerator[host.accelerator],
    }


def _adapter_names(args: Mapping[str, Any]) -> list[str]:
    given = args.get("lora-modules") or []
    names = []
    for item in given if isinstance(given, (list, tuple)) else [given]:
        names.append(str(item.get("name")) if isinstance(item, Mapping) else str(item).partition("=")[0])
    return names


def _proofs(entry: Entry, args: Mapping[str, Any], keyed: bool) -> dict[str, Any]:
    """What endpoint_check must show of this service."""
    return {
        "kind": entry.kind,
        "key": keyed,
        "tools": args.get("enable-auto-tool-choice") is True,
        "reasoning": bool(args.get("reasoning-parser")),
        "adapters": _adapter_names(args),
        "max_model_len": arguments.size(args.get("max-model-len")),
        "meaning": entry.prove.get("meaning", True),
        "structured": entry.prove.get("structured", True),
    }
