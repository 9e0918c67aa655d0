"""Every fault by its own name: a healthy host, and one thing after the other broken."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import look_system
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
    Device,
    Dkms,
    DriverState,
    Kernel,
    Loaded,
    Module,
    Resolution,
    ServiceState,
    System,
    User,
    WantedDriver,
    Xid,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Errors, Facts, Gpu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.diagnose import diagnose
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

V, OLD = "580.95.05", "570.195.03"
NOW, NEW, KEPT = "6.1.0-56-amd64", "6.1.0-57-amd64", "6.1.0-49-amd64"
OURS = "DKMS module signing key"
HEALS = {"", "packages", "hold", "modules", "initramfs", "load", "reboot", "services", "files"}


def module(version: str = V, open_: bool = True, signer: str = OURS, path: str = "updates/dkms/nvidia.ko.xz") -> Module:
    return Module(version, open_, signer, f"/lib/modules/x/{path}")


BUILT = module()


def kernel(release: str = NOW, of: Module | None = BUILT, headers: bool = True, nouveau: bool = False) -> Kernel:
    return Kernel(release, headers, of, nouveau)


def gpu(index: int, **changes: Any) -> Gpu:
    told = Gpu(index, "nvidia", "NVIDIA H100 80GB HBM3", f"GPU-{index}", f"0000:{index + 1:02x}:00.0", minor=index)
    return replace(told, **{"memory": 80 << 30, "capability": "9.0", "persistence": True, **changes})


def seen(*gpus: Gpu, **changes: Any) -> Facts:
    return replace(Facts("nvidia-smi", "", 0, V, "13.0", gpus or (gpu(0), gpu(1))), **changes)


def device(index: int, number: str = "2330", vendor: str = "10de") -> Device:
    return Device(f"0000:{index + 1:02x}:00.0", vendor, number, "030200")


PACKAGES = dict.fromkeys(("nvidia-kernel-open-dkms", "nvidia-driver-cuda", "libnvidia-ml1", "libcuda1"), f"{V}-1")
HEALTHY = DriverState(
    system=System("debian", "12"),
    gpus=(device(0), device(1)),
    secure_boot=False,
    running=NOW,
    next_kernel=NOW,
    kernels=(kernel(KEPT), kernel()),
    loaded=Loaded(V, True, 1),
    nouveau_blocked=True,
    packages={**PACKAGES, "nvidia-persistenced": "570.169-1", "dkms": "3.0.10"},
    held=tuple(sorted(PACKAGES)),
    userspace=V,
    firmware=(V,),
    dkms=(Dkms("nvidia", V, KEPT, "installed"), Dkms("nvidia", V, NOW, "installed")),
    units={
        **{name: ServiceState("", False) for name in look_system.UNITS},
        "nvidia-persistenced.service": ServiceState("active", True, "success"),
    },
    facts=seen(),
    nodes=("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"),
)
RESOLVED = Resolution(V, "open", "dkms", {**PACKAGES, "linux-headers-amd64": "6.1.1"}, unheld=("linux-headers-amd64",))
HEALTHY = replace(HEALTHY, packages={**HEALTHY.packages, "linux-headers-amd64": "6.1.1"})
PREBUILT = replace(RESOLVED, build="prebuilt")
SWITCHED = {
    "switches": 4,
    "packages": {**HEALTHY.packages, "nvidia-fabricmanager": f"{V}-1"},
    "units": {**HEALTHY.units, "nvidia-fabricmanager.service": ServiceState("active", True, "success")},
}


def fabric(unit: ServiceState, version: str = V) -> dict[str, Any]:
    return {
        "switches": 4,
        "packages": {**HEALTHY.packages, "nvidia-fabricmanager-580": f"{version}-1"},
        "units": {**HEALTHY.units, "nvidia-fabricmanager.service": unit},
    }


def xid(code: int, text: str = "words", address: str = "0000:01:00.0") -> dict[str, Any]:
    return {"xids": (Xid(address, code, 1, text),)}


EMPTY: dict[str, Any] = {
    "loaded": None,
    "userspace": "",
    "firmware": (),
    "packages": {},
    "held": (),
    "dkms": (),
    "facts": None,
    "nodes": (),
    "units": {name: ServiceState("", False) for name in look_system.UNITS},
    "kernels": (kernel(KEPT, None), kernel(NOW, None)),
}


@pytest.mark.parametrize(
    ("changes", "resolution"),
    [
        ({}, RESOLVED),
        ({}, None),
        (SWITCHED, RESOLVED),
        ({"facts": seen(gpu(0, recovery="none"), gpu(1, recovery="none")), **xid(119)}, None),
        ({"secure_boot": True, "keys": (OURS,)}, RESOLVED),
        ({"secure_boot": True, "keys": ()}, RESOLVED),
        ({"next_kernel": ""}, RESOLVED),
        ({"dkms": (), "kernels": (kernel(NOW, module(path="kernel/nvidia-580/nvidia.ko"), headers=False),)}, PREBUILT),
        ({"users": (User(7, "python", "vllm-a.service"),)}, RESOLVED),
        # The driver ignores an old GPU for the console.
        ({"gpus": (*HEALTHY.gpus, device(8, "128b"))}, RESOLVED),
        # Ubuntu's last firmware stays until autoremove.
        ({"packages": {**HEALTHY.packages, "nvidia-firmware-580-server-580.82.07": "580.82.07-0ubuntu1"}}, RESOLVED),
        ({"log": ("nvidia-nvswitch3: SXid (PCI:0000:c6:00.0): 22013, Fatal, Link 16",)}, RESOLVED),
    ],
)
def test_a_healthy_host_has_no_fault_that_is_fatal(changes: dict[str, Any], resolution: Resolution | None) -> None:
    found = diagnose(replace(HEALTHY, **changes), WantedDriver(), resolution, 2)
    assert [str(finding) for finding in found if finding.fatal] == []


def test_a_healthy_host_has_no_fault() -> None:
    assert diagnose(HEALTHY, WantedDriver(version="580"), RESOLVED, 2) == []
    assert diagnose(HEALTHY, WantedDriver(), None) == []


# name, whether it is fatal, the step that heals it, words that the message or the remedy must have, what is broken
FAULTS: list[tuple[str, bool, str, str, dict[str, Any]]] = [
    ("no-gpu", True, "", "vllm_accelerator: cpu", {"gpus": (), "facts": None}),
    ("no-gpu", True, "", "virtual machine, kvm", {"gpus": (), "facts": None, "virtual": "kvm"}),
    ("no-gpu", True, "", "vllm_accelerator: rocm", {"gpus": (device(0, "74a1", "1002"),), "facts": None}),
    (
        "fewer-gpus-on-the-bus",
        True,
        "",
        "gpu_count says 2, and 1 NVIDIA GPU is",
        {"gpus": (device(0),), "facts": seen(gpu(0))},
    ),
    ("gpu-fell-off", True, "reboot", "missing: 0000:02:00.0", {"facts": seen(gpu(0))}),
    ("gpu-fell-off", True, "reboot", "Xid 79", {"facts": seen(gpu(0)), **xid(79, address="0000:02:00.0")}),
    ("nvml-error", True, "", "Insufficient Permissions", {"facts": Facts("nvidia-smi", "Insufficient Permissions", 4)}),
    (
        "nvml-error",
        True,
        "reboot",
        "RmInitAdapter failed",
        {"facts": Facts("nvidia-smi", "No devices were found", 6), "log": ("RmInitAdapter failed!",)},
    ),
    (
        "gpu-hangs",
        True,
        "reboot",
        "within 30 s",
        {"facts": Facts("nvidia-smi", "nvidia-smi did not answer within 30 s", 124)},
    ),
    (
        "gpu-lost",
        True,
        "reboot",
        "GPU is lost",
        {"facts": Facts("nvidia-smi", "Unable to determine the device handle for GPU0: GPU is lost", 15)},
    ),
    ("ecc-uncorrectable", True, "reboot", "GPU 1", {"facts": seen(gpu(0), gpu(1, errors=Errors(uncorrectable=3)))}),
    ("row-remap-pending", True, "reboot", "remap", {"facts": seen(gpu(0), gpu(1, errors=Errors(remap_pending=True)))}),
    ("not-installed", True, "packages", "2 GPUs", EMPTY),
    (
        "packages-missing",
        True,
        "packages",
        "libcuda1",
        {"packages": {k: v for k, v in HEALTHY.packages.items() if k != "libcuda1"}},
    ),
    ("nvidia-smi-missing", True, "packages", "installed again", {"facts": None}),
    ("other-version", True, "packages", OLD, {"userspace": OLD}),
    (
        "packages-mixed",
        True,
        "packages",
        f"{OLD} of libcuda1",
        {"packages": {**HEALTHY.packages, "libcuda1": f"{OLD}-1"}},
    ),
    (
        # What nothing here moves keeps no host from serving.
        "packages-mixed",
        False,
        "",
        "Bring libnvidia-nscq-580 to",
        {"packages": {**HEALTHY.packages, "libnvidia-nscq-580": "580.82.07-1"}},
    ),
    ("packages-broken", True, "packages", "nvidia-driver-cuda", {"broken": ("nvidia-driver-cuda",)}),
    (
        "vgpu-driver",
        True,
        "",
        "nvidia_driver_manage: false",
        {"packages": {"nvidia-linux-grid-580": V}},
    ),
    ("packages-not-held", False, "hold", "libcuda1", {"held": ("libnvidia-ml1",)}),
    ("runfile", True, "", "nvidia-uninstall", {"runfile": "535.54.03"}),
    ("firmware-missing", True, "packages", f"there is {OLD}", {"firmware": (OLD,)}),
    ("firmware-missing", True, "packages", "there is none", {"firmware": ()}),
    ("files-differ", False, "files", "/etc/apt/x", {"files": ("/etc/apt/x",)}),
    (
        "nvswitch-error",
        False,
        "",
        "22013, Fatal",
        {"log": ("nvidia-nvswitch3: SXid (PCI:0000:c6:00.0): 22013, Fatal, Link 16 Minion Link DLREQ interrupt",)},
    ),
    (
        "version-mismatch",
        True,
        "load",
        f"loaded module is {OLD} and the libraries are {V}",
        {"loaded": Loaded(OLD, True, 1)},
    ),
    (
        "version-mismatch",
        True,
        "reboot",
        "nvidia_driver_reboot",
        {"loaded": Loaded(OLD, True, 1), "next_kernel": NEW, "kernels": (kernel(NOW, module(OLD)), kernel(NEW))},
    ),
    (
        "version-mismatch",
        True,
        "modules",
        "built",
        {"loaded": Loaded(OLD, True, 1), "kernels": (kernel(NOW, module(OLD)),)},
    ),
    ("module-not-loaded", True, "load", "not loaded", {"loaded": None}),
    (
        "module-not-loaded",
        True,
        "load",
        "unsigned module",
        {"loaded": None, "log": ("Loading of unsigned module is rejected",)},
    ),
    ("module-not-loaded", True, "load", "container, docker", {"loaded": None, "virtual": "docker"}),
    (
        "module-missing-for-next-kernel",
        True,
        "modules",
        f"{NEW} boots next",
        {"next_kernel": NEW, "kernels": (kernel(), kernel(NEW, None))},
    ),
    (
        "module-missing-for-next-kernel",
        True,
        "modules",
        "headers are not installed",
        {"next_kernel": NEW, "kernels": (kernel(), kernel(NEW, None, headers=False))},
    ),
    (
        "module-missing-for-running-kernel",
        True,
        "reboot",
        "running kernel",
        {"loaded": None, "next_kernel": NEW, "kernels": (kernel(NOW, None), kernel(NEW))},
    ),
    (
        "module-missing-for-running-kernel",
        True,
        "reboot",
        "removed while it runs",
        {"loaded": None, "next_kernel": NEW, "kernels": (kernel(NEW),)},
    ),
    ("module-missing-for-kernel", False, "modules", KEPT, {"kernels": (kernel(KEPT, None), kernel())}),
    (
        "module-missing-for-kernel",
        True,
        "modules",
        KEPT,
        {"kernels": (kernel(KEPT, None), kernel()), "next_kernel": ""},
    ),
    ("module-other-version-for-kernel", True, "modules", f"{NOW} is {OLD}", {"kernels": (kernel(NOW, module(OLD)),)}),
    (
        "module-other-version-for-kernel",
        False,
        "modules",
        f"{KEPT} is {OLD}",
        {"kernels": (kernel(KEPT, module(OLD)), kernel())},
    ),
    ("headers-missing", False, "packages", KEPT, {"kernels": (kernel(KEPT, None, headers=False), kernel())}),
    (
        "headers-missing",
        True,
        "packages",
        NEW,
        {"next_kernel": NEW, "kernels": (kernel(), kernel(NEW, None, headers=False))},
    ),
    ("dkms-broken", True, "modules", "make.log", {"next_kernel": NEW, "kernels": (kernel(), kernel(NEW, None))}),
    (
        "dkms-broken",
        True,
        "modules",
        "nvidia/580.95.05",
        {"dkms": (Dkms("nvidia", V, "", "added"),), "kernels": (kernel(NOW, None),)},
    ),
    # negativo17/nvidia-driver issue 56: remains of earlier versions, which nothing here builds again.
    (
        "dkms-broken",
        False,
        "",
        f"dkms remove nvidia/{OLD}",
        {"dkms": (*HEALTHY.dkms, Dkms("nvidia", OLD, "", "broken"))},
    ),
    ("dkms-broken", False, "modules", "any kernel", {"dkms": (*HEALTHY.dkms, Dkms("nvidia", V, "", "broken"))}),
    ("nouveau-loaded", True, "reboot", "nvidia_driver_reboot", {"nouveau": True}),
    ("nouveau-not-blocked", True, "files", "modprobe.d", {"nouveau_blocked": False}),
    ("nouveau-in-initramfs", True, "initramfs", NOW, {"kernels": (kernel(nouveau=True),)}),
    ("nouveau-in-initramfs", False, "initramfs", KEPT, {"kernels": (kernel(KEPT, nouveau=True), kernel())}),
    (
        "secure-boot-unsigned",
        True,
        "",
        "not signed",
        {"secure_boot": True, "kernels": (kernel(NOW, module(signer="")),)},
    ),
    (
        "secure-boot-unsigned",
        True,
        "",
        "mokutil --import /var/lib/dkms/mok.pub",
        {"secure_boot": True, "keys": ("Debian Secure Boot CA",), "loaded": None},
    ),
    (
        "secure-boot-unsigned",
        True,
        "",
        "DKMS would sign",
        {**EMPTY, "secure_boot": True, "keys": ("Debian Secure Boot CA",)},
    ),
    (
        "secure-boot-unsigned",
        True,
        "",
        "/var/lib/shim-signed/mok/MOK.der",
        {**EMPTY, "secure_boot": True, "system": System("ubuntu", "24.04", like=("debian",))},
    ),
    (
        "modprobe-rule-missing",
        True,
        "files",
        "nvidia-current-open",
        {"kernels": (kernel(NOW, module(path="updates/dkms/nvidia-current-open.ko")),)},
    ),
    (
        "other-modules",
        True,
        "packages",
        "open modules are wanted",
        {"kernels": (kernel(NOW, module(open_=False)),), "loaded": Loaded(V, False, 0)},
    ),
    ("other-modules", True, "load", "still loaded", {"loaded": Loaded(V, False, 0)}),
    ("open-unsupported", True, "", "Volta", {"gpus": (device(0, "1db5"), device(1, "1db5"))}),
    (
        "branch-unsupported",
        True,
        "",
        "GPUs, which need branch",
        {"gpus": (device(0, "2901"), device(1, "2901")), "userspace": "550.54.15"},
    ),
    ("device-nodes-missing", True, "load", "/dev/nvidia-uvm", {"nodes": ("nvidia0", "nvidia1", "nvidiactl")}),
    ("device-nodes-missing", True, "load", "/dev/nvidia1", {"nodes": ("nvidia0", "nvidia-uvm", "nvidiactl")}),
    ("fabric-manager-missing", True, "packages", "NVSwitch", {"switches": 4}),
    ("fabric-manager-mismatch", True, "packages", OLD, fabric(ServiceState("failed", True, "exit-code"), OLD)),
    (
        "fabric-manager-not-running",
        True,
        "services",
        "failed to initialise",
        fabric(ServiceState("failed", True, "exit-code", "failed to initialise NVSwitch")),
    ),
    ("fabric-manager-not-running", True, "services", "not enabled", fabric(ServiceState("active", False))),
    (
        "fabric-manager-without-switch",
        False,
        "services",
        "without NVSwitches",
        {"units": {**HEALTHY.units, "nvidia-fabricmanager.service": ServiceState("failed", True, "exit-code")}},
    ),
    (
        "fabric-manager-without-switch",
        False,
        "",
        "without NVSwitches",
        {"units": {**HEALTHY.units, "nvidia-fabricmanager.service": ServiceState("active", True)}, "virtual": "kvm"},
    ),
    (
        "fabric-not-completed",
        True,
        "services",
        "in progress",
        {**SWITCHED, "facts": seen(gpu(0, fabric="in progress"), gpu(1, fabric="completed"))},
    ),
    (
        "persistence-off",
        False,
        "services",
        "inactive",
        {"units": {**HEALTHY.units, "nvidia-persistenced.service": ServiceState("inactive", True)}},
    ),
    (
        "persistence-off",
        False,
        "packages",
        "not installed",
        {"units": {**HEALTHY.units, "nvidia-persistenced.service": ServiceState("", False)}},
    ),
    ("engine-unsupported", True, "", "systemd 239", {"system": System("rocky", "8.10")}),
    ("persistence-off", False, "", "--no-persistence-mode", {"facts": seen(gpu(0), gpu(1, persistence=False))}),
    ("xid-79", True, "reboot", "fallen off the bus", xid(79)),
    ("xid-48", True, "reboot", "double bit", xid(48)),
    ("xid-13", False, "", "Restart the program", xid(13)),
    ("xid-999", False, "", "not in data/xids.yml", xid(999)),
]


@pytest.mark.parametrize(
    ("name", "fatal", "heal", "words", "broken"), FAULTS, ids=[f"{i}-{row[0]}" for i, row in enumerate(FAULTS)]
)
def test_faults(name: str, fatal: bool, heal: str, words: str, broken: dict[str, Any]) -> None:
    resolution = replace(RESOLVED, version=broken["userspace"]) if name == "branch-unsupported" else RESOLVED
    found = diagnose(replace(HEALTHY, **broken), WantedDriver(version="580"), resolution, 2)
    told = [finding for finding in found if finding.name == name]
    assert len(told) == 1, [str(finding) for finding in found]
    assert (told[0].fatal, told[0].heal) == (fatal, heal)
    assert words in str(told[0])


def test_faults_have_names_messages_and_remedies_of_their_own() -> None:
    found = [
        finding
        for __, __, __, __, broken in FAULTS
        for finding in diagnose(replace(HEALTHY, **broken), WantedDriver(version="580"), RESOLVED, 2)
    ]
    assert len({finding.name for finding in found}) >= 40
    for finding in found:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", finding.name)
        assert finding.heal in HEALS
        assert finding.message[-1] not in ".;, ", str(finding)
        assert finding.remedy[-1] not in ".;, ", str(finding)
        assert "\n" not in str(finding)


UNSIGNED = {"secure_boot": True, "kernels": (kernel(NOW, module(signer="")),), "dkms": ()}
MOVING = dict.fromkeys(PACKAGES, "590.44.01-1")


@pytest.mark.parametrize(
    ("name", "state", "wanted", "resolution", "heal"),
    [
        # What is asked for is refused; what is installed makes room.
        ("open-unsupported", {"gpus": (device(0, "1db5"),)}, WantedDriver(modules="open"), None, ""),
        ("open-unsupported", {"gpus": (device(0, "1db5"),)}, WantedDriver(), None, "packages"),
        (
            "open-unsupported",
            {"gpus": (device(0, "1db5"),)},
            WantedDriver(),
            replace(RESOLVED, modules="proprietary"),
            "packages",
        ),
        ("proprietary-unsupported", {"gpus": (device(0, "2901"),)}, WantedDriver(modules="proprietary"), None, ""),
        (
            "proprietary-unsupported",
            {"gpus": (device(0, "2901"),)},
            WantedDriver(),
            replace(RESOLVED, modules="proprietary"),
            "",
        ),
        (
            "proprietary-unsupported",
            {"gpus": (device(0, "2901"),), "kernels": (kernel(NOW, module(open_=False)),)},
            WantedDriver(),
            RESOLVED,
            "packages",
        ),
        ("branch-unsupported", {"gpus": (device(0, "2901"),), "userspace": "550.54.15"}, WantedDriver("550"), None, ""),
        (
            "branch-unsupported",
            {"gpus": (device(0, "2901"),), "userspace": "550.54.15"},
            WantedDriver("580"),
            None,
            "packages",
        ),
        # A person must enrol the key, but not for a module that goes anyway.
        ("secure-boot-unsigned", UNSIGNED, WantedDriver(), None, "packages"),
        ("secure-boot-unsigned", UNSIGNED, WantedDriver(), PREBUILT, ""),
        ("secure-boot-unsigned", UNSIGNED, WantedDriver(), replace(PREBUILT, packages=MOVING), "packages"),
        ("secure-boot-unsigned", UNSIGNED, WantedDriver(), replace(RESOLVED, packages=MOVING), ""),
        (
            "secure-boot-unsigned",
            {"secure_boot": True, "keys": ("x",)},
            WantedDriver(),
            replace(RESOLVED, packages=MOVING),
            "",
        ),
        # Another version may be what the GPUs wait for.
        (
            "nvml-error",
            {"facts": Facts("nvidia-smi", "No devices were found", 6)},
            WantedDriver("590"),
            None,
            "packages",
        ),
        (
            "nvml-error",
            {"facts": Facts("nvidia-smi", "No devices were found", 6)},
            WantedDriver("590"),
            replace(RESOLVED, packages=MOVING),
            "packages",
        ),
        ("nvml-error", {"facts": Facts("nvidia-smi", "No devices were found", 6)}, WantedDriver(), RESOLVED, ""),
        ("not-installed", EMPTY, WantedDriver(), None, "packages"),
        (
            "module-missing-for-next-kernel",
            {"dkms": (), "next_kernel": NEW, "kernels": (kernel(), kernel(NEW, None))},
            WantedDriver(),
            PREBUILT,
            "packages",
        ),
        (
            "module-other-version-for-kernel",
            {"kernels": (kernel(NOW, module(OLD, path="kernel/nvidia-570/nvidia.ko")),)},
            WantedDriver(),
            PREBUILT,
            "packages",
        ),
    ],
)
def test_what_heals_depends_on_what_is_wanted(
    name: str, state: dict[str, Any], wanted: WantedDriver, resolution: Resolution | None, heal: str
) -> None:
    found = diagnose(replace(HEALTHY, **state), wanted, resolution)
    assert [finding.heal for finding in found if finding.name == name] == [heal], [str(finding) for finding in found]


def test_old_gpus_need_no_firmware_and_headers_of_kernels_with_a_module_are_not_missed() -> None:
    volta = {
        "gpus": (device(0, "1db5"),),
        "firmware": (),
        "loaded": Loaded(V, False, 1),
        "kernels": (kernel(NOW, module(open_=False)),),
    }
    names = {f.name for f in diagnose(replace(HEALTHY, **volta, facts=seen(gpu(0))), WantedDriver(), None)}
    assert "firmware-missing" not in names
    assert diagnose(replace(HEALTHY, kernels=(kernel(KEPT, headers=False), kernel())), WantedDriver(), RESOLVED) == []


def test_one_cause_is_not_told_as_several() -> None:
    names = {f.name for f in diagnose(replace(HEALTHY, **EMPTY), WantedDriver(), RESOLVED, 2)}
    assert names == {"not-installed"}
    lost = {"facts": seen(gpu(0)), **xid(79, address="0000:02:00.0")}
    assert {f.name for f in diagnose(replace(HEALTHY, **lost), WantedDriver(), RESOLVED, 2)} == {"gpu-fell-off"}
    failed = Facts("nvidia-smi", "Failed to initialize NVML: Driver/library version mismatch", 18)
    mismatch = {"loaded": Loaded(OLD, True, 1), "facts": failed}
    assert {f.name for f in diagnose(replace(HEALTHY, **mismatch), WantedDriver(), RESOLVED, 2)} == {"version-mismatch"}


def test_fatal_faults_come_first() -> None:
    broken = replace(HEALTHY, held=(), nouveau=True, files=("/etc/x",), xids=(Xid("0000:01:00.0", 13, 1, ""),))
    fatal = [finding.fatal for finding in diagnose(broken, WantedDriver(), RESOLVED)]
    assert fatal == sorted(fatal, reverse=True)
    assert len(fatal) == 4


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(
    st.builds(
        DriverState,
        system=st.just(HEALTHY.system),
        gpus=st.lists(
            st.sampled_from(
                [device(0), device(1, "1db5"), device(2, "2901"), device(3, "74a1", "1002"), device(4, "ffff")]
            )
        ).map(tuple),
        kernels=st.lists(
            st.sampled_from([kernel(), kernel(NEW, None, False, True), kernel(KEPT, module(OLD, False, ""))]),
            unique=True,
        ).map(tuple),
        running=st.sampled_from([NOW, NEW, ""]),
        next_kernel=st.sampled_from([NOW, NEW, ""]),
        loaded=st.sampled_from([None, Loaded(V, True, 0), Loaded(OLD, False, 4)]),
        userspace=st.sampled_from(["", V, OLD, "535"]),
        packages=st.sampled_from([{}, PACKAGES, {"libcuda1": "x"}]),
        facts=st.sampled_from([None, seen(), Facts("nvidia-smi", "x", 9)]),
        switches=st.integers(0, 4),
        secure_boot=st.sampled_from([None, True, False]),
        keys=st.sampled_from([(), (OURS,), ("x",)]),
        dkms=st.sampled_from([(), HEALTHY.dkms, (Dkms("nvidia", V, "", "broken"),)]),
        xids=st.sampled_from([(), (Xid("", 79, 1, ""), Xid("0000:01:00.0", 149, 2, "Nonfatal"))]),
    ),
    st.sampled_from([None, RESOLVED, PREBUILT]),
    st.integers(0, 9),
)
def test_any_state_is_judged(state: DriverState, resolution: Resolution | None, declared: int) -> None:
    for finding in diagnose(state, WantedDriver(), resolution, declared):
        assert finding.message
        assert finding.remedy
