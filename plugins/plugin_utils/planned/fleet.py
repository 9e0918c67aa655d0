"""The plan of a fleet: by host its engine, weights, services and firewall; for all of it the gateways."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd.model import WantedRocm as Rocm
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings import GpuSetting
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import KEY, OPTIONAL, build, json_form
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.gateway import GatewayPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service

_OPTIONAL = {OPTIONAL: True}


@dataclass(frozen=True)
class GpuKind:
    """One GPU as declared: `name` "" and `memory` (bytes) None where nothing was."""

    name: str = ""
    memory: int | None = None


@dataclass(frozen=True)
class Declared:
    """What the inventory says of a host: what is found there is compared with this.

    `gpu_name` "" and `gpu_memory` (bytes of one GPU) None where nothing was declared; `driver` a branch ("580") or a
    version, "" for any. `cut` are indices that the inventory has cut (MIG). A host with several kinds has `gpus`, by index.
    """

    accelerator: str
    release: str = ""
    gpu_count: int = 0
    gpu_name: str = ""
    gpu_memory: int | None = None
    gpus: tuple[GpuKind, ...] = field(default=(), metadata=_OPTIONAL)
    driver: str = ""
    cut: tuple[int, ...] = ()
    settings: tuple[GpuSetting, ...] = ()
    rocm: Rocm | None = None

    def kind(self, index: int) -> GpuKind:
        """What is declared of one GPU."""
        return self.gpus[index] if index < len(self.gpus) else GpuKind(self.gpu_name, self.gpu_memory)


@dataclass(frozen=True)
class Engine:
    """The vLLM release of a host and where it lies there; `packages` of the distribution that its services call for."""

    release: str
    accelerator: str
    path: str
    packages: tuple[str, ...] = field(default=(), metadata=_OPTIONAL)


@dataclass(frozen=True)
class Weights:
    """One set of files on a host. `source` is hub (`repo` at the commit `revision`), pushed (from the control node's directory
    `pushed_from`, with the SHA-256 `digest`) or host (they lie there already); `path` is where, on the host."""

    source: str
    repo: str = field(default="", metadata=_OPTIONAL)
    revision: str = field(default="", metadata=_OPTIONAL)
    pushed_from: str = field(default="", metadata={KEY: "from", **_OPTIONAL})
    path: str = ""
    digest: str = field(default="", metadata=_OPTIONAL)

    @property
    def origin(self) -> str:
        """As a person would name them: `Org/Name@commit`, a pushed directory and its content, or the host's path."""
        if self.source == "host":
            return self.path
        return f"{self.repo or self.pushed_from or None}@{(self.revision or self.digest)[:12]}"


@dataclass(frozen=True)
class Firewall:
    """What a host's firewall closes: `sources` may open connections to `ports`, None for everybody; engines may connect to
    `destinations`, None for all; `peers`: whether those reach every port of the engines as well; `served`: ports that clients
    reach without a gateway."""

    ports: tuple[int, ...]
    sources: tuple[str, ...] | None = None
    destinations: tuple[str, ...] | None = None
    peers: bool = False
    served: tuple[int, ...] = field(default=(), metadata=_OPTIONAL)


@dataclass(frozen=True)
class HostPlan:
    """One host's part. A host that serves nothing has neither engine nor firewall; services are in the order of their starts."""

    host: Declared | None = None
    engine: Engine | None = None
    weights: tuple[Weights, ...] = ()
    services: tuple[Service, ...] = ()
    firewall: Firewall | None = None


@dataclass(frozen=True)
class FleetPlan:
    """The whole fleet, by host in the inventory's order; `gateway` None where the inventory has none."""

    hosts: Mapping[str, HostPlan]
    gateway: GatewayPlan | None = None

    @property
    def keepers(self) -> tuple[str, ...]:
        """The hosts that keep the record of who changes the fleet: the gateways, or where there are none all hosts."""
        return self.gateway.hosts if self.gateway is not None else tuple(self.hosts)

    @property
    def endpoints(self) -> Iterator[tuple[str, Service]]:
        """Every service with its host, in the plan's order."""
        return ((host, service) for host, planned in self.hosts.items() for service in planned.services)

    def document(self) -> dict[str, object]:
        """The JSON form, which roles and playbooks read."""
        form: dict[str, object] = json_form(self)
        return form


def read_plan(document: Mapping[str, object]) -> FleetPlan:
    """The plan from its JSON form. Raises TypeError where a part lacks what makes it one."""
    return build(FleetPlan, document)


def read_services(documents: Sequence[Mapping[str, object]]) -> list[Service]:
    """The services of one host from their JSON form."""
    return [build(Service, document) for document in documents]


def digest(document: Mapping[str, object]) -> str:
    """SHA-256 of the JSON form of a plan."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
