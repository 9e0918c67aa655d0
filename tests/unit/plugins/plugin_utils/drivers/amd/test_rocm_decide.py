"""What a host needs for its ROCm, and what stands in the way."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd import look
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd.model import (
    RocmDecision,
    RocmKernel,
    RocmState,
    WantedRocm,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Device, Module, System
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts, Gpu, Process
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd import refuse, releases, render
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd.decide import (
    decide,
    installed_driver,
    update_needed,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build

TEMPLATES = Path(__file__).resolve().parents[6] / "templates"
WANTED = WantedRocm("7.2.3", packages=("rocm-hip-libraries", "amd-smi-lib"))
BUILT = Module("6.16.13", False, "DKMS module signing key", "/lib/modules/6.1.0-56-amd64/updates/dkms/amdgpu.ko")
DEBIAN, ROCKY = System("debian", "12"), System("rocky", "9.7")


def plan(wanted: WantedRocm, system: System) -> dict[str, str]:
    known = releases.release(wanted.version)
    assert known is not None
    return render.files(TEMPLATES, wanted, known, system)


def run(state: RocmState, wanted: WantedRocm = WANTED) -> RocmDecision:
    known = releases.release(wanted.version)
    assert known is not None
    return decide(wanted, known, state, plan(wanted, state.system))


def titles(decision: RocmDecision) -> list[str]:
    return [str(command["title"]) for command in decision.commands]


def argv(decision: RocmDecision, title: str) -> list[str]:
    return [str(word) for command in decision.commands if command["title"] == title for word in command["argv"]]  # type: ignore[attr-defined]


GPU = Gpu(0, "amd", "AMD Instinct MI300X", "u", "0000:05:00.0")
BARE = RocmState(
    system=DEBIAN,
    gpus=(Device("0000:05:00.0", "1002", "74a1", "120000"),),
    running="6.1.0-56-amd64",
    next_kernel="6.1.0-56-amd64",
    kernels=(RocmKernel("6.1.0-56-amd64", False, None),),
    groups=("video", "render"),
)
DONE = replace(
    BARE,
    kernels=(RocmKernel("6.1.0-56-amd64", True, BUILT),),
    loaded=True,
    loaded_version="6.16.13",
    packages={
        "rocm-core": "7.2.3.70203-93~22.04",
        "rocm-hip-libraries": "7.2.3.70203-93~22.04",
        "amd-smi-lib": "26.2.1.70203-93~22.04",
        "amdgpu-dkms": "1:6.16.13.30300300-2341068.22.04",
        "amdgpu-dkms-firmware": "30.30.3.0.30300300-2341068.22.04",
    },
    texts=plan(WANTED, DEBIAN),
    facts=Facts("amd-smi", returncode=0, gpus=(GPU,)),
)


def test_nothing_to_do() -> None:
    assert run(DONE) == RocmDecision()
    assert refuse.refusals(WANTED, DONE) == []
    assert refuse.unwell(DONE) == []


def test_a_bare_host_gets_everything_in_one_transaction_and_no_reboot() -> None:
    decision = run(BARE)
    assert titles(decision) == [
        "install ROCm 7.2.3 and the driver 30.30.3",
        "read udev's rules",
        "give the devices their group",
        "tell the linker",
        "load amdgpu",
    ]
    words = argv(decision, "install ROCm 7.2.3 and the driver 30.30.3")
    assert words[-4:] == ["linux-headers-6.1.0-56-amd64", "amdgpu-dkms", "rocm-hip-libraries", "amd-smi-lib"]
    assert {file["path"] for file in decision.files} == {look.APT, look.PIN, look.UDEV, look.LINKER}
    assert update_needed(decision)
    assert decision.reboot == ""


def test_the_kernels_own_module_that_is_loaded_already_gives_way_at_a_reboot() -> None:
    assert (
        run(replace(BARE, loaded=True)).reboot
        == "the kernel's own amdgpu is loaded instead of that of the driver 30.30.3"
    )


@pytest.mark.parametrize("version", ["7.1.1", "7.2.4"])
def test_another_release_goes_first_up_and_down(version: str) -> None:
    decision = run(DONE, replace(WANTED, version=version))
    driver = releases.release(version).driver  # type: ignore[union-attr]
    assert titles(decision)[:3] == [
        "remove ROCm 7.2.3",
        "remove the driver 30.30.3",
        f"install ROCm {version} and the driver {driver}",
    ]
    assert argv(decision, "remove ROCm 7.2.3")[-2:] == ["remove", "rocm-core"]
    assert argv(decision, "remove the driver 30.30.3")[-2:] == ["amdgpu-dkms", "amdgpu-dkms-firmware"]
    assert "6.16.13 is loaded instead of that of the driver" in decision.reboot


def test_one_missing_package_is_all_that_is_installed() -> None:
    decision = run(DONE, replace(WANTED, packages=(*WANTED.packages, "rocm-hip-sdk")))
    assert argv(decision, "install ROCm 7.2.3")[-2:] == ["install", "rocm-hip-sdk"]
    assert titles(decision) == ["install ROCm 7.2.3", "tell the linker"]


def test_the_kernels_driver_in_the_place_of_amds() -> None:
    wanted = replace(WANTED, driver="kernel")
    decision = run(DONE, wanted)
    assert titles(decision) == ["remove the driver 30.30.3", "tell the linker"]
    assert decision.reboot == "AMD's amdgpu 6.16.13 is loaded instead of the kernel's"
    gone = {name: version for name, version in DONE.packages.items() if "dkms" not in name}
    kernels = (replace(DONE.kernels[0], module=None),)
    after = replace(DONE, packages=gone, kernels=kernels, loaded_version="", texts=plan(wanted, DEBIAN))
    assert run(after, wanted) == RocmDecision()


def test_a_new_kernel_gets_its_headers_and_its_module_before_it_boots() -> None:
    new = RocmKernel("6.1.0-57-amd64", False, None)
    decision = run(replace(DONE, kernels=(*DONE.kernels, new), next_kernel=new.release))
    assert titles(decision) == ["install kernel headers", "build amdgpu for 6.1.0-57-amd64", "tell the linker"]
    assert argv(decision, "build amdgpu for 6.1.0-57-amd64") == ["dkms", "autoinstall", "-k", "6.1.0-57-amd64"]


def test_ubuntu_keeps_a_part_of_what_amdgpu_needs_elsewhere() -> None:
    kernel = RocmKernel("6.8.0-60-generic", True, None)
    state = replace(BARE, system=System("ubuntu", "24.04"), kernels=(kernel,))
    words = argv(run(state), "install ROCm 7.2.3 and the driver 30.30.3")
    assert "linux-modules-extra-6.8.0-60-generic" in words
    assert "linux-headers-6.8.0-60-generic" not in words


RPM = [
    (
        System("rocky", "9.7"),
        "5.14.0-570.el9.x86_64",
        ["kernel-devel-5.14.0-570.el9.x86_64", "kernel-devel-matched-5.14.0-570.el9.x86_64"],
    ),
    (System("rhel", "8.10"), "4.18.0-553.el8_10.x86_64", ["kernel-devel-4.18.0-553.el8_10.x86_64"]),
    (System("ol", "9.7"), "5.15.0-200.el9uek.x86_64", ["kernel-uek-devel-5.15.0-200.el9uek.x86_64"]),
]


@pytest.mark.parametrize(("system", "kernel", "headers"), RPM)
def test_rpm_systems(system: System, kernel: str, headers: list[str]) -> None:
    decision = run(replace(BARE, system=system, kernels=(RocmKernel(kernel, False, None),)))
    words = argv(decision, "install ROCm 7.2.3 and the driver 30.30.3")
    assert words[:2] == ["dnf", "-y"]
    assert words[words.index("install") + 1 :] == [*headers, "amdgpu-dkms", *WANTED.packages]
    assert look.DNF in {file["path"] for file in decision.files}


def test_an_rpm_driver_is_known_by_the_repository_that_it_came_from() -> None:
    packages = {**DONE.packages, "amdgpu-dkms": "6.16.13-2341068.el9"}
    state = replace(DONE, system=ROCKY, packages=packages, texts=plan(WANTED, ROCKY))
    assert installed_driver(state) == "30.30.3"
    assert run(state) == RocmDecision()
    assert "remove the driver 30.30.3" in titles(run(state, replace(WANTED, version="7.2.1")))


def test_groups_that_a_host_lacks_are_added() -> None:
    assert titles(run(replace(DONE, groups=("video",)))) == ["add the group render"]


def test_a_file_that_was_edited_is_put_back() -> None:
    decision = run(replace(DONE, texts={**DONE.texts, look.PIN: "Package: *\n"}))
    assert [file["path"] for file in decision.files] == [look.PIN]
    assert not update_needed(decision)


BUSY = Facts("amd-smi", returncode=0, gpus=(replace(GPU, processes=(Process(42, "VLLM::Worker", "C", None),)),))
REFUSED: list[tuple[dict[str, Any], WantedRocm, str]] = [
    (
        {"system": System("debian", "11")},
        WANTED,
        "system-not-supported: AMD packages no ROCm 7.2.3 for debian 11 on x86_64. It is for debian 12 13, ubuntu",
    ),
    (
        {"system": System("debian", "13")},
        replace(WANTED, version="6.4.3"),
        "for debian 13 on x86_64 write rocm_version: 7.0.2 or 7.1.1",
    ),
    ({"system": System("almalinux", "9.6")}, WANTED, "system-not-supported"),
    ({"system": System("ubuntu", "24.04", arch="aarch64")}, WANTED, "for ubuntu 24.04 on aarch64"),
    ({}, replace(WANTED, version="5.0.0"), "unknown-release: ROCm 5.0.0 is not known here. Known are: 6.4.3"),
    ({"gpus": ()}, WANTED, "no-gpu: there is no AMD GPU on the PCI bus"),
    (
        {"foreign": ("/etc/apt/sources.list.d/amdgpu.list",)},
        WANTED,
        "other-repository: /etc/apt/sources.list.d/amdgpu.list names",
    ),
    (
        {"facts": BUSY},
        replace(WANTED, version="7.1.1"),
        "in-use: ROCm 7.2.3 gives way to 7.1.1, and VLLM::Worker (pid 42) runs",
    ),
    (
        {"secure_boot": True},
        WANTED,
        "secure-boot: Secure Boot is on, and the module is signed by DKMS module signing key, which",
    ),
    ({"secure_boot": True, "kernels": BARE.kernels}, WANTED, "no key that DKMS could sign the module with is enrolled"),
]


@pytest.mark.parametrize(("seen", "wanted", "words"), REFUSED)
def test_refused_with_what_would_do(seen: dict[str, Any], wanted: WantedRocm, words: str) -> None:
    told = [str(finding) for finding in refuse.refusals(wanted, replace(DONE, **seen))]
    assert len(told) == 1, told
    assert words in told[0]


FINE = [
    ({"secure_boot": True, "keys": ("DKMS module signing key",)}, WANTED),
    ({"secure_boot": True, "kernels": BARE.kernels, "keys": ("gpu1 Secure Boot Module Signature key",)}, WANTED),
    ({"secure_boot": True, "kernels": BARE.kernels}, replace(WANTED, driver="kernel")),
    ({"facts": BUSY}, WANTED),
]


@pytest.mark.parametrize(("seen", "wanted"), FINE)
def test_not_refused(seen: dict[str, Any], wanted: WantedRocm) -> None:
    assert refuse.refusals(wanted, replace(DONE, **seen)) == []


UNWELL = [
    (None, "no-tool: amd-smi is not installed"),
    (Facts("amd-smi", error="ERROR: no amdgpu", returncode=255), "no-facts: amd-smi says: ERROR: no amdgpu"),
    (Facts("amd-smi", returncode=0, gpus=(replace(GPU, address="0000:06:00.0"),)), ""),
]


@pytest.mark.parametrize(("facts", "words"), UNWELL)
def test_what_amd_smi_says_in_the_end(facts: Facts | None, words: str) -> None:
    told = [str(finding) for finding in refuse.unwell(replace(DONE, facts=facts))]
    assert "".join(told).startswith(words) if words else told == []


def test_a_gpu_that_amd_smi_does_not_show_is_named() -> None:
    gpus = (*DONE.gpus, Device("0000:26:00.0", "1002", "74a1", "120000"))
    (finding,) = refuse.unwell(replace(DONE, gpus=gpus))
    assert finding.message == "amd-smi shows 1 of 2 GPUs; missing: 0000:26:00.0"


def test_a_host_of_what_it_saw_through_json() -> None:
    assert build(RocmState, asdict(DONE)) == DONE
