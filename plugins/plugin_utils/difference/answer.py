"""What host_state answers of one host, as JSON: what runs there, and what the plan would change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from ansible_collections.baremetal.vllm.plugins.module_utils.units.observe import UnitFacts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.report.proved import Endpoint


class CauseForm(TypedDict, total=False):
    """The JSON form of `Cause` (plugins/module_utils/units/causes.py)."""

    what: str
    name: str
    before: str | None
    after: str | None
    hidden: bool


class StepForm(TypedDict):
    """The JSON form of `UnitStep` (plugins/module_utils/units/decide.py)."""

    unit: str
    verb: str
    why: str
    write: bool
    enable: bool
    causes: Sequence[CauseForm]


class EngineImage(TypedDict):
    """The image that the planned release is mounted from, or would be: its digest, bytes (0 where the host has it), whether the
    host has it whole."""

    digest: str
    size: int
    held: bool


class EngineChange(TypedDict, total=False):
    """What would change about a host's engines: whether `release` is installed and why, packages of the distribution that come
    with it, releases that go; `image`: what it comes from, None where that is no image; `refused`: the line among the host's
    refusals that is about its engine."""

    release: str
    install: bool
    why: str
    packages: Sequence[str]
    remove: Sequence[str]
    image: EngineImage | None
    refused: str


class WeightsFound(TypedDict):
    """One item of the plan's weights as found (`plugins/module_utils/weights/store.py`); `size` in bytes."""

    path: str
    state: str
    detail: str
    size: int


class FilesetDifference(TypedDict):
    """What module unit_files would do to a set of files: `steps` in words; `unknown`: why it could not be compared."""

    steps: Sequence[str]
    warnings: Sequence[str]
    unknown: Sequence[str]


class HostAnswer(TypedDict, total=False):
    """`status` is read; or unreachable or failed, and then there is `why` and nothing else. `whole`: whether root looked.

    `unread`: units that systemd has not read in; `doubts`: what keeps units from being changed; `gpus`: by topic why a role
    would do something (`differs`) or not go on (`refused`); `answers`: results of module endpoint_check, `unasked`: why there
    are none; `holder`: who holds the fleet; `gateway`: what module gateway_server (query) says there, {} where it is none;
    `forced`: topics whose role was told to do its work whatever is found.
    """

    schema: int
    host: str
    status: str
    why: str
    unread: Sequence[str]
    doubts: Sequence[str]
    weights_files: Sequence[str]
    filesets: dict[str, FilesetDifference]
    gpus: Mapping[str, Mapping[str, str]]
    answers: Sequence[Endpoint]
    unasked: str
    holder: Mapping[str, Any]
    gateway: Mapping[str, Any]
    forced: Sequence[str]
    generation: Mapping[str, Any]
    canary: Mapping[str, Any] | None
    upkeep: Mapping[str, Any]
    steps: Sequence[StepForm]
    units: Mapping[str, UnitFacts]
    engine: EngineChange
    weights: Sequence[WeightsFound]
    warm: Mapping[str, Any]
    files: Sequence[str]
    refusals: Sequence[str]
    whole: bool
