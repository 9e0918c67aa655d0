"""The commands that carry a resolution out, for both families of package managers.

Sources: apt-get(8), apt-mark(8), dnf(8) "versionlock" of dnf-plugins-core, dkms(8), modprobe(8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import offers
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import DriverState, Resolution
from ansible_collections.baremetal.vllm.plugins.module_utils.text.words import few
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.command import DriverCommand
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.repository import REPO_ID
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.rules import NODES

# Whoever holds apt's lock (unattended upgrades) is waited for; files that the operator changed stay as they are.
_APT = (
    *("apt-get", "-y", "-o", "DPkg::Lock::Timeout=600"),
    *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
)
_APT_INSTALL = (*_APT, "--no-install-recommends", "--allow-downgrades", "--allow-change-held-packages")
_DNF = ("dnf", "-y", "--setopt=install_weak_deps=False")
# Streams and locks change with the installation, and both would hide its packages before.
_ALL_OF_THEM = (f"--setopt={REPO_ID}.module_hotfixes=1", "--disableplugin=versionlock")
# Sister modules, in the order in which they can go.
SISTERS = ("nvidia_peermem", "nvidia_drm", "nvidia_modeset", "nvidia_uvm")
FABRIC, PERSISTENCE, IMEX = "nvidia-fabricmanager.service", "nvidia-persistenced.service", "nvidia-imex.service"
# What holds the devices open besides models, or has set them, in the order in which it comes back after the module has.
SERVICES = (
    *(PERSISTENCE, FABRIC, IMEX, "gpu-mig.service", "gpu-settings.service"),
    *("nvidia-dcgm.service", "nvidia-dcgm-exporter.service"),
)


def update(family: str) -> tuple[str, ...]:
    """Reading the package lists."""
    if family == "debian":
        return ("apt-get", "-o", "DPkg::Lock::Timeout=600", "-o", "APT::Update::Error-Mode=any", "update")
    # By itself dnf keeps lists for two days (metadata_expire).
    return ("dnf", "-y", "--refresh", "makecache")


def difference(resolution: Resolution, state: DriverState) -> dict[str, str]:
    """The packages of a resolution that are not installed in the resolved version ("" is any)."""
    return {name: version for name, version in resolution.packages.items() if not _installed(name, version, state)}


def _installed(name: str, version: str, state: DriverState) -> bool:
    if name.startswith("kernel-"):
        # RPM keeps one beside the other, under one name; those of a kernel are asked for as "kernel-devel-RELEASE".
        kernels = [kernel for kernel in state.kernels if name == offers.devel(kernel.release)]
        return kernels[0].headers if kernels else name in state.packages
    return name in state.packages and version in ("", state.packages[name])


def download(family: str, packages: Mapping[str, str], removed: Iterable[str]) -> list[DriverCommand]:
    """Fetching packages without touching what is installed."""
    words = _words(family, packages, removed)
    if not packages:
        return []
    argv = (*_APT_INSTALL, "--download-only", "install", *words)
    if family != "debian":
        argv = (*_DNF, *_ALL_OF_THEM, "--allowerasing", "--downloadonly", "install", *words)
    return [DriverCommand(f"download {_some(packages)}", argv)]


def install(family: str, resolution: Resolution, state: DriverState) -> list[DriverCommand]:
    """One transaction that installs, removes and exchanges; nothing of it is left half done on purpose."""
    packages, removed = difference(resolution, state), resolution.remove
    if not packages and not removed:
        return []
    words = _words(family, packages, removed)
    title = f"install {_some(packages)}" if packages else f"remove {_some(removed)}"
    if family == "debian":
        argv = (*_APT_INSTALL, "install", *words)
        return [DriverCommand(title, argv, simulate=(*_APT_INSTALL, "--simulate", "install", *words))]
    commands = [
        DriverCommand(
            "unlock the driver's packages",
            (*_DNF, "versionlock", "delete", *resolution.packages, *removed),
            optional=True,
        )
    ]
    if resolution.stream:
        module = resolution.stream.partition(":")[0]
        commands += [
            DriverCommand(f"leave the stream of {module}", (*_DNF, "module", "reset", module)),
            DriverCommand(f"switch to the stream {resolution.stream}", (*_DNF, "module", "enable", resolution.stream)),
        ]
    if removed:
        commands.append(DriverCommand(f"remove {_some(removed)}", (*_DNF, "remove", "--noautoremove", *removed)))
    if packages:
        commands.append(DriverCommand(title, (*_DNF, "--allowerasing", "install", *words)))
    return commands


def back(family: str, resolution: Resolution, state: DriverState) -> list[DriverCommand]:
    """Undo a change that failed: the driver that was installed comes back, what was not goes; from cache or repository.

    All of its packages are named, as apt chooses none by itself but the newest, or the pinned one.
    """
    before = {name: full for name, full in state.packages.items() if offers.belongs(name, full)}
    new = [name for name in resolution.packages if name not in state.packages]
    if not before:
        return []
    title = "go back to the earlier packages"
    if family == "debian":
        return [DriverCommand(title, (*_APT_INSTALL, "install", *_words(family, before, new)))]
    # Not `dnf history undo last`: where nothing was installed yet, that is somebody else's transaction.
    found = [DriverCommand(title, (*_DNF, *_ALL_OF_THEM, "--allowerasing", "install", *_words(family, before, ())))]
    if new:
        found.append(DriverCommand(f"remove {_some(new)}", (*_DNF, "remove", "--noautoremove", *new), optional=True))
    return [*found, DriverCommand(f"lock {_some(before)}", (*_DNF, "versionlock", "add", *before), optional=True)]


def purge(family: str, packages: Iterable[str]) -> list[DriverCommand]:
    """Take packages and their settings away; what other packages brought along stays."""
    names = sorted(packages)
    if not names:
        return []
    if family == "debian":
        argv = (*_APT, "--allow-change-held-packages", "purge", *names)
        return [DriverCommand(f"remove {_some(names)}", argv, simulate=(argv[0], "--simulate", *argv[1:]))]
    return [
        DriverCommand("unlock the driver's packages", (*_DNF, "versionlock", "delete", *names), optional=True),
        DriverCommand(f"remove {_some(names)}", (*_DNF, "remove", "--noautoremove", *names)),
    ]


def mend(family: str) -> list[DriverCommand]:
    """Finish what an interrupted package manager left."""
    if family == "debian":
        return [
            DriverCommand(
                "finish interrupted installations", ("dpkg", "--configure", "-a", "--force-confdef", "--force-confold")
            )
        ]
    return []


def reinstall(family: str, resolution: Resolution, coming: Iterable[str]) -> list[DriverCommand]:
    """Unpack the driver's packages again, whose files somebody has removed; but for those that are coming anyway."""
    names = sorted(set(resolution.packages) - set(resolution.unheld) - set(coming))
    if not names:
        return []
    argv = (*_APT_INSTALL, "--reinstall", "install", *names) if family == "debian" else (*_DNF, "reinstall", *names)
    return [DriverCommand(f"install {_some(names)} again", argv)]


def hold(family: str, resolution: Resolution, state: DriverState) -> list[DriverCommand]:
    """Keep upgrades of the system away from the driver's packages."""
    loose = sorted(set(resolution.packages) - set(resolution.unheld) - set(state.held))
    if not loose:
        return []
    if family == "debian":
        return [DriverCommand(f"hold {_some(loose)}", ("apt-mark", "hold", *loose))]
    return [
        DriverCommand("install versionlock", (*_DNF, "install", "dnf-command(versionlock)")),
        DriverCommand(f"lock {_some(loose)}", (*_DNF, "versionlock", "add", *loose)),
    ]


def build(resolution: Resolution, state: DriverState) -> list[DriverCommand]:
    """Build the module for every installed kernel that has none of the resolved version."""
    if resolution.build != "dkms":
        return []
    names = {entry.name for entry in state.dkms if entry.version == resolution.version}
    done = {entry.kernel for entry in state.dkms if entry.version == resolution.version and entry.state == "installed"}
    lacking = [
        kernel.release
        for kernel in state.kernels
        if kernel.headers
        and (kernel.module is None or kernel.module.version != resolution.version or kernel.release not in done)
    ]
    return [
        DriverCommand(
            f"build the module {name}/{resolution.version} for {kernel}",
            ("dkms", "install", "--force", "-m", name, "-v", resolution.version, "-k", kernel),
        )
        for name in sorted(names)
        for kernel in lacking
    ]


def forgotten(resolution: Resolution, state: DriverState) -> bool:
    """Whether a kernel lacks the module and DKMS does not even know its source, which the package's scripts tell it of."""
    lacking = any(k.headers and (k.module is None or k.module.version != resolution.version) for k in state.kernels)
    known = any(entry.version == resolution.version for entry in state.dkms)
    return resolution.build == "dkms" and lacking and not known


def initramfs(family: str, kernels: Iterable[str]) -> list[DriverCommand]:
    """Make the early boot of kernels anew, without nouveau."""
    if family == "debian":
        return [
            DriverCommand(f"make the initramfs of {kernel}", ("update-initramfs", "-u", "-k", kernel))
            for kernel in kernels
        ]
    return [
        DriverCommand(f"make the initramfs of {kernel}", ("dracut", "--force", "--kver", kernel)) for kernel in kernels
    ]


def enable(units: Iterable[str]) -> list[DriverCommand]:
    """Have units start at boot, a command each; none of them is started now."""
    return [DriverCommand(f"enable {unit}", ("systemctl", "enable", unit)) for unit in units]


def disable(unit: str) -> list[DriverCommand]:
    """Stop a unit now and at boot, and have systemd forget that it failed."""
    return [
        DriverCommand(f"stop and disable {unit}", ("systemctl", "disable", "--now", unit)),
        DriverCommand(f"forget that {unit} failed", ("systemctl", "reset-failed", unit), optional=True),
    ]


def start(units: Iterable[str]) -> list[DriverCommand]:
    """Start units, or have running ones start anew, a command each, in the given order."""
    return [DriverCommand(f"start {unit}", ("systemctl", "restart", unit)) for unit in units]


def stop(units: Iterable[str]) -> list[DriverCommand]:
    """Stop models gracefully, all at once: each waits for its running requests as long as its unit says."""
    named = tuple(units)
    return [DriverCommand(f"drain {', '.join(named)}", ("systemctl", "stop", *named))] if named else []


def start_models(units: Iterable[str]) -> list[DriverCommand]:
    """Start models again; systemd keeps their order."""
    named = tuple(units)
    return [DriverCommand(f"start {', '.join(named)}", ("systemctl", "start", *named))] if named else []


def unload(state: DriverState) -> list[DriverCommand]:
    """Take the loaded module out of the kernel, whose users have been stopped before."""
    active = [unit for unit in SERVICES if unit in state.units and state.units[unit].state == "active"]
    commands = [DriverCommand(f"stop {unit}", ("systemctl", "stop", unit)) for unit in active]
    if state.nouveau:
        commands.append(DriverCommand("unload nouveau", ("rmmod", "nouveau")))
    if state.loaded is not None:
        commands += [DriverCommand(f"unload {module}", ("rmmod", module), optional=True) for module in SISTERS]
        commands.append(DriverCommand(f"unload nvidia {state.loaded.version}", ("rmmod", "nvidia")))
    return commands


def load() -> list[DriverCommand]:
    """Load the module as the next boot would, and make its device nodes."""
    return [
        DriverCommand("load nvidia", ("modprobe", "nvidia")),
        DriverCommand("load nvidia-uvm", ("modprobe", "nvidia-uvm")),
        # It waits for udev first: Ubuntu's nodes come from there, a moment after the module.
        DriverCommand("make the device nodes", (NODES,), optional=True),
    ]


def load_umad() -> list[DriverCommand]:
    """Load what NVLink 5 switches are reached by, as the next boot will."""
    return [DriverCommand("load ib_umad", ("modprobe", "ib_umad"))]


def reload(state: DriverState) -> list[DriverCommand]:
    """After packages went back: what may have been unloaded and stopped before the change failed, where it was there.

    Without its module nothing is back, whatever else is: a module that loads no more is a failure of going back.
    """
    if state.loaded is None:
        return []
    active = [unit for unit in SERVICES if unit in state.units and state.units[unit].state == "active"]
    starts = [DriverCommand(f"start {unit}", ("systemctl", "start", unit)) for unit in active]
    module, *others = load()
    return [module, *(replace(command, optional=True) for command in (*others, *starts))]


def _words(family: str, packages: Mapping[str, str], removed: Iterable[str]) -> list[str]:
    if family == "debian":
        pinned = [f"{name}={version}" if version else name for name, version in packages.items()]
        return [*pinned, *(f"{name}-" for name in removed)]
    return [f"{name}-{version}" if version else name for name, version in packages.items()]


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return few(listed, 3) if len(listed) < 4 else f"{few(listed, 2)} packages"
