"""Unit files from planned services: Python decides every value, the template prints them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.units import quoting
from ansible_collections.baremetal.vllm.plugins.module_utils.units.generations import PROVED_BY
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import DIGEST, digest_of

# The first line of every unit of ours, by which units that are no longer planned are known.
MARK = "# Managed by baremetal.vllm"
# Addresses to listen on and not to connect to, with those to reach them from the host itself.
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (recognised, not bound)
DEVICE_NODES = "nvidia-device-nodes.service"
# What must be up before an engine may look for its GPUs; units that a host does not have are passed over by systemd.
FIRST = {
    "cuda": (
        *("nvidia-persistenced.service", "nvidia-fabricmanager.service", "nvidia-imex.service"),
        *("gpu-mig.service", "gpu-settings.service", DEVICE_NODES),
    )
}
# What each start of an engine brings along: its nodes are made, or mended, where they are not as they must be.
WANTS = {"cuda": (DEVICE_NODES,)}


@dataclass(frozen=True)
class Unit:
    """A unit as the host module takes it. `digest` identifies all that a running process depends on; `service` is what
    its endpoint is proved by."""

    unit: str
    name: str
    text: str
    digest: str
    release: str
    weights: str
    revision: str
    service: Mapping[str, Any] = field(default_factory=dict)


def devices(accelerator: str, gpus: list[int], outward: bool) -> list[str]:
    """`DeviceAllow=` values: the unit's own GPUs and what every GPU program needs, nothing else.

    `outward`, of an engine that spans hosts or moves its KV cache to others, opens the ways there too: RDMA (/dev/infiniband) and
    on NVIDIA the channels of IMEX.

    A GPU's index stands here for the number of its node; the host puts the number in its place (device_nodes.py).
    The nodes are those of NVIDIA's driver documentation ("Device Node Verification") and of AMD's ROCm documentation
    ("Running ROCm Docker containers"); AMD numbers its render nodes from 128. Names of device classes are those of /proc/devices,
    where systemd looks for them (systemd.resource-control(5)): infiniband_verbs of Linux, drivers/infiniband/core/uverbs_main.c
    (rdma_cm beside it is a device of class misc, and named by its path); nvidia-caps-imex-channels of NVIDIA's nv-caps-imex.c,
    which `char-nvidia-caps` alone does not mean.
    """
    rdma = ["char-infiniband_verbs rw", "/dev/infiniband/rdma_cm rw"] if outward else []
    if accelerator == "cuda":
        caps = f"char-nvidia-caps{'*' if outward else ''} rw"
        common = ["/dev/nvidiactl rw", "/dev/nvidia-uvm rw", "/dev/nvidia-uvm-tools rw", caps]
        return [f"/dev/nvidia{gpu} rw" for gpu in gpus] + common + rdma
    if accelerator == "rocm":
        return ["/dev/kfd rw"] + [f"/dev/dri/renderD{128 + gpu} rw" for gpu in gpus] + rdma
    return rdma


def render_unit(template: Any, service: Mapping[str, Any], secrets: str) -> Unit:
    """The unit of one planned service. `template` is a loaded Jinja template, `secrets` the path of the secret environment.

    `Unit.digest` is `unitfile.digest_of` its text.
    """
    engine = service["argv"][0].rpartition("/bin/")[0]
    connect = WILDCARDS.get(service["address"], service["address"])
    wait = [f"{engine}/bin/python", "-I", "/usr/local/libexec/vllm-wait-ready", connect, str(service["port"])]
    values: dict[str, Any] = {
        "mark": MARK,
        "service": service,
        "command": quoting.command(service["argv"]),
        "ready_first": ["network-online.target", *FIRST.get(service["accelerator"], ())],
        "wants": ["network-online.target", *WANTS.get(service["accelerator"], ())],
        "mounts": quoting.command_word(service["weights"]).replace("$$", "$"),
        "asserts": [quoting.path(engine + "/.complete.json"), quoting.path(service["weights"])],
        "ready": " ".join(quoting.command_word(word) for word in [*wait, service["kind"], service["name"]]),
        "secrets": secrets,
        "devices": devices(service["accelerator"], service["gpus"], service["outward"]),
        "groups": "video render" if service["accelerator"] == "rocm" else "",
    }
    undigested = template.render(**values, environment=quoting.environment(service["environment"]), after=[])
    digest = digest_of(undigested)
    environment = quoting.environment({**service["environment"], DIGEST: digest})
    text = template.render(**values, environment=environment, after=service["after"])
    return Unit(
        unit=service["unit"],
        name=service["name"],
        text=text,
        digest=digest,
        release=service["release"],
        weights=service["weights"],
        revision=service["revision"],
        service={key: service[key] for key in PROVED_BY},
    )


def as_dict(unit: Unit) -> dict[str, object]:
    """A unit's JSON form, as module model_service takes it among its `units`."""
    return asdict(unit)
