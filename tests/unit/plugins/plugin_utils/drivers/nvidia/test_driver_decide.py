"""Which steps follow from what was seen: nothing is interrupted without need, nothing is left half done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import (
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
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.decide import (
    DriverDecision,
    Policy,
    decide,
    decide_absent,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.finding import Finding

NEW, OLD = "580.95.05", "570.195.03"
KERNEL = "6.1.0-56-amd64"
NAMES = ("nvidia-kernel-open-dkms", "libcuda1")


def packages(version: str) -> dict[str, str]:
    return dict.fromkeys(NAMES, f"{version}-1")


def resolution(version: str = NEW, **more: Any) -> Resolution:
    return Resolution(version, "open", "dkms", packages(version), **more)


def healthy(version: str = NEW) -> DriverState:
    return DriverState(
        system=System("debian", "12"),
        running=KERNEL,
        next_kernel=KERNEL,
        kernels=(Kernel(KERNEL, True, Module(version, True, "", "nvidia.ko")),),
        loaded=Loaded(version, True, 0),
        packages=packages(version),
        held=NAMES,
        dkms=(Dkms("nvidia", version, KERNEL, "installed"),),
        units={"nvidia-persistenced.service": ServiceState("active", True)},
    )


POLICY = Policy()


def steps(
    state: DriverState, policy: Policy = POLICY, findings: tuple[Finding, ...] = (), **more: Any
) -> DriverDecision:
    return decide(state, WantedDriver(), resolution(**more), findings, policy, "debian")


def titles(commands: tuple[Any, ...]) -> list[str]:
    return [command.title for command in commands]


MODEL = User(10, "vllm", "vllm-llama.service")
STRANGER = User(11, "python", "user@1000.service")


def test_a_host_that_is_as_wanted_needs_nothing() -> None:
    assert steps(healthy()) == DriverDecision()
    assert steps(replace(healthy(), users=(MODEL, STRANGER))).idle


def test_a_bare_host_is_installed_in_one_transaction_without_stopping_anything() -> None:
    bare = replace(
        healthy(), packages={}, loaded=None, held=(), dkms=(), kernels=(Kernel(KERNEL, True, None),), units={}
    )
    found = steps(bare)
    assert len(found.install) == 1
    assert [f"{name}={NEW}-1" for name in NAMES] == list(found.install[0].argv[-2:])
    assert "--allow-downgrades" in found.install[0].argv
    assert "--simulate" in found.install[0].simulate
    assert found.download
    assert not (found.drain)
    assert not (found.load)
    assert not (found.reboot)
    assert not (found.waits)
    assert not (found.back)


def test_after_the_packages_the_module_is_built_held_and_loaded() -> None:
    installed = replace(
        healthy(),
        loaded=None,
        held=(),
        dkms=(Dkms("nvidia", NEW, "", "added"),),
        kernels=(Kernel(KERNEL, True, None),),
        units={"nvidia-persistenced.service": ServiceState("inactive", False)},
    )
    found = steps(installed)
    assert not found.install
    assert titles(found.heal) == [
        f"build the module nvidia/{NEW} for {KERNEL}",
        "hold libcuda1, nvidia-kernel-open-dkms",
        "enable nvidia-persistenced.service",
    ]
    assert titles(found.load)[:2] == ["load nvidia", "load nvidia-uvm"]
    assert titles(found.load)[-1] == "start nvidia-persistenced.service"


def test_a_change_stops_our_models_and_says_what_follows() -> None:
    found = steps(replace(healthy(OLD), users=(MODEL,)))
    assert found.drain == ("vllm-llama.service",)
    assert found.then == "the loaded module is exchanged"
    assert [f"{name}={OLD}-1" for name in NAMES] == list(found.back[0].argv[-2:])


def test_the_module_is_exchanged_with_its_services_around_it() -> None:
    found = steps(replace(healthy(), loaded=Loaded(OLD, True, 0), users=(MODEL,)))
    said = titles(found.load)
    assert said[0] == "stop nvidia-persistenced.service"
    assert said.index(f"unload nvidia {OLD}") < said.index("load nvidia")
    assert said[-1] == "start nvidia-persistenced.service"
    assert found.drain == ("vllm-llama.service",)


@pytest.mark.parametrize("reboot", [False, True])
def test_a_stranger_on_the_gpus_is_not_thrown_off_without_leave(reboot: bool) -> None:
    found = steps(replace(healthy(OLD), users=(MODEL, STRANGER)), Policy(reboot=reboot))
    if reboot:
        assert found.install
        assert found.drain == ("vllm-llama.service",)
        assert "reboot" in found.then
    else:
        assert "python (process 11, user@1000.service)" in found.waits
        assert not (found.install)
        assert not (found.download)
        assert not (found.drain)
        assert not (found.load)


def test_a_mismatch_with_a_stranger_waits_and_leaves_the_rest_alone() -> None:
    found = steps(replace(healthy(), loaded=Loaded(OLD, True, 0), users=(STRANGER,)))
    assert found.waits
    assert not (found.load)
    assert not (found.drain)
    assert not (found.install)
    allowed = steps(replace(healthy(), loaded=Loaded(OLD, True, 0), users=(STRANGER,)), Policy(reboot=True))
    assert allowed.reboot
    assert not allowed.load
    assert not allowed.waits


def test_a_running_kernel_that_cannot_have_a_module_needs_a_reboot() -> None:
    state = replace(healthy(), running="6.1.0-40-amd64", loaded=None)
    assert "6.1.0-40-amd64" in steps(state).waits
    assert KERNEL in steps(state, Policy(reboot=True)).reboot


def test_nouveau_gives_way() -> None:
    state = replace(
        healthy(), loaded=None, nouveau=True, kernels=(replace(healthy().kernels[0], nouveau_in_initramfs=True),)
    )
    found = steps(state)
    assert titles(found.heal) == [f"make the initramfs of {KERNEL}"]
    assert titles(found.load)[:3] == ["stop nvidia-persistenced.service", "unload nouveau", "load nvidia"]


def test_the_module_is_built_for_every_kernel_that_lacks_it_and_only_those() -> None:
    kernels = (*healthy().kernels, Kernel("6.1.0-57-amd64", True, None), Kernel("6.1.0-1-amd64", False, None))
    assert titles(steps(replace(healthy(), kernels=kernels)).heal) == [
        f"build the module nvidia/{NEW} for 6.1.0-57-amd64"
    ]


def test_what_nothing_heals_stops_the_host_unless_it_is_accepted() -> None:
    fault = Finding("xid", "GPU 0 reported Xid 79", "Replace it")
    assert steps(healthy(OLD), findings=(fault,)).refusals == (fault,)
    accepted = steps(healthy(OLD), Policy(accept=("xid",)), findings=(fault,))
    assert not accepted.refusals
    assert accepted.install


def test_a_finding_that_only_a_reboot_heals_drains_first() -> None:
    fault = Finding("gpu-fell-off", "GPU 3 is gone", "Reboot", heal="reboot")
    assert steps(replace(healthy(), users=(MODEL,)), findings=(fault,)).waits == "GPU 3 is gone"
    allowed = steps(replace(healthy(), users=(MODEL,)), Policy(reboot=True), findings=(fault,))
    assert (allowed.reboot, allowed.drain) == ("GPU 3 is gone", ("vllm-llama.service",))


def test_the_other_kind_of_modules_goes_in_the_same_transaction() -> None:
    state = replace(healthy(), packages={**packages(NEW), "nvidia-kernel-dkms": f"{NEW}-1"})
    found = steps(state, remove=("nvidia-kernel-dkms",))
    assert found.install[0].argv[-1] == "nvidia-kernel-dkms-"
    assert f"nvidia-kernel-dkms={NEW}-1" in found.back[0].argv


def test_half_installed_packages_are_finished_first() -> None:
    found = steps(replace(healthy(), broken=("nvidia-kernel-open-dkms",)))
    assert found.install[0].argv[:2] == ("dpkg", "--configure")


def test_removal_unloads_before_it_purges_and_leaves_headers() -> None:
    state = replace(healthy(), users=(MODEL,), packages={**packages(NEW), "linux-headers-amd64": "6.1", "dkms": "3"})
    found = decide_absent(state, "debian")
    said = titles(found.install)
    assert said[0] == "stop nvidia-persistenced.service"
    assert said[-1] == "remove libcuda1, nvidia-kernel-open-dkms"
    assert found.install[-1].argv[-2:] == ("libcuda1", "nvidia-kernel-open-dkms")
    assert found.drain == ("vllm-llama.service",)


def test_removal_leaves_a_kernel_that_is_called_nvidia() -> None:
    # DGX OS: without its headers, linux-nvidia goes too, and with it the kernel's updates.
    kernel = {"linux-headers-nvidia": "6.8.0-1040.43", "linux-headers-6.8.0-1040-nvidia": "6.8.0-1040.43"}
    found = decide_absent(replace(healthy(), packages={**packages(NEW), **kernel}), "debian")
    assert not set(kernel) & set(found.install[-1].argv)


def test_removal_leaves_strangers_alone() -> None:
    assert [f.name for f in decide_absent(replace(healthy(), users=(STRANGER,)), "rhel").refusals] == ["in-use"]


def test_nothing_is_removed_where_nothing_is() -> None:
    assert decide_absent(DriverState(system=System("debian", "12")), "debian").idle


def test_headers_may_be_of_any_version_and_move_with_the_system() -> None:
    wanted = replace(
        resolution(), packages={**packages(NEW), f"linux-headers-{KERNEL}": ""}, unheld=(f"linux-headers-{KERNEL}",)
    )
    bare = decide(healthy(), WantedDriver(), wanted, (), Policy(), "debian")
    assert bare.install[0].argv[-1] == f"linux-headers-{KERNEL}"
    assert not bare.drain
    there = replace(healthy(), packages={**packages(NEW), f"linux-headers-{KERNEL}": "6.1.192-2"})
    assert decide(there, WantedDriver(), wanted, (), Policy(), "debian").idle
