"""Unit files from planned services: Python decides every value, the template prints them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.service import quoting

# The first line of every unit of ours, by which units that are no longer planned are known.
MARK = "# Managed by baremetal.vllm"
DIGEST = "BAREMETAL_VLLM_DIGEST"


# What must be up before an engine may look for its GPUs; units that a host does not have are passed over by systemd.
FIRST = {"cuda": ("nvidia-persistenced.service", "nvidia-fabricmanager.service")}


@dataclass(frozen=True)
class Unit:
    """A unit as the host module takes it. `digest` identifies all that a running process depends on."""

    unit: str
    name: str
    text: str
    digest: str
    release: str
    weights: str
    revision: str


def devices(accelerator: str, gpus: list[int]) -> list[str]:
    """`DeviceAllow=` values: the unit's own GPUs and what every GPU program needs, nothing else.

    The nodes are those of NVIDIA's driver documentation ("Device Node Verification") and of AMD's ROCm documentation
    ("Running ROCm Docker containers"); AMD numbers its render nodes from 128.
    """
    if accelerator == "cuda":
        common = ["/dev/nvidiactl rw", "/dev/nvidia-uvm rw", "/dev/nvidia-uvm-tools rw", "char-nvidia-caps rw"]
        return [f"/dev/nvidia{gpu} rw" for gpu in gpus] + common
    if accelerator == "rocm":
        return ["/dev/kfd rw"] + [f"/dev/dri/renderD{128 + gpu} rw" for gpu in gpus]
    return []


def render_unit(template: Any, service: Mapping[str, Any], secrets: str) -> Unit:
    """The unit of one planned service. `template` is a loaded Jinja template, `secrets` the path of the secret environment.

    The digest is of the [Service] section alone: a neighbour that comes or goes (`After=`) restarts nobody.
    """
    engine = service["argv"][0].rpartition("/bin/")[0]
    connect = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(service["address"], service["address"])  # noqa: S104
    wait = [f"{engine}/bin/python", "-I", "/usr/local/libexec/vllm-wait-ready", connect, str(service["port"])]
    values: dict[str, Any] = {
        "mark": MARK,
        "service": service,
        "command": quoting.command(service["argv"]),
        "ready_first": ["network-online.target", *FIRST.get(service["accelerator"], ())],
        "mounts": quoting.command_word(service["weights"]).replace("$$", "$"),
        "asserts": [quoting.path(engine + "/.complete.json"), quoting.path(service["weights"])],
        "ready": " ".join(quoting.command_word(word) for word in [*wait, service["kind"], service["name"]]),
        "secrets": secrets,
        "devices": devices(service["accelerator"], service["gpus"]),
        "groups": "video render" if service["accelerator"] == "rocm" else "",
    }
    undigested = template.render(**values, environment=quoting.environment(service["environment"]), after=[])
    digest = hashlib.sha256(_service_section(undigested).encode()).hexdigest()
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
    )


def _service_section(text: str) -> str:
    section = text.partition("[Service]\n")[2].partition("[Install]\n")[0]
    return "\n".join(line for line in section.splitlines() if not line.startswith("#"))


def as_dict(unit: Unit) -> dict[str, str]:
    return asdict(unit)
