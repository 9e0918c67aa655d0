"""NVLink 5 (HGX B200, B300) and fabrics that span hosts (GB200): what they need is known, resolved to packages, or named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    Device,
    DriverState,
    Kernel,
    Loaded,
    Module,
    Resolution,
    ServiceState,
    System,
    WantedDriver,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts, Gpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import hardware, rules
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose import diagnose
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.resolve import installed_meets, resolve
from offered import B200, H100, host, installed

sys.path.insert(0, str(Path(__file__).parent))
from look_host import LookedAt

START = Path(__file__).parent / "standins" / "fabricmanager-start.sh"
B300 = replace(B200, device="3182")
GB200, GB300 = replace(B200, device="2941"), replace(B200, device="31c2")
RTX6000 = replace(B200, device="2bb5")
GRACE = "aarch64"


# Which hosts


@pytest.mark.parametrize(
    ("gpus", "switches", "arch", "nvlink5", "imex"),
    [
        ((H100,) * 8, 4, "x86_64", False, False),
        ((B200,) * 8, 0, "x86_64", True, False),
        ((B200,) * 8, 4, "x86_64", True, False),
        ((B300,) * 8, 0, "x86_64", True, False),
        ((B200,) * 2, 0, "x86_64", False, False),
        ((RTX6000,) * 8, 0, "x86_64", False, False),
        # A compute tray of an NVL72; its switches have trays and a fabric manager of their own.
        ((GB200,) * 4, 0, GRACE, False, True),
        ((GB300,) * 4, 0, GRACE, False, True),
        # A workstation with one, and Grace Hopper.
        ((GB300,), 0, GRACE, False, False),
        ((replace(H100, device="2342"),) * 4, 0, GRACE, False, False),
        ((RTX6000,) * 8, 0, GRACE, False, False),
        # An HGX board beside another maker's processors.
        ((B200,) * 8, 0, GRACE, True, False),
    ],
)
def test_what_a_hosts_gpus_ask_for(gpus: Sequence[Device], switches: int, arch: str, nvlink5: bool, imex: bool) -> None:
    assert hardware.has_nvlink5(gpus, switches) is nvlink5
    assert hardware.needs_imex(gpus, arch) is imex


# One resolution, or a refusal


def board(system: str, source: str = "vendor") -> DriverState:
    return host(system, source, (B200,) * 8)


def tray(system: str, source: str = "vendor") -> DriverState:
    found = host(system, source, (GB200,) * 4)
    return replace(found, system=replace(found.system, arch=GRACE))


def resolved(state: DriverState, **asked: Any) -> Resolution:
    outcome = resolve(WantedDriver(**asked), state)
    assert isinstance(outcome, Resolution), outcome
    return outcome


@pytest.mark.parametrize("system", ["debian 12", "ubuntu 24.04", "rocky 8", "almalinux 9", "almalinux 10"])
def test_what_no_package_depends_on_comes_with_the_driver(system: str) -> None:
    found = resolved(board(system))
    assert found.packages["nvlsm"] == "2025.10.14-1"
    assert found.packages["infiniband-diags"]
    assert any(name.startswith("nvidia-fabric") and found.version in full for name, full in found.packages.items())
    # The subnet manager stays where it is, ibstat moves with the system.
    assert "infiniband-diags" in found.unheld
    assert "nvlsm" not in found.unheld
    # Once that is installed, nothing is left to do.
    state = board(system)
    after = installed(state, found.packages, found.version)
    extra = {name: found.packages[name] for name in ("nvlsm", "infiniband-diags")}
    after = replace(after, packages={**after.packages, **extra})
    again = installed_meets(WantedDriver(), after)
    assert again is not None
    assert {"nvlsm", "infiniband-diags"} <= set(again.packages)
    assert "infiniband-diags" in again.unheld
    for name in extra:
        lacking = {other: full for other, full in after.packages.items() if other != name}
        assert installed_meets(WantedDriver(), replace(after, packages=lacking)) is None


def test_other_hosts_get_none_of_it() -> None:
    for system in ("debian 12", "almalinux 9"):
        packages = resolved(replace(host(system, "vendor", (H100,) * 8), switches=4)).packages
        assert not {"nvlsm", "infiniband-diags", "nvidia-imex"} & set(packages)


def test_an_installed_subnet_manager_stays_but_for_an_upgrade() -> None:
    state = replace(board("ubuntu 24.04"), packages={"nvlsm": "2025.06.6-1"})
    assert resolved(state, version="580").packages["nvlsm"] == "2025.06.6-1"
    assert resolved(state, version="580", upgrade=True).packages["nvlsm"] == "2025.10.14-1"


@pytest.mark.parametrize(
    ("state", "asked", "names", "words"),
    [
        (
            board("ubuntu 24.04", "distribution"),
            {"source": "distribution", "version": "580"},
            ["nvlsm-not-on-offer", "infiniband-diags-not-on-offer"],
            ["Ubuntu 24.04 itself", "nvidia_driver_source: vendor", "802"],
        ),
        (board("debian 13"), {}, ["nvlsm-not-on-offer"], ["NVIDIA's repository for Debian 13"]),
        (
            board("debian 13"),
            {"mirror": "https://mirror.example/cuda"},
            ["nvlsm-not-on-offer"],
            ["nvidia_driver_mirror"],
        ),
        (
            tray("ubuntu 24.04", "distribution"),
            {"source": "distribution", "version": "580"},
            ["no-common-version"],
            ["IMEX nvidia-imex-580 none", "nvidia_driver_source"],
        ),
    ],
    ids=["Ubuntu's own", "a repository without", "a mirror without", "no IMEX"],
)
def test_a_source_without_them_is_refused_with_what_does(
    state: DriverState, asked: dict[str, Any], names: list[str], words: list[str]
) -> None:
    if state.system.name == "debian":
        ibstat = next(o for o in host("debian 12", "vendor").offers or () if o.name == "infiniband-diags")
        state = replace(state, offers=(*(state.offers or ()), ibstat))
    outcome = resolve(WantedDriver(**asked), state)
    assert isinstance(outcome, list)
    assert [finding.name for finding in outcome] == names
    assert all(finding.fatal and not finding.heal for finding in outcome)
    for word in words:
        assert word in " ".join(map(str, outcome))


def test_a_subnet_manager_of_anybodys_will_do() -> None:
    state = board("ubuntu 24.04", "distribution")
    state = replace(state, packages={"nvlsm": "2025.06.6-1", "infiniband-diags": "50.0-2"})
    assert resolved(state, source="distribution", version="580").packages["nvlsm"] == "2025.06.6-1"


def test_ubuntus_own_driver_stays_and_gets_the_subnet_manager_from_nvidias_repository() -> None:
    """`vendor` is the default, and replaces no driver of the distribution's that is whole."""
    bare = board("ubuntu 24.04", "distribution")
    subnet = {"nvlsm": "2025.06.6-1", "infiniband-diags": "50.0-2ubuntu0.2"}
    found = resolved(replace(bare, packages=subnet), source="distribution", version="580")
    there = installed(bare, found.packages, found.version, dkms=False)
    offers = (*(bare.offers or ()), *(host("ubuntu 24.04", "vendor").offers or ()))
    kept = resolved(replace(there, offers=offers))
    assert kept.packages["nvlsm"] == "2025.10.14-1"
    assert {name: full for name, full in kept.packages.items() if "server" in name} == {
        name: full for name, full in found.packages.items() if "server" in name
    }


@pytest.mark.parametrize(
    ("system", "version", "name"),
    [
        ("ubuntu 24.04", "580", "nvidia-imex"),
        ("ubuntu 24.04", "570", "nvidia-imex-570"),
        ("almalinux 9", "580", "nvidia-imex"),
        ("almalinux 9", "570", "nvidia-imex-570"),
    ],
)
def test_imex_comes_in_the_drivers_version(system: str, version: str, name: str) -> None:
    found = resolved(tray(system), version=version)
    assert found.version in found.packages[name]
    assert not any(package.startswith("nvidia-fabric") for package in found.packages)
    after = installed(tray(system), found.packages, found.version)
    assert installed_meets(WantedDriver(version=version), after) is not None
    without = {package: full for package, full in after.packages.items() if package != name}
    assert installed_meets(WantedDriver(version=version), replace(after, packages=without)) is None


# Faults by name

V, NOW = "580.95.05", "6.8.0-151-generic"
NODES = (*(f"nvidia{n}" for n in range(8)), "nvidiactl", "nvidia-uvm", "nvidia-caps-imex-channels/channel0")
OWN = ("nvidia-dkms-580-open", "libnvidia-compute-580", "nvidia-fabricmanager", "nvidia-imex")
RUNS = ServiceState("active", True, "success")
HGX = DriverState(
    system=System("ubuntu", "24.04"),
    gpus=tuple(replace(B200, address=f"0000:{n + 1:02x}:00.0") for n in range(8)),
    running=NOW,
    next_kernel=NOW,
    kernels=(Kernel(NOW, True, Module(V, True, "", "/lib/modules/x/updates/dkms/nvidia.ko")),),
    loaded=Loaded(V, True, 0),
    nouveau_blocked=True,
    packages={**dict.fromkeys(OWN, f"{V}-0ubuntu1"), "nvlsm": "2025.10.14-1", "infiniband-diags": "50.0-2ubuntu0.2"},
    userspace=V,
    firmware=(V,),
    units={f"nvidia-{name}.service": RUNS for name in ("persistenced", "fabricmanager", "imex")},
    facts=Facts(
        "nvidia-smi", "", 0, V, "13.0", tuple(Gpu(n, "nvidia", "B200", "", f"0000:{n + 1:02x}:00.0") for n in range(8))
    ),
    nodes=NODES,
    umad=True,
)
NVL72 = replace(
    HGX,
    system=System("ubuntu", "24.04", arch=GRACE),
    gpus=tuple(replace(gpu, device="2941") for gpu in HGX.gpus[:4]),
    facts=replace(HGX.facts, gpus=HGX.facts.gpus[:4]) if HGX.facts else None,
    units={**HGX.units, "nvidia-fabricmanager.service": ServiceState("", False)},
    packages={name: full for name, full in HGX.packages.items() if "fabric" not in name},
    umad=False,
    imex_nodes=("192.0.2.1", "192.0.2.2"),
)


def packages(state: DriverState, *gone: str, **more: str) -> dict[str, Any]:
    return {"packages": {name: full for name, full in {**state.packages, **more}.items() if name not in gone}}


def kernels(*umad: bool) -> tuple[Kernel, ...]:
    module = Module(V, True, "", "/lib/modules/x/updates/dkms/nvidia.ko")
    names = ("6.8.0-150-generic", NOW)[-len(umad) :]
    return tuple(Kernel(name, True, module, umad=has) for name, has in zip(names, umad))


FAULTS = [
    ("nvlsm-missing", True, "packages", "802", HGX, packages(HGX, "nvlsm")),
    ("ibstat-missing", True, "packages", "infiniband-diags", HGX, packages(HGX, "infiniband-diags")),
    ("ib-umad-not-loaded", True, "load", "modules-load.d", HGX, {"umad": False}),
    ("ib-umad-missing", True, "", f"linux-modules-extra-{NOW}", HGX, {"kernels": kernels(False), "umad": False}),
    # Loaded now, and gone after the next boot.
    (
        "ib-umad-missing",
        True,
        "",
        f"{NOW} has no ib_umad",
        HGX,
        {"kernels": kernels(True, False), "running": "6.8.0-150-generic"},
    ),
    (
        "imex-missing",
        True,
        "packages",
        "spans hosts",
        NVL72,
        {**packages(NVL72, "nvidia-imex"), "units": {**NVL72.units, "nvidia-imex.service": ServiceState("", False)}},
    ),
    (
        "imex-mismatch",
        True,
        "packages",
        "570.195.03",
        NVL72,
        packages(NVL72, "nvidia-imex", **{"nvidia-imex-570": "570.195.03-0ubuntu1"}),
    ),
    ("imex-nodes-missing", False, "", "/etc/nvidia-imex/nodes_config.cfg", NVL72, {"imex_nodes": ()}),
    (
        "imex-not-running",
        False,
        "services",
        "not enabled",
        NVL72,
        {"units": {**NVL72.units, "nvidia-imex.service": ServiceState("inactive", False)}},
    ),
    ("imex-channel-missing", False, "load", "channel0", NVL72, {"nodes": NODES[:-1]}),
]


@pytest.mark.parametrize("state", [HGX, NVL72, replace(HGX, gpus=HGX.gpus[:2], packages={}, units={}, umad=False)])
def test_what_has_all_of_it_is_well(state: DriverState) -> None:
    found = diagnose(state, WantedDriver(), None)
    assert [finding for finding in found if finding.name.startswith(("nvlsm", "ib", "imex", "fabric"))] == []


@pytest.mark.parametrize(
    ("name", "fatal", "heal", "words", "state", "broken"), FAULTS, ids=[f"{i}-{r[0]}" for i, r in enumerate(FAULTS)]
)
def test_faults(name: str, fatal: bool, heal: str, words: str, state: DriverState, broken: dict[str, Any]) -> None:
    found = diagnose(replace(state, **broken), WantedDriver(), None)
    assert [(f.name, f.fatal, f.heal) for f in found if f.name.startswith(("nvlsm", "ib", "imex", "fabric"))] == [
        (name, fatal, heal)
    ]
    assert words in " ".join(str(finding) for finding in found if finding.name == name)


# The start script and the look, on one host


@pytest.fixture
def hgx(tmp_path: Path) -> LookedAt:
    """HGX B200 with everything that its fabric manager asks for."""
    host = LookedAt(tmp_path)
    host.put("etc/os-release", 'ID=ubuntu\nVERSION_ID="24.04"\nID_LIKE=debian\n')
    host.put("proc/sys/kernel/osrelease", f"{NOW}\n")
    host.kernel(NOW, {"updates/dkms/nvidia.ko": "version: 580.95.05\nlicense: Dual MIT/GPL\n"})
    with (tmp_path / f"lib/modules/{NOW}/modules.dep").open("a") as listed:
        listed.write("kernel/drivers/infiniband/core/ib_umad.ko.zst: kernel/drivers/infiniband/core/ib_core.ko.zst\n")
    for n in range(8):
        host.gpu(f"0000:{n + 1:02x}:00.0", "2901")
    host.put("sys/class/infiniband/mlx5_8/device/vpd", b"\x82\x10ConnectX-7\x00SW_MNG\xff")
    host.put("sys/module/ib_umad/refcnt", "0\n")
    host.put("usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.95.05")
    host.link("usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", "libnvidia-ml.so.580.95.05")
    host.put("usr/sbin/ibstat", mode=0o755)
    host.put("opt/nvidia/nvlsm/sbin/nvlsm", mode=0o755)
    lines = [f"nvidia-fabricmanager\t{V}-0ubuntu1\tii ", "nvlsm\t2025.10.14-1\tii ", "infiniband-diags\t50.0-2\tii "]
    host.answer("dpkg-query -W", "\n".join(lines))
    return host


def removed(host: LookedAt, *paths: str, package: str = "") -> None:
    for path in paths:
        (host.root / path).unlink()
    if paths[0].startswith("sys/module"):
        (host.root / paths[0]).parent.rmdir()
    if package:
        code, listed, __ = host.commands["dpkg-query -W"]
        left = [line for line in listed.splitlines() if line.partition("\t")[0] != package]
        host.commands["dpkg-query -W"] = (code, "\n".join(left), "")


STARTS: dict[str, tuple[list[str], str, list[str]]] = {
    "all there": ([], "", []),
    "ib_umad not loaded": (["sys/module/ib_umad/refcnt"], "", ["ib-umad-not-loaded"]),
    "no ibstat": (["usr/sbin/ibstat"], "infiniband-diags", ["ibstat-missing"]),
    "no nvlsm": (["opt/nvidia/nvlsm/sbin/nvlsm"], "nvlsm", ["nvlsm-missing"]),
}


@pytest.mark.parametrize("name", STARTS)
def test_the_fabric_manager_starts_just_where_nothing_is_found_missing(name: str, hgx: LookedAt) -> None:
    gone, package, findings = STARTS[name]
    if gone:
        removed(hgx, *gone, package=package)
    started = subprocess.run(
        ["sh", str(START)], env={**os.environ, "ROOT": str(hgx.root)}, capture_output=True, text=True, check=False
    )
    assert started.stdout.startswith("Detected NVL5+ system")
    assert (started.returncode == 0) is (findings == []), started.stdout
    found = diagnose(hgx.look(), WantedDriver(), None)
    assert [f.name for f in found if f.name.startswith(("nvlsm", "ib"))] == findings


def test_a_kernel_without_its_extra_modules_is_named(hgx: LookedAt) -> None:
    """Ubuntu's kernels for clouds: no mlx5_ib, so that no bridge is seen, and no ib_umad. The GPUs tell of the board."""
    removed(hgx, "sys/class/infiniband/mlx5_8/device/vpd")
    removed(hgx, "sys/module/ib_umad/refcnt")
    hgx.put(f"lib/modules/{NOW}/modules.dep", "kernel/fs/ext4.ko:\nupdates/dkms/nvidia.ko:\n")
    started = subprocess.run(
        ["sh", str(START)], env={**os.environ, "ROOT": str(hgx.root)}, capture_output=True, text=True, check=False
    )
    assert "NV_WARN_NOTHING_TO_DO" in started.stdout
    found = diagnose(hgx.look(), WantedDriver(), None)
    assert [f.name for f in found if f.name.startswith(("nvlsm", "ib"))] == ["ib-umad-missing"]


def test_a_module_that_is_built_in_is_there(hgx: LookedAt) -> None:
    hgx.put(f"lib/modules/{NOW}/modules.dep", "updates/dkms/nvidia.ko:\n")
    hgx.put(f"lib/modules/{NOW}/modules.builtin", "kernel/drivers/infiniband/core/ib_umad.ko\n")
    assert [kernel.umad for kernel in hgx.look().kernels] == [True]


def test_imex_as_it_lies_on_a_host(hgx: LookedAt) -> None:
    assert hgx.look().imex_nodes == ()
    hgx.put("etc/nvidia-imex/nodes_config.cfg", "# hosts of the domain\n192.0.2.1\n\n192.0.2.2 # this one\n")
    hgx.put("dev/nvidia-caps-imex-channels/channel0")
    state = hgx.look()
    assert state.imex_nodes == ("192.0.2.1", "192.0.2.2")
    assert "nvidia-caps-imex-channels/channel0" in state.nodes


def test_modules_for_the_switches_are_loaded_at_boot_only_where_there_are_some() -> None:
    """modules-load.d(5): before sysinit.target, and so before any service with default dependencies."""
    texts = {file.path: file.content for file in rules.files(HGX, ())}
    named = [line for line in texts[rules.NVLINK5].splitlines() if line and not line.startswith("#")]
    assert named == ["mlx5_ib", "ib_umad"]
    assert rules.NVLINK5 not in {file.path for file in rules.files(NVL72, ())}
