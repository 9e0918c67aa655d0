"""The unit of a planned service: its text, the devices that it may open, and the digest of all that its process depends on."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2
from ansible_collections.baremetal.vllm.plugins.module_utils.units import quoting
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import MARK, WILDCARDS, PlannedUnit, ProvedBy
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import DIGEST, digest_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.start_order import FIRST, WANTS
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import json_form
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service


def devices(accelerator: str, gpus: Sequence[int], outward: bool) -> list[str]:
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


def render_unit(template: jinja2.Template, service: Service, secrets: str) -> PlannedUnit:
    """The unit of one planned service. `secrets` is the path of the secret environment on the host.

    `PlannedUnit.digest` is `unitfile.digest_of` its text.
    """
    engine = service.argv[0].rpartition("/bin/")[0]
    connect = WILDCARDS.get(service.address, service.address)
    wait = [f"{engine}/bin/python", "-I", "/usr/local/libexec/vllm-wait-ready", connect, str(service.port)]
    values: dict[str, object] = {
        "mark": MARK,
        "service": service,
        "command": quoting.command(service.argv),
        "ready_first": ["network-online.target", *FIRST.get(service.accelerator, ())],
        "wants": ["network-online.target", *WANTS.get(service.accelerator, ())],
        # An engine may be an image, which a unit of the host's mounts; where it is none this asks for nothing.
        "mounts": " ".join(quoting.command_word(path).replace("$$", "$") for path in (engine, service.weights)),
        "asserts": [quoting.path(engine + "/.complete.json"), quoting.path(service.weights)],
        "ready": " ".join(quoting.command_word(word) for word in [*wait, service.kind, service.name]),
        "secrets": secrets,
        "devices": devices(service.accelerator, service.gpus, service.outward),
        "groups": "video render" if service.accelerator == "rocm" else "",
    }
    undigested = template.render(**values, environment=quoting.environment(service.environment), after=[])
    digest = digest_of(undigested)
    environment = quoting.environment({**service.environment, DIGEST: digest})
    return PlannedUnit(
        unit=service.unit,
        name=service.name,
        text=template.render(**values, environment=environment, after=list(service.after)),
        digest=digest,
        release=service.release,
        weights=service.weights,
        revision=service.revision,
        service=_proved_by(service),
    )


def _proved_by(service: Service) -> ProvedBy:
    return {
        "name": service.name,
        "unit": service.unit,
        "kind": service.kind,
        "address": service.address,
        "port": service.port,
        "served_names": list(service.served_names),
        "prove": json_form(service.prove),
    }
