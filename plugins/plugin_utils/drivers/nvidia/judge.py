"""From one look at a host to everything that the role does next; pure, on the control node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.key import fingerprints
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    DriverState,
    Resolution,
    WantedDriver,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import (
    commands,
    persistence,
    refusals,
    repository,
    rules,
    systems,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.decide import (
    DriverDecision,
    Policy,
    decide,
    decide_absent,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose import diagnose
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.resolve import installed_meets, resolve
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.systems import SystemRelease
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

# Every file of ours that a host may have.
PATHS = (*repository.PATHS, *rules.PATHS, persistence.PATH)
# Files without which the package lists are others.
_SOURCES = (repository.SOURCES, repository.MIRRORS, repository.SECURITY_MIRRORS, repository.REPO)


@dataclass(frozen=True)
class DriverRequest:
    """What is asked of one host: `mirror_key` is the text of the operator's own key, `declared` the inventory's gpu_count.

    `absent` takes the driver away. `stuck` is why the module could not be exchanged a moment ago, "" otherwise. `settled` is
    what an earlier look of this run came to: it holds while no module is built that would tell of it.
    """

    wanted: WantedDriver
    policy: Policy = field(default_factory=Policy)
    mirror_key: str = ""
    declared: int = 0
    absent: bool = False
    stuck: str = ""
    settled: Resolution | None = None


@dataclass(frozen=True)
class DriverVerdict:
    """What follows. `ask` wants another look with offers, after `files`, `key` and `update`, which set up the source.

    `files` are those that differ from what they must be, `remove` those that must go. `unhealed` are findings that
    stand in the way of serving, and that no step of `decision` heals.
    """

    findings: tuple[Finding, ...] = ()
    unhealed: tuple[Finding, ...] = ()
    decision: DriverDecision = field(default_factory=DriverDecision)
    resolution: Resolution | None = None
    ask: bool = False
    files: tuple[HostFile, ...] = ()
    remove: tuple[str, ...] = ()
    key: repository.Key | None = None
    update: tuple[str, ...] = ()

    @property
    def idle(self) -> bool:
        """Whether the host is as it must be, needs no further look, and has nothing that only a person can mend."""
        return self.decision.idle and not (self.ask or self.unhealed)

    @property
    def repository(self) -> bool:
        """Whether files must be written before anything else."""
        return bool(self.ask or self.files or self.remove or self.key)


def judge(state: DriverState, texts: Mapping[str, str], request: DriverRequest) -> DriverVerdict:
    """`texts` are the contents of those of `PATHS` that exist on the host."""
    system = systems.supported(state.system)
    if system is None:
        return _refused([refusals.system(state.system)])
    if request.absent:
        return DriverVerdict(
            decision=decide_absent(state, system.family),
            remove=_ours(texts),
        )
    wanted = request.wanted
    resolution: Resolution | None = installed_meets(wanted, state)
    if resolution is None and state.offers is not None:
        outcome = resolve(wanted, state)
        if not isinstance(outcome, Resolution):
            return _refused(outcome)
        resolution = outcome
    elif resolution is None and request.settled is not None:
        resolution = _left(request.settled, state)
    verdict = _files(state, texts, request, system, resolution)
    findings = diagnose(
        replace(state, files=tuple(file.path for file in verdict.files)), wanted, resolution, request.declared
    )
    if resolution is None:
        stop = tuple(f for f in findings if f.fatal and not f.heal and f.name not in request.policy.accept)
        return replace(verdict, findings=tuple(findings), decision=DriverDecision(refusals=stop), ask=not stop)
    decision = decide(state, wanted, resolution, findings, request.policy, system.family, request.stuck)
    unhealed: tuple[Finding, ...] = ()
    if decision.idle and not verdict.repository:
        unhealed = tuple(f for f in findings if f.fatal and f.name not in request.policy.accept)
    return replace(verdict, findings=tuple(findings), unhealed=unhealed, decision=decision, resolution=resolution)


def _left(settled: Resolution, state: DriverState) -> Resolution:
    """A resolution after its transaction: what went is not to go again; no package has the name that brought headers."""
    return replace(
        settled,
        packages={name: full for name, full in settled.packages.items() if full or name in state.packages},
        remove=tuple(name for name in settled.remove if name in state.packages),
    )


def _refused(findings: list[Finding]) -> DriverVerdict:
    return DriverVerdict(findings=tuple(findings), decision=DriverDecision(refusals=tuple(findings)))


def _files(
    state: DriverState,
    texts: Mapping[str, str],
    request: DriverRequest,
    system: SystemRelease,
    resolution: Resolution | None,
) -> DriverVerdict:
    """The part of the verdict about files: sources, key, pins, rules of modprobe."""
    mirror_key = request.mirror_key
    expected = [
        *repository.files(request.wanted, state.system, state.archives, mirror_key),
        *(repository.pins(resolution, system.family) if resolution else ()),
        *rules.files(state, texts),
        *persistence.files(state, texts, request.wanted),
    ]
    differing = tuple(file for file in expected if texts.get(file.path) != file.content)
    key = repository.key(request.wanted, state.system, mirror_key)
    kept = {file.path for file in expected} | {repository.PREFERENCES} | ({key.path} if key else set())
    remove = tuple(path for path in _ours(texts) if path not in kept)
    if key and _key_there(key, texts.get(key.path, ""), mirror_key):
        key = None
    stale = resolution is None or key or any(path in _SOURCES for path in (*(f.path for f in differing), *remove))
    return DriverVerdict(
        files=differing, remove=remove, key=key, update=commands.update(system.family) if stale else ()
    )


def _ours(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Files that may be taken away: an operator's own of the same name (options for the module, a unit) has no mark of ours."""
    keys = repository.KEYS.values()
    return tuple(path for path in PATHS if path in texts and (path in keys or repository.MARK in texts[path]))


def _key_there(key: repository.Key, found: str, local: str) -> bool:
    return found == local if key.local else key.fingerprint in fingerprints(found.encode())
