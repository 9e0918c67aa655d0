"""What is to be done to a host's driver, from what was seen there: pure, asked again after every step."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import offers
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    DriverState,
    Resolution,
    User,
    WantedDriver,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import few
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import commands, hardware
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.command import DriverCommand
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.systems import DKMS, PREBUILT
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

# Units of this toolkit: they are stopped gracefully before the driver goes, and started again after it has come.
OURS = ("vllm-",)
# Prebuilt modules of one kernel: Ubuntu's linux-modules-nvidia-580-server-open-6.8.0-151-generic (not what follows a flavour),
# RHEL's kmod-nvidia-580.178.04-5.14.0-687.54.1.
_OF_ONE_KERNEL = re.compile(r"linux-modules-nvidia-.*-\d+\.\d+\.\d+-|kmod-nvidia-\d{3}\.[\d.]+-\d")
# Findings of files that an installed package has brought and that are gone.
_LOST = {"firmware-missing", "nvidia-smi-missing"}


@dataclass(frozen=True)
class Policy:
    """What the operator allows: rebooting, and findings to live with."""

    reboot: bool = False
    accept: tuple[str, ...] = ()


@dataclass(frozen=True)
class DriverDecision:
    """The steps for one host; every part is empty where nothing is to be done.

    `download` changes nothing that runs; `drain` are our units to stop before `install` and `load`; `heal` builds,
    holds and enables; `load` exchanges the module in the kernel. `reboot` says why the host must boot anew; `waits` why
    it cannot go on without leave to. `refusals` stop the host before anything is changed. `back` undoes `install` where that
    fails; `then` says what an installation is followed by.
    """

    refusals: tuple[Finding, ...] = ()
    download: tuple[DriverCommand, ...] = ()
    drain: tuple[str, ...] = ()
    install: tuple[DriverCommand, ...] = ()
    heal: tuple[DriverCommand, ...] = ()
    load: tuple[DriverCommand, ...] = ()
    reboot: str = ""
    waits: str = ""
    back: tuple[DriverCommand, ...] = ()
    then: str = ""

    @property
    def idle(self) -> bool:
        """Whether the host is as it must be: no step, no reboot, nothing waited for and nothing refused."""
        return not (self.install or self.heal or self.load or self.reboot or self.waits or self.refusals)


def decide(
    state: DriverState,
    wanted: WantedDriver,
    resolution: Resolution,
    findings: Sequence[Finding],
    policy: Policy,
    family: str,
    stuck: str = "",
) -> DriverDecision:
    """The steps that bring the host to `resolution`, or that heal what `findings` names.

    `stuck` is why the module could not be exchanged in the kernel, "" where that was not tried or went well.
    """
    refusals = tuple(f for f in findings if f.fatal and not f.heal and f.name not in policy.accept)
    if refusals:
        return DriverDecision(refusals=refusals)
    packages = commands.difference(resolution, state)
    # Those that the operator takes as they are need no healing either.
    findings = tuple(finding for finding in findings if finding.name not in policy.accept)
    names = {finding.name for finding in findings}
    install = (*(commands.mend(family) if state.broken else ()), *commands.install(family, resolution, state))
    # Headers and tools come and go without anybody noticing; the driver itself does not.
    moves = any(resolution.version in version for version in packages.values()) or bool(resolution.remove)
    lost = not packages and any(finding.fatal and finding.name in _LOST for finding in findings)
    if lost or commands.forgotten(resolution, state):
        install = (*install, *commands.reinstall(family, resolution, packages))
    change = _load_changes(state, resolution) or (moves and state.loaded is not None)
    ours, foreign = users(state)
    reboot = _reboot(state, resolution, moves, findings)
    if change and not reboot and stuck:
        reboot = f"the module could not be exchanged: {stuck}"
    if change and not reboot and foreign:
        reboot = f"{_named(foreign)} would lose the GPUs: the module cannot be exchanged while they run"
    waits = reboot if not policy.reboot else ""
    if waits and moves and state.loaded is not None:
        # Half a change would leave new programs with a library that the loaded module refuses.
        return DriverDecision(waits=waits)
    drain = ours if (change or reboot) and not waits else ()
    if packages or resolution.remove:
        return DriverDecision(
            download=tuple(commands.download(family, packages, resolution.remove)),
            drain=drain,
            install=install,
            back=(*commands.back(family, resolution, state), *commands.reload(state)),
            then=_then(state, change, reboot),
        )
    services = _services(state, wanted, "persistence-off" in names)
    needless = tuple(commands.FABRIC for f in findings if f.name == "fabric-manager-without-switch" and f.heal)
    heal = [*commands.build(resolution, state), *_initramfs(state, family), *commands.hold(family, resolution, state)]
    heal += [command for unit in needless for command in commands.disable(unit)]
    return DriverDecision(
        drain=drain,
        install=install,
        heal=(*heal, *commands.enable(services.enable)),
        # What needs the right module comes with the reboot.
        load=() if reboot else _load(state, services, change, names, needless),
        reboot="" if waits else reboot,
        waits=waits,
        back=tuple(commands.reload(state)) if change and not reboot else (),
        then=_then(state, change, reboot),
    )


def decide_absent(state: DriverState, family: str) -> DriverDecision:
    """The steps that take the driver away: models and services stop, the module leaves the kernel, the packages go."""
    ours, foreign = users(state)
    # Not the headers of a kernel that is called nvidia (linux-headers-nvidia of DGX OS).
    packages = [name for name, version in state.packages.items() if offers.belongs(name, version)]
    if foreign and state.loaded is not None:
        named = _named(foreign)
        return DriverDecision(refusals=(Finding("in-use", f"{named} uses the GPUs", "Stop it, then run again"),))
    return DriverDecision(
        drain=ours,
        install=(*commands.unload(state), *commands.purge(family, packages)),
        # Where somebody else's module keeps it in the kernel, what was stopped runs on.
        back=tuple(commands.reload(state)),
    )


@dataclass(frozen=True)
class _Services:
    enable: tuple[str, ...]
    start: tuple[str, ...]


def _services(state: DriverState, wanted: WantedDriver, fickle: bool) -> _Services:
    """Units of the driver that are installed and needed, and are not enabled or do not run.

    `fickle`: the persistence daemon is to be started anew, since the GPUs say that they do not persist.
    """
    needed = [commands.PERSISTENCE] if wanted.persistence else []
    needed += [commands.FABRIC] if hardware.needs_fabric_manager(state.gpus, state.switches) else []
    # Without a list of hosts it ends at once.
    needed += [commands.IMEX] if state.imex_nodes and hardware.needs_imex(state.gpus, state.system.arch) else []
    known = [unit for unit in needed if unit in state.units and state.units[unit].state]
    return _Services(
        enable=tuple(unit for unit in known if not state.units[unit].enabled),
        start=tuple(
            unit
            for unit in known
            if state.units[unit].state != "active" or (fickle and unit == commands.PERSISTENCE and _ubuntu(state))
        ),
    )


def _ubuntu(state: DriverState) -> bool:
    """Where the daemon persists only once it runs from our unit; anywhere else another start would change nothing."""
    return state.system.name == "ubuntu"


def _load_changes(state: DriverState, resolution: Resolution) -> bool:
    """Whether another module must be in the kernel than the one that is."""
    if state.nouveau or state.loaded is None:
        return True
    return state.loaded.version != resolution.version or state.loaded.open != (resolution.modules == "open")


def _reboot(state: DriverState, resolution: Resolution, moves: bool, findings: Sequence[Finding]) -> str:
    """Why nothing less than a reboot will do, "" where it will."""
    # nouveau is unloaded where nothing holds it, and a reboot is what is left otherwise.
    asked = [finding for finding in findings if finding.heal == "reboot" and finding.name != "nouveau-loaded"]
    if asked:
        return asked[0].message
    running = next((kernel for kernel in state.kernels if kernel.release == state.running), None)
    if not _load_changes(state, resolution):
        return ""
    other = state.next_kernel or "another kernel"
    if running is not None and moves:
        left_out = resolution.build == PREBUILT and not _brought(resolution, running.release)
        said = (
            f"no package has a module {resolution.version} for the running kernel {running.release}; {other} boots next"
        )
        return said if left_out else ""
    if running is None or (running.module is None and not (running.headers and resolution.build == DKMS)):
        return f"no module can be built for the running kernel {state.running}; {other} boots next"
    return ""


def _brought(resolution: Resolution, kernel: str) -> bool:
    """Whether prebuilt modules come for this kernel too: packages name theirs, but for those that serve every kernel."""
    named = [name for name in resolution.packages if _OF_ONE_KERNEL.match(name)]
    return not named or any(name.endswith((f"-{kernel}", f"-{kernel.split('.el')[0]}")) for name in named)


def users(state: DriverState) -> tuple[tuple[str, ...], tuple[User, ...]]:
    """Our units that use the GPUs, and everybody else who does but the driver's own services."""
    ours = sorted({user.unit for user in state.users if user.unit.startswith(OURS)})
    foreign = [u for u in state.users if not u.unit.startswith(OURS) and u.unit not in commands.SERVICES]
    return tuple(ours), tuple(foreign)


def _then(state: DriverState, change: bool, reboot: str) -> str:
    if reboot:
        return f"a reboot: {reboot}"
    return "the loaded module is exchanged" if change and (state.loaded or state.nouveau) else ""


def _named(users: Sequence[User]) -> str:
    named = [f"{user.name} (process {user.pid}{f', {user.unit}' if user.unit else ''})" for user in users]
    return few(named, 3)


def _initramfs(state: DriverState, family: str) -> list[DriverCommand]:
    return commands.initramfs(family, [kernel.release for kernel in state.kernels if kernel.nouveau_in_initramfs])


def _load(
    state: DriverState, services: _Services, change: bool, names: Set[str], needless: tuple[str, ...]
) -> tuple[DriverCommand, ...]:
    """Exchange the module where it must be, make device nodes, and start the services that shall run; `names` are of findings."""
    umad = commands.load_umad() if "ib-umad-not-loaded" in names else []
    if not change:
        nodes = commands.load() if names & {"device-nodes-missing", "imex-channel-missing"} else []
        return (*umad, *nodes, *commands.start(services.start))
    stopped = [unit for unit in commands.SERVICES if unit in state.units and state.units[unit].state == "active"]
    again = [unit for unit in dict.fromkeys([*services.start, *stopped]) if unit not in needless]
    return (*commands.unload(state), *umad, *commands.load(), *commands.start(again))
