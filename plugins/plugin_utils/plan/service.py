"""One planned service: what a unit runs, where, with what, and what its endpoint must prove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.environment import as_text
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.model import Release
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.sizes import size
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.words import words
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.hosts import DeclaredHost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import Entry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.sandbox import loopback, moves_tensors, spans
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Weights
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Memory, Proofs, Service

ENGINES = "/opt/vllm"
CACHE = "/var/cache/vllm"
# Seconds beyond --shutdown-timeout after which systemd ends what a client that never closes its stream keeps alive.
STOP_MARGIN = 30
# Seconds that running requests are given when their engine is stopped. With vLLM's own 0 a running stream never ends.
SHUTDOWN_TIMEOUT = 60


def engine_path(release: str) -> str:
    """Where one release is installed on every host."""
    return f"{ENGINES}/{release}"


def unit_name(model: str) -> str:
    """The systemd unit of a model."""
    return f"vllm-{model}.service"


def derived_arguments(
    args: Values,
    adapters: Mapping[str, Weights],
    share: float | None,
    release: Release | None,
) -> dict[str, object]:
    """The operator's args and what follows from the rest of the entry; what is written always wins."""
    known = release.options if release is not None else {}
    derived = {"shutdown-timeout": SHUTDOWN_TIMEOUT, **args} if "shutdown-timeout" in known else dict(args)
    if adapters:
        derived["lora-modules"] = [f"{name}={item.path}" for name, item in adapters.items()]
    if share is not None:
        derived.setdefault("gpu-memory-utilization", share)
    return derived


def service(
    host: DeclaredHost,
    entry: Entry,
    args: Values,
    release: Release | None,
    *,
    weights: Weights,
    gpus: Sequence[int],
    address: str,
    port: int,
    keyed: bool,
    after: Sequence[str],
    memory: Memory,
    without_kernels: Sequence[str] = (),
) -> Service:
    """The service of one entry on one host; `args` by canonical option, derived ones included."""
    engine, names = engine_path(host.release), [entry.name, *entry.aliases]
    command = [f"{engine}/bin/vllm", "serve", weights.path, "--host", address, "--port", str(port)]
    command += ["--served-model-name", *names]
    return Service(
        name=entry.name,
        unit=unit_name(entry.name),
        kind=entry.kind,
        accelerator=host.accelerator,
        release=host.release,
        argv=(*command, *(word for option, value in args.items() for word in words(option, value, release))),
        environment={**_environment(host, engine, gpus), **loopback(args), **as_text(entry.env, release)},
        address=address,
        port=port,
        gpus=tuple(gpus),
        outward=moves_tensors(args),
        memory=memory,
        after=tuple(after),
        served_names=tuple(names),
        weights=weights.path,
        origin=weights.origin,
        revision=weights.revision or weights.digest,
        start_timeout=entry.start_timeout,
        stop_timeout=STOP_MARGIN + (whole(args.get("shutdown-timeout")) or 0),
        prove=_proofs(entry, args, keyed),
        without_kernels=tuple(without_kernels),
    )


def _environment(host: DeclaredHost, engine: str, gpus: Sequence[int]) -> dict[str, str]:
    # A unit may open its own GPUs and no others, and CUDA and HIP count those that a process may open, from 0; with the
    # host's indices vLLM finds no GPU. Sources: NVIDIA/nvidia-docker issue 170, AMD-AGI/Hyperloom pull request 1582
    # ("4,5,6,7"), Slurm's src/interfaces/gres.h (gres_use_local_device_index), Linux's kfd_devcgroup_check_permission.
    visible = ",".join(str(sorted(gpus).index(i)) for i in gpus)
    by_accelerator = {
        # Without PCI order, CUDA numbers GPUs by speed, and not as nvidia-smi does.
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


def _adapter_names(args: Values) -> list[str]:
    given = args.get("lora-modules") or []
    names = []
    for item in given if isinstance(given, (list, tuple)) else [given]:
        names.append(str(item.get("name")) if isinstance(item, Mapping) else str(item).partition("=")[0])
    return names


def _proofs(entry: Entry, args: Values, keyed: bool) -> Proofs:
    return Proofs(
        kind=entry.kind,
        key=keyed,
        tools=args.get("enable-auto-tool-choice") is True,
        reasoning=bool(args.get("reasoning-parser")),
        adapters=tuple(_adapter_names(args)),
        max_model_len=size(args.get("max-model-len")),
        meaning=entry.prove.get("meaning", True),
        structured=entry.prove.get("structured", True),
        # The option by which the engine's other ports are meant to be reached from elsewhere.
        outside=spans(args),
    )
