"""A host as far as its driver goes: what a look would see there, and what the commands of the role would do to it.

Written from the manuals of apt-get, dpkg, dnf, dkms, modprobe and systemctl; nothing of it was recorded. An unknown command
is an error of the test, not a success.
"""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import look_modules, versions
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_system import UNITS
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    Device,
    Dkms,
    DriverState,
    Kernel,
    Loaded,
    Module,
    Offer,
    ServiceState,
    System,
    User,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts, Gpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import hardware, repository, rules

PERSISTENCE, FABRIC, IMEX = "nvidia-persistenced.service", "nvidia-fabricmanager.service", "nvidia-imex.service"
# What a package brings; packages of one line, but those of prebuilt modules, conflict with each other.
PARTS = {
    "open": r"nvidia-kernel-open-dkms|nvidia-open-kernel-dkms|nvidia-dkms(-\d{3})?(-server)?-open|kmod-nvidia-open-dkms",
    "proprietary": r"nvidia-kernel-dkms|nvidia-dkms(-\d{3})?(-server)?|kmod-nvidia-latest-dkms",
    "prebuilt": r"kmod-nvidia-(?P<version>\d{3}\.[\d.]+)-(?P<kernel>\d.*)",
    "library": r"libnvidia-ml1?|libnvidia-compute(-\d{3})?(-server)?",
    "cuda": r"libcuda1|nvidia-driver-cuda-libs",
    "smi": r"nvidia-driver-cuda|nvidia-utils-\d{3}(-server)?|nvidia-smi",
    "firmware": r"firmware-nvidia-gsp|nvidia-kernel-common-\d{3}(-server)?|nvidia-firmware|nvidia-kmod-common",
    "persistence": r"nvidia-persistenced|nvidia-compute-utils-\d{3}(-server)?",
    "fabric": r"nvidia-fabric-?manager(-\d{3})?",
    "imex": r"nvidia-imex(-\d{3})?",
    "subnet": r"nvlsm",
    "headers": r"linux-headers-(?P<kernel>\d.*)|kernel-devel",
    "tools": r"dkms|infiniband-diags|linux-headers-[a-z].*|kernel-devel-matched|libnvidia-ptxjitcompiler1",
}
# Parts that bring a service.
SERVICES = {"persistence": PERSISTENCE, "fabric": FABRIC, "imex": IMEX}
# Debian's package of a library wants another of just its version, which nobody asks for by name.
STRICT = {"libcuda1": "libnvidia-ptxjitcompiler1"}
ARCHIVES = dict.fromkeys(("bookworm", "trixie"), "http://archive.example/debian")
SISTERS = ("nvidia_peermem", "nvidia_drm", "nvidia_modeset", "nvidia_uvm")


def part(name: str) -> str:
    return next((what for what, pattern in PARTS.items() if re.fullmatch(pattern, name)), "")


class Failed(Exception):
    """A command's exit status is not 0; its words."""


@dataclass
class Disk:
    """An installed kernel: what DKMS built for it, what a package brought, nouveau in its early boot."""

    headers: bool = True
    built: Module | None = None
    shipped: Module | None = None
    early: bool = False


@dataclass
class Host:
    """`models` and `strangers` are units that use the GPUs while they run; `offers` is what the repositories have.

    `unbuildable` are versions that the compiler refuses ("*": all), `unloadable` those that the kernel does. `holder` is a module of somebody else's on top of
    nvidia, which rmmod does not remove. `blocked` is nouveau, by other means than ours. `umad` is whether ib_umad is loaded,
    `channel` whether there is a node of IMEX, `imex_nodes` its list of hosts.
    """

    system: System
    family: str
    gpus: tuple[Device, ...]
    offers: tuple[Offer, ...] = field(repr=False)
    kernels: dict[str, Disk]
    running: str
    next_kernel: str
    switches: int = 0
    secure_boot: bool | None = None
    keys: tuple[str, ...] = ()
    packages: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    trees: dict[tuple[str, str], bool] = field(default_factory=dict)
    loaded: Module | None = None
    sisters: set[str] = field(default_factory=set)
    nouveau: bool = False
    blocked: bool = False
    texts: dict[str, str] = field(default_factory=dict)
    stream: str = ""
    units: dict[str, ServiceState] = field(default_factory=dict)
    models: dict[str, bool] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()
    unbuildable: set[str] = field(default_factory=set)
    unloadable: set[str] = field(default_factory=set)
    holder: bool = False
    unreachable: bool = False
    umad: bool = False
    channel: bool = False
    imex_nodes: tuple[str, ...] = ()
    rebooted: int = 0
    commands: list[str] = field(default_factory=list)

    # What is true of it

    @property
    def userspace(self) -> str:
        found = [versions.driver(full) for name, full in self.packages.items() if part(name) in ("library",)]
        return found[0] if found else ""

    @property
    def firmware(self) -> set[str]:
        return {versions.driver(full) for name, full in self.packages.items() if part(name) == "firmware"}

    def module(self, kernel: str) -> Module | None:
        disk = self.kernels.get(kernel)
        return (disk.built or disk.shipped) if disk else None

    @property
    def works(self) -> bool:
        """Whether a program that starts now gets at the GPUs."""
        if self.loaded is None or self.loaded.version != self.userspace:
            return False
        return not self.loaded.open or self.loaded.version in self.firmware

    @property
    def blocks_nouveau(self) -> bool:
        return self.blocked or repository.NOUVEAU in self.texts

    def copy(self) -> Host:
        return copy.deepcopy(self)

    # What a look sees

    def look(self, offers: bool) -> DriverState:
        held = {name for name in self.held if name in self.packages}
        pin = re.search(r"Pin: version (\S+)\*", self.texts.get(repository.PREFERENCES, ""))
        if pin and self.family == "debian":
            held |= {
                n for n, full in self.packages.items() if "nvidia" in n or n == "libcuda1" if full.startswith(pin[1])
            }
        users = [User(100 + n, name, unit) for n, (name, unit) in enumerate(self._users())]
        renamed = re.search(r"install nvidia modprobe -i (\S+)", self.texts.get(rules.PATH, ""))
        return DriverState(
            system=self.system,
            gpus=self.gpus,
            switches=self.switches,
            secure_boot=self.secure_boot,
            keys=self.keys,
            running=self.running,
            next_kernel=self.next_kernel,
            kernels=tuple(
                Kernel(release, disk.headers, self.module(release), disk.early)
                for release, disk in sorted(self.kernels.items())
            ),
            loaded=Loaded(self.loaded.version, self.loaded.open, len(users)) if self.loaded else None,
            nouveau=self.nouveau,
            nouveau_blocked=self.blocks_nouveau,
            packages=dict(self.packages),
            held=tuple(sorted(held)),
            broken=tuple(sorted(self.broken)),
            userspace=self.userspace,
            firmware=tuple(sorted(self.firmware)),
            dkms=tuple(self._dkms_status()),
            units={name: self.units.get(name, ServiceState("", False)) for name in UNITS},
            users=tuple(users),
            facts=self._facts(),
            offers=self._offered() if offers else None,
            nodes=self._nodes(),
            rule=renamed[1] if renamed else "",
            umad=self.umad,
            imex_nodes=self.imex_nodes,
            archives={} if self.family == "rhel" else ARCHIVES,
        )

    def _users(self) -> list[tuple[str, str]]:
        if self.loaded is None:
            return []
        found = [("vllm", unit) for unit, runs in self.models.items() if runs]
        found += [("python", unit) for unit in self.strangers]
        return found + [(unit.partition(".")[0], unit) for unit, seen in self.units.items() if seen.state == "active"]

    def _dkms_status(self) -> Iterable[Dkms]:
        for name, version in self.trees:
            done = [r for r, disk in self.kernels.items() if disk.built and disk.built.version == version]
            yield from [Dkms(name, version, release, "installed") for release in done] or [
                Dkms(name, version, "", "added")
            ]

    def _nodes(self) -> tuple[str, ...]:
        if self.loaded is None or "nvidia_uvm" not in self.sisters:
            return ()
        channel = (look_modules.IMEX_CHANNEL,) if self.channel else ()
        return (*(f"nvidia{n}" for n, __ in enumerate(self.gpus)), "nvidiactl", "nvidia-uvm", *channel)

    def make_nodes(self) -> None:
        """/usr/local/libexec/nvidia-device-nodes, where it has been written."""
        if rules.NODES not in self.texts:
            raise Failed(f"{rules.NODES}: not found")
        self._insert()
        self.sisters.add("nvidia_uvm")
        self.channel = self.channel or "nvidia-caps-imex-channels/" in self.texts[rules.NODES]

    def _facts(self) -> Facts | None:
        # From 590 on Ubuntu's library package brings it.
        if not any(part(name) == "smi" or name == "libnvidia-compute" for name in self.packages):
            return None
        if self.loaded is None:
            return Facts("nvidia-smi", error="it was not asked", returncode=9)
        if self.loaded.version != self.userspace:
            return Facts(
                "nvidia-smi", error="Failed to initialize NVML: Driver/library version mismatch", returncode=18
            )
        if not self.works:
            return Facts("nvidia-smi", error="No devices were found", returncode=6)
        fabric = self.units.get(FABRIC, ServiceState("", False)).state == "active"
        switched = hardware.needs_fabric_manager(self.gpus, self.switches)
        told = ("completed" if fabric else "in progress") if switched else ""
        persistent = self.units.get(PERSISTENCE, ServiceState("", False)).state == "active"
        gpus = tuple(
            Gpu(n, "nvidia", "a GPU", f"GPU-{n}", gpu.address, minor=n, persistence=persistent, fabric=told)
            for n, gpu in enumerate(self.gpus)
        )
        return Facts("nvidia-smi", returncode=0, driver=self.loaded.version, gpus=gpus)

    def _offered(self) -> tuple[Offer, ...]:
        if self.unreachable:
            return ()
        sources = (repository.SOURCES, repository.REPO)
        if not any(path in self.texts for path in sources):
            return tuple(o for o in self.offers if not re.match(r"nvidia|lib|firmware|kmod", o.name))
        # The tools do not ask for everything that there is.
        return tuple(offer for offer in self.offers if offer.name not in STRICT.values())

    # What it does

    def boot(self) -> None:
        self.rebooted += 1
        self.running, self.loaded, self.strangers, self.sisters = self.next_kernel, None, (), set()
        self.nouveau = not self.blocks_nouveau or self.kernels[self.running].early
        self.umad, self.channel = rules.NVLINK5 in self.texts, False
        self.models = dict.fromkeys(self.models, False)
        for name, unit in self.units.items():
            self.units[name] = ServiceState("inactive", unit.enabled)
        try:
            self._insert()
        except Failed:
            return
        if self.units.get(PERSISTENCE, ServiceState("", False)).enabled:
            self.sisters.add("nvidia_uvm")
        if {rules.UDEV, rules.NODES, rules.NODES_UNIT} <= set(self.texts):
            self.make_nodes()
        for name in [*(name for name, unit in self.units.items() if unit.enabled), *self.models]:
            self._try(self._start, name)

    def _insert(self) -> None:
        module = self.module(self.running)
        if module is None:
            raise Failed("modprobe: FATAL: Module nvidia not found in directory /lib/modules")
        renamed = module.path.rpartition("/")[2].partition(".")[0]
        if renamed != "nvidia" and f"modprobe -i {renamed} " not in self.texts.get(rules.PATH, ""):
            raise Failed("modprobe: FATAL: Module nvidia not found in directory /lib/modules")
        if self.secure_boot and module.signer not in self.keys:
            raise Failed("modprobe: ERROR: could not insert 'nvidia': Key was rejected by service")
        if module.version in self.unloadable:
            raise Failed("modprobe: ERROR: could not insert 'nvidia': Exec format error")
        drives = {each.open for each in hardware.generations(self.gpus)}
        if self.nouveau or ("no" if module.open else "must") in drives:
            raise Failed("modprobe: ERROR: could not insert 'nvidia': No such device")
        self.loaded = self.loaded or module

    def _remove(self, module: str) -> None:
        if module == "nouveau":
            self.nouveau = False
            return
        if module != "nvidia":
            if module not in self.sisters or any(self._users()):
                raise Failed(f"rmmod: ERROR: Module {module} is not currently loaded, or in use")
            self.sisters.discard(module)
            return
        if self.loaded is None or self._users() or self.sisters or self.holder:
            raise Failed("rmmod: ERROR: Module nvidia is in use")
        self.loaded = None

    def _start(self, name: str) -> None:
        if name in self.models:
            self.models[name] = self.models[name] or (self.works and bool(self._nodes()))
            if not self.models[name]:
                raise Failed(f"Job for {name} failed")
            return
        if name not in self.units:
            raise Failed(f"Failed to start {name}: Unit {name} not found.")
        enabled, well = self.units[name].enabled, self.works
        if name == FABRIC:
            own = [versions.driver(full) for package, full in self.packages.items() if part(package) == "fabric"]
            switched = hardware.needs_fabric_manager(self.gpus, self.switches)
            well = well and switched and self.loaded is not None and self.loaded.version in own
            if hardware.has_nvlink5(self.gpus, self.switches):
                # What its start script asks for: ib_umad, ibstat, nvlsm.
                well = well and self.umad and {"nvlsm", "infiniband-diags"} <= set(self.packages)
        if name == IMEX:
            own = [versions.driver(full) for package, full in self.packages.items() if part(package) == "imex"]
            well = well and bool(self.imex_nodes) and self.loaded is not None and self.loaded.version in own
        self.units[name] = ServiceState("active", enabled) if well else ServiceState("failed", enabled, "exit-code")
        if not well:
            raise Failed(f"Job for {name} failed because the control process exited with error code")

    def _stop(self, name: str) -> None:
        if name in self.models:
            self.models[name] = False
        elif name in self.units:
            self.units[name] = ServiceState("inactive", self.units[name].enabled)

    # DKMS

    def _build(self, name: str, version: str, kernel: str) -> None:
        if (name, version) not in self.trees:
            raise Failed(f"Error! Could not find module source directory. {name}/{version}")
        if not self.kernels[kernel].headers:
            raise Failed(f"Error! Your kernel headers for kernel {kernel} cannot be found.")
        if self.unbuildable & {"*", version}:
            raise Failed(f"Error! Bad return status for module build on kernel: {kernel}")
        signer = "host Secure Boot Module Signature key" if self.system.name == "ubuntu" else "DKMS module signing key"
        stem = "nvidia-current" if name == "nvidia-current" else "nvidia"
        path = f"/lib/modules/{kernel}/updates/dkms/{stem}.ko"
        self.kernels[kernel].built = Module(version, self.trees[name, version], signer, path)

    # Packages

    def put(self, name: str, full: str) -> None:
        """Unpack and configure one package."""
        was, what = self.packages.get(name), part(name)
        for other in [other for other in self.packages if other != name and _conflict(what, part(other))]:
            self.take(other)
        if was == full and name not in self.broken:
            return
        if was not in (None, full):
            self._uninstalled(name, versions.driver(was or ""))
        self.packages[name] = full
        self.broken.discard(name)
        match = re.fullmatch(PARTS.get(what, ""), name)
        if what == "headers" and match:
            for release in [r for r in self.kernels if r == match["kernel"] or r.rpartition(".")[0] == full]:
                self._headers(release)
        elif what == "prebuilt" and match:
            for release in [r for r in self.kernels if r.startswith(match["kernel"])]:
                path = f"/lib/modules/{release}/extra/nvidia.ko"
                self.kernels[release].shipped = Module(match["version"], False, "NVIDIA", path)
        elif what in ("open", "proprietary"):
            self._configure(name)
        elif what in SERVICES:
            self._service(SERVICES[what])

    def _headers(self, release: str) -> None:
        self.kernels[release].headers = True
        if self.family == "debian":
            # /etc/kernel/header_postinst.d/dkms
            for tree, known in self.trees:
                self._build(tree, known, release)

    def _configure(self, name: str) -> None:
        """Its scripts tell DKMS of the module and build it for the running kernel, Debian's for the newest one too."""
        full = self.packages[name]
        tree = "nvidia-current" if "+deb" in full else "nvidia"
        version = versions.driver(full)
        self.trees[tree, version] = part(name) == "open"
        kernels = {self.running, max(self.kernels)} if self.family == "debian" else {self.running}
        for kernel in sorted(kernel for kernel in kernels if kernel in self.kernels and self.kernels[kernel].headers):
            try:
                self._build(tree, version, kernel)
            except Failed:
                # The scripts of rpm packages fail without a consequence.
                if self.family == "debian":
                    self.broken.add(name)
                    raise

    def _service(self, unit: str) -> None:
        """Debian's packages enable and start what they bring; rpm's only restart what runs."""
        was = self.units.get(unit)
        self.units[unit] = was or ServiceState("inactive", self.family == "debian")
        if self.family == "debian" or (was and was.state == "active"):
            self._try(self._start, unit)

    def take(self, name: str) -> None:
        self._uninstalled(name, versions.driver(self.packages.pop(name)))
        self.held.discard(name)
        self.broken.discard(name)

    def _uninstalled(self, name: str, version: str) -> None:
        what, gone = part(name), name not in self.packages
        if what in ("open", "proprietary"):
            self.trees = {key: kind for key, kind in self.trees.items() if key[1] != version}
            for disk in self.kernels.values():
                disk.built = None if disk.built and disk.built.version == version else disk.built
        elif what == "prebuilt":
            for disk in self.kernels.values():
                disk.shipped = None if disk.shipped and disk.shipped.version == version else disk.shipped
        elif gone and what in SERVICES:
            self.units.pop(SERVICES[what], None)

    @staticmethod
    def _try(action: Callable[[str], None], name: str) -> None:
        with contextlib.suppress(Failed):
            action(name)


def _conflict(one: str, other: str) -> bool:
    modules = {"open", "proprietary", "prebuilt"}
    if one in modules and other in modules:
        return (one, other) != ("prebuilt", "prebuilt")
    return one == other and one in ("library", "smi", "firmware", "persistence", "fabric", "imex", "cuda")
