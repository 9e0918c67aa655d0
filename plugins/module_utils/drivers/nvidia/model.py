"""What is asked of a host's NVIDIA driver, what was seen on the host, and what comes out; the JSON form is `asdict` of these."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts


@dataclass(frozen=True)
class WantedDriver:
    """What the inventory asks for.

    `version` is a branch ("580"), a version ("580.95.05"), or "" for whatever works already, else the default branch.
    `source` is vendor or distribution; `mirror` a base URL in place of the vendor's, "" for none. `modules` is auto (open
    where every GPU allows it), open or proprietary; `build` is auto (prebuilt where there are any), prebuilt or dkms.
    `upgrade` moves to the newest version of the branch; without it any installed version of the branch will do.
    """

    version: str = ""
    source: str = "vendor"
    mirror: str = ""
    modules: str = "auto"
    build: str = "auto"
    upgrade: bool = False
    persistence: bool = True


@dataclass(frozen=True)
class System:
    """A host's operating system, from /etc/os-release: `name` is its ID (debian, ubuntu, rocky), `version` VERSION_ID."""

    name: str
    version: str
    codename: str = ""
    like: tuple[str, ...] = ()
    arch: str = "x86_64"


@dataclass(frozen=True)
class Device:
    """A PCI device of NVIDIA or AMD: numbers as in sysfs, without 0x, lower case ("10de", "2330", "030200")."""

    address: str
    vendor: str
    device: str
    kind: str


@dataclass(frozen=True)
class Module:
    """nvidia.ko as it lies on the disk for one kernel (modinfo). `open` by its licence; `signer` "" when unsigned."""

    version: str
    open: bool
    signer: str
    path: str


@dataclass(frozen=True)
class Kernel:
    """An installed kernel: whether its headers are there, and the module that it would load. `umad` is whether it has ib_umad, by
    which NVLink 5 switches are reached."""

    release: str
    headers: bool
    module: Module | None
    nouveau_in_initramfs: bool = False
    umad: bool = True


@dataclass(frozen=True)
class Loaded:
    """The loaded nvidia module; `users` is its reference count without those of its own sister modules."""

    version: str
    open: bool
    users: int


@dataclass(frozen=True)
class Dkms:
    """A line of `dkms status`; `state` is added, built, installed or broken."""

    name: str
    version: str
    kernel: str
    state: str


@dataclass(frozen=True)
class ServiceState:
    """A service as systemd shows it; `state` is ActiveState, "" where it does not exist."""

    state: str
    enabled: bool
    result: str = ""
    status: str = ""


@dataclass(frozen=True)
class Xid:
    """An error that the driver wrote to the kernel's log in this boot, all of one code on one GPU together."""

    address: str
    code: int
    count: int
    text: str


@dataclass(frozen=True)
class User:
    """A process that has an NVIDIA device open; `unit` is its systemd unit, "" where it has none."""

    pid: int
    name: str
    unit: str


@dataclass(frozen=True)
class Offer:
    """A package that a repository offers: full version as the package manager writes it, and where it comes from.

    `driver` is the driver's version that it carries where its own version is a kernel's (Ubuntu's prebuilt modules).
    """

    name: str
    version: str
    origin: str = ""
    driver: str = ""


@dataclass(frozen=True)
class DriverState:
    """Everything that was seen on a host in one look.

    `running` and `next_kernel` are kernel releases (`next_kernel` "" where it cannot be told). `packages` maps installed
    packages of the driver to full versions; `held` are those that the package manager will not move; `broken` are half
    installed ones. `userspace` is the version of libnvidia-ml/libcuda on the disk, whoever put it there; `firmware` the
    versions below /lib/firmware/nvidia. `runfile` is the version of an installation by NVIDIA's .run file, "" without.
    `secure_boot` None where the firmware does not tell; `keys` are the names of keys that the kernel trusts.
    `facts` are nvidia-smi's, None where it is not installed. `offers` None where nobody asked. `nodes` are the device files
    below /dev that CUDA opens (nvidia0, nvidiactl, nvidia-uvm). `rule` is the module that modprobe's configuration names for
    nvidia, "" for none. `log` is what the kernel's log says about the driver besides Xids, oldest first. `files` are those
    of ours that differ from what they are to be. `archives` maps the suites of the host's own apt sources to their URIs.
    `umad` is whether ib_umad is loaded; `imex_nodes` are the hosts that IMEX is to share memory with, this one among them.
    """

    system: System
    gpus: tuple[Device, ...] = ()
    switches: int = 0
    secure_boot: bool | None = None
    keys: tuple[str, ...] = ()
    running: str = ""
    next_kernel: str = ""
    kernels: tuple[Kernel, ...] = ()
    loaded: Loaded | None = None
    nouveau: bool = False
    nouveau_blocked: bool = False
    packages: dict[str, str] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    userspace: str = ""
    firmware: tuple[str, ...] = ()
    runfile: str = ""
    dkms: tuple[Dkms, ...] = ()
    units: dict[str, ServiceState] = field(default_factory=dict)
    xids: tuple[Xid, ...] = ()
    users: tuple[User, ...] = ()
    facts: Facts | None = None
    files: tuple[str, ...] = ()
    offers: tuple[Offer, ...] | None = None
    virtual: str = ""
    nodes: tuple[str, ...] = ()
    rule: str = ""
    log: tuple[str, ...] = ()
    archives: dict[str, str] = field(default_factory=dict)
    umad: bool = False
    imex_nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resolution:
    """The one version that module, userspace, firmware and fabric manager all come in, and the packages that bring it.

    `packages` maps names to full versions, "" where the name itself says which one (kernel-devel-5.14.0-…); those in
    `unheld` (headers, tools, modules that follow the kernel) must move with the system and are not to be held. `remove`
    are installed packages that stand in the way (the other kind of modules); `stream` is a dnf module stream to switch
    to, "" for none; `why` says in words how it came to this.
    """

    version: str
    modules: str
    build: str
    packages: dict[str, str]
    remove: tuple[str, ...] = ()
    stream: str = ""
    why: str = ""
    unheld: tuple[str, ...] = ()
