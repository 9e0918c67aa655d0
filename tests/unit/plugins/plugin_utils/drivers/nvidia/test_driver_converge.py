"""From whatever a host is like, the role ends with a proved driver, a refusal that changed nothing, or a wait for a reboot."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import versions
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import ServiceState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import driver_look, follow
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import hardware, rules
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia.judge import PATHS
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from simulated_host import FABRIC, IMEX, PERSISTENCE, STRICT, Disk, Host, part
from simulated_hosts import A100, B200, GB200, H100, SYSTEMS, V100, bare, full, kept, with_driver
from simulated_role import HELD, LOST, Run
from thoroughness import examples

# Nothing is fetched over the network in a test, a key neither.
MIRROR = {
    "nvidia_driver_mirror": "https://mirror.example/cuda",
    "nvidia_driver_mirror_key": str(Path(__file__).parent / "data" / "keys" / "ed25519.asc"),
}
# How many histories are drawn: `make exhaustive` draws thousands.
HISTORIES = int(os.environ.get("HISTORIES") or examples(150))
OLD, FIRST = "570.195.03", "580.95.05"
# The newest of the branch 580 in each recorded list.
LAST = {"debian 12": "580.126.20", "ubuntu 24.04": "580.159.04", "rocky 9": "580.178.04"}


class Quiet:
    def display(self, text: str) -> None:
        pass


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Any:
    patch = pytest.MonkeyPatch()
    patch.setattr(follow, "display", Quiet())
    # Nobody waits here for the links of NVSwitches.
    patch.setattr(driver_look, "SETTLES", 0.0)
    yield
    patch.undo()


def run(host: Host, check: bool = False, **asked: Any) -> Run:
    host.commands.clear()
    return Run(host, {**MIRROR, **{f"nvidia_driver_{key}": value for key, value in asked.items()}}, check).play()


def ending(done: Run) -> str:
    if not done.failure:
        return "proved"
    return "waits" if "waits for a reboot" in done.failure else "refused"


def own(host: Host) -> dict[str, str]:
    return {name: full for name, full in host.packages.items() if part(name) not in ("tools", "headers")}


def serves(host: Host) -> set[str]:
    return {unit for unit, runs in host.models.items() if runs}


def check_proved(before: Host, host: Host, asked: dict[str, Any]) -> None:
    loaded, following = host.loaded, host.module(host.next_kernel)
    assert host.works
    assert loaded is not None
    assert following is not None
    assert loaded.version == host.userspace == following.version
    assert loaded.open == following.open
    assert not host.nouveau
    assert not host.broken
    assert not (host.next_kernel in host.kernels and host.kernels[host.next_kernel].early)
    assert serves(host) >= serves(before)
    held = host.look(False).held
    assert set(own(host)) <= set(held)
    if asked.get("version"):
        assert host.userspace.startswith(asked["version"])
    if asked.get("modules", "auto") != "auto":
        assert loaded.open == (asked["modules"] == "open")
    # A daemon newer than the driver is none for it.
    if asked.get("persistence", True) and PERSISTENCE in host.units:
        assert host.units[PERSISTENCE] == ServiceState("active", True)
    if hardware.needs_fabric_manager(host.gpus, host.switches):
        assert host.units[FABRIC] == ServiceState("active", True)
        if hardware.has_nvlink5(host.gpus, host.switches):
            assert host.umad
            # It holds over a boot.
            assert rules.NVLINK5 in host.texts
    elif FABRIC in host.units:
        assert (host.units[FABRIC].state != "active", host.units[FABRIC].enabled) == (True, False)

    if hardware.needs_imex(host.gpus, host.system.arch):
        assert "imex" in {part(name) for name in host.packages}
        assert host.channel
        assert not host.imex_nodes or host.units[IMEX] == ServiceState("active", True)


def check_unchanged(before: Host, host: Host) -> None:
    """It serves what it served, with the driver that it had; where that cannot be had any more, there is no way back."""
    had = own(before)
    # Where the compiler itself is broken, the earlier module cannot be built again either.
    if "*" not in before.unbuildable and had.items() <= {(offer.name, offer.version) for offer in before.offers}:
        # Headers and DKMS may have come, and of a host that had no driver there is nothing to go back to.
        assert not had or own(host) == had
        assert host.loaded == before.loaded
        assert serves(host) == serves(before) or not before.works
    assert host.strangers == before.strangers


def check_waits(before: Host, host: Host) -> None:
    # What ran on before a mismatch goes on, unless it was stopped for a change that could not be finished.
    # What shows only when the module is exchanged is undone, but where its files are gone from the disk, are not on offer any more,
    # or hold a module that the kernel takes no more.
    offered = own(before).items() <= {(offer.name, offer.version) for offer in before.offers}
    loads = before.loaded is None or before.loaded.version not in before.unloadable
    lost = (host.holder or host.unloadable) and not (before.works and offered and loads)
    assert serves(host) == serves(before) or lost
    assert host.loaded == before.loaded or lost
    if host.loaded is not None and before.works and not lost:
        assert host.works


# Hosts of all kinds

FLEETS = [(H100, H100), (A100,), (V100,), (B200, B200), (H100, V100), (B200,) * 8, (GB200,) * 4]


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    name = draw(st.sampled_from(sorted(SYSTEMS)))
    host = bare(
        name,
        draw(st.sampled_from(FLEETS[:1] * 4 + FLEETS)),
        kernels=draw(st.integers(1, 3)),
        headers=draw(st.sampled_from([True, True, False])),
    )
    releases = sorted(host.kernels)
    host.running = draw(st.sampled_from([releases[-1], releases[0]]))
    host.blocked = draw(st.sampled_from([True, True, False]))
    host.switches = 0 if GB200.device == host.gpus[0].device else draw(st.sampled_from([0, 0, 4]))
    host.imex_nodes = draw(st.sampled_from([(), ("192.0.2.1", "192.0.2.2")]))
    host.secure_boot = draw(st.sampled_from([None, None, True]))
    keys = ("DKMS module signing key", "host Secure Boot Module Signature key", "NVIDIA")
    host.keys = draw(st.sampled_from([keys, keys[2:]])) if host.secure_boot else ()
    present = draw(st.sampled_from(["", "", OLD, FIRST, FIRST, LAST[name]]))
    if present:
        with_driver(host, present, draw(st.sampled_from(["open", "open", "proprietary"])), draw(st.booleans()))
        if draw(st.booleans()):
            kept(host)
    elif not host.blocked:
        host.nouveau = True
        host.kernels[host.next_kernel].early = draw(st.booleans())
    if host.loaded is not None and draw(st.booleans()):
        host.strangers = ("jupyter.service",)
    # In their order: what does not build any more was built before.
    for fault in sorted(draw(st.sets(st.sampled_from(list(FAULTS)), max_size=2)), key=list(FAULTS).index):
        FAULTS[fault](host)
    gone = draw(st.sets(st.sampled_from(sorted({(o.name, o.version) for o in host.offers if o.version})), max_size=3))
    host.offers = tuple(o for o in host.offers if (o.name, o.version) not in gone)
    return host


def _moved_by_hand(host: Host) -> None:
    """What an unattended upgrade leaves: everything on the disk is of another version than what is loaded."""
    if not host.loaded or not host.packages:
        return
    name = next(key for key, value in SYSTEMS.items() if value[0].name == host.system.name)
    other = LAST[name] if host.userspace != LAST[name] else FIRST
    if versions.branch(host.userspace) != versions.branch(other):
        return
    dated = {name for name, found in host.packages.items() if not versions.driver(found)}
    for package in [*sorted(set(own(host)) - dated), *(name for name in STRICT.values() if name in host.packages)]:
        host.put(package, full(host, package, other))


def _userspace_alone(host: Host) -> None:
    for package in [p for p in host.packages if part(p) == "library"]:
        known = [o.version for o in host.offers if o.name == package]
        host.packages[package] = known[-1]


def _half_configured(host: Host) -> None:
    if host.family == "debian":
        host.broken |= {name for name in host.packages if part(name) in ("open", "proprietary")}


def _unloaded(host: Host) -> None:
    host.loaded, host.sisters, host.strangers = None, set(), ()
    host.models = dict.fromkeys(host.models, False)
    host.units = {name: ServiceState("inactive", unit.enabled) for name, unit in host.units.items()}


def _new_kernel(host: Host) -> None:
    host.next_kernel = max(host.kernels)
    if host.next_kernel != host.running:
        host.kernels[host.next_kernel] = Disk(headers=False)


def _kernel_removed(host: Host) -> None:
    if host.running != host.next_kernel:
        del host.kernels[host.running]


def _without_firmware(host: Host) -> None:
    for name in [name for name in host.packages if part(name) == "firmware"]:
        host.take(name)


def _forgotten_by_dkms(host: Host) -> None:
    """`dkms remove --all`, or a /var/lib/dkms that somebody has wiped."""
    for disk in host.kernels.values():
        disk.built = None if disk.built and host.trees else disk.built
    host.trees = {}


def _needless(host: Host) -> None:
    name = next((o.name for o in host.offers if part(o.name) == "fabric" and versions.driver(o.version) == FIRST), "")
    if host.packages and name and not host.switches:
        host.put(name, full(host, name, FIRST))


def _without_subnet_manager(host: Host) -> None:
    for name in [name for name in host.packages if name in ("nvlsm", "infiniband-diags")]:
        host.take(name)
        if FABRIC in host.units:
            host.units[FABRIC] = ServiceState("failed", True, "exit-code")


def _without_umad(host: Host) -> None:
    if hardware.has_nvlink5(host.gpus, host.switches):
        host.umad = False
        if FABRIC in host.units:
            host.units[FABRIC] = ServiceState("failed", True, "exit-code")


FAULTS: dict[str, Callable[[Host], None]] = {
    "moved by hand": _moved_by_hand,
    "userspace alone": _userspace_alone,
    "half configured": _half_configured,
    "unloaded": _unloaded,
    "new kernel": _new_kernel,
    "kernel removed": _kernel_removed,
    "no services": lambda host: host.units.update(dict.fromkeys(host.units, ServiceState("inactive", False))),
    "compiler broken": lambda host: host.unbuildable.add("*"),
    "new version does not build": lambda host: host.unbuildable.update(LAST.values()),
    "new version does not load": lambda host: host.unloadable.update(LAST.values()),
    "held by another module": lambda host: setattr(host, "holder", host.loaded is not None),
    "unreachable": lambda host: setattr(host, "unreachable", True),
    "needless fabric manager": _needless,
    "no firmware": _without_firmware,
    "no subnet manager": _without_subnet_manager,
    "no ib_umad": _without_umad,
    "no channel": lambda host: setattr(host, "channel", False),
    "forgotten by DKMS": _forgotten_by_dkms,
}

WISHES = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from(["580", FIRST, "570", "590", "580.1.1"]),
        "modules": st.sampled_from(["open", "proprietary"]),
        "build": st.sampled_from(["dkms", "prebuilt"]),
        "upgrade": st.booleans(),
        "persistence": st.just(False),
        "reboot": st.booleans(),
    },
)


@settings(max_examples=HISTORIES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(host=hosts(), asked=WISHES)
def test_the_role_ends_well(host: Host, asked: dict[str, Any]) -> None:
    before = host.copy()
    assert run(host.copy(), check=True, **asked).host == before
    done = run(host, **asked)
    end = ending(done)
    event(end)
    assert done.looks <= 6
    assert host.rebooted <= int(asked.get("reboot", False))
    assert host.rebooted or host.strangers == before.strangers
    if end == "proved":
        check_proved(before, host, asked)
        again = run(host, **asked)
        # Only the offers tell whether there is anything newer, or what was not on offer before: headers, a persistence daemon.
        lacking = host.trees and not all(disk.headers for disk in host.kernels.values())
        lacking = lacking or (asked.get("persistence", True) and PERSISTENCE not in host.units)
        looks = 2 if asked.get("upgrade") or lacking else 1
        assert (again.failure, again.looks, host.commands, again.written) == ("", looks, [], [])
    elif end == "waits":
        check_waits(before, host)
        if not host.holder and not host.unloadable:
            # "Reboot it yourself and run again."
            host.boot()
            assert ending(run(host, **asked)) != "waits"
    else:
        event(done.failure)
        assert "not-settled" not in done.failure
        if not host.rebooted:
            check_unchanged(before, host)


# Where real hosts begin


def fresh(name: str) -> Host:
    return bare(name)


def managed(name: str, version: str = FIRST, kind: str = "open", kernels: int = 1) -> Host:
    return kept(with_driver(bare(name, kernels=kernels), version, kind))


def upgraded_overnight(name: str) -> Host:
    host = with_driver(bare(name), FIRST)
    _moved_by_hand(host)
    return host


def kernel_without_module(name: str) -> Host:
    host = managed(name, kernels=2)
    host.running = min(host.kernels)
    _new_kernel(host)
    return host


def kernel_gone(name: str) -> Host:
    host = with_driver(bare(name, kernels=2), FIRST)
    host.running = min(host.kernels)
    _unloaded(host)
    _kernel_removed(host)
    return host


def fabric_manager_behind(name: str) -> Host:
    host = bare(name)
    host.switches = 4
    with_driver(host, LAST[name])
    package = next(each for each in host.packages if part(each) == "fabric")
    host.put(package, full(host, package, FIRST))
    host._try(host._start, FABRIC)
    return host


def half_configured(name: str) -> Host:
    host = managed(name)
    _half_configured(host)
    for disk in host.kernels.values():
        disk.built = None
    return host


def nouveau(name: str) -> Host:
    host = bare(name)
    host.blocked, host.nouveau = False, True
    host.kernels[host.running].early = True
    return host


def with_stranger(host: Host) -> Host:
    host.strangers = ("jupyter.service",)
    return host


def held_by_another_module(name: str) -> Host:
    host = managed(name)
    host.holder = True
    return host


def does_not_build(host: Host, versions_: set[str]) -> Host:
    host.unbuildable = versions_
    return host


def without_key(name: str) -> Host:
    host = bare(name)
    host.secure_boot, host.keys = True, ("Microsoft",)
    return host


def services_off(name: str) -> Host:
    host = managed(name)
    host.units = dict.fromkeys(host.units, ServiceState("inactive", False))
    return host


def does_not_load(name: str) -> Host:
    """Nothing serves on it that would tell of an earlier driver."""
    host = managed(name)
    host.models = {}
    host.unloadable = set(LAST.values())
    return host


def loads_no_more(name: str) -> Host:
    """What runs would not be taken by the kernel again, as after an update of the kernel under its modules."""
    host = with_driver(bare(name), LAST[name])
    host.models = {}
    host.unloadable = set(LAST.values())
    return host


def forgotten_with_new_kernel(name: str) -> Host:
    host = managed(name)
    _forgotten_by_dkms(host)
    return host


def with_needless(name: str) -> Host:
    host = managed(name)
    _needless(host)
    host.units[FABRIC] = ServiceState("failed", True, "exit-code")
    return host


def nothing_reachable(name: str) -> Host:
    host = bare(name)
    host.unreachable = True
    return host


def hgx_b200(name: str) -> Host:
    return kept(with_driver(bare(name, (B200,) * 8), FIRST))


def without(host: Host, *parts: str) -> Host:
    """A board whose fabric manager has failed at boot for want of these."""
    for package in [package for package in host.packages if package in parts]:
        host.take(package)
    host.umad = host.umad and "ib_umad" not in parts
    host.units[FABRIC] = ServiceState("failed", True, "exit-code")
    return host


def no_longer_offered(host: Host, *gone: str) -> Host:
    host.offers = tuple(offer for offer in host.offers if offer.name not in gone)
    return host


def without_channel(host: Host) -> Host:
    host.channel = False
    return host


def tray_with_imex_list(name: str) -> Host:
    host = bare(name, (GB200,) * 4)
    host.imex_nodes = ("192.0.2.1", "192.0.2.2")
    return host


# Host, what is asked, how it ends, words of the failure, whether it has rebooted.
Beginning = tuple[Callable[[str], Host], dict[str, Any], str, str, int]
BEGINNINGS: dict[str, Beginning] = {
    "fresh": (fresh, {}, "proved", "", 0),
    "fresh, kernel headers missing": (lambda n: bare(n, headers=False), {}, "proved", "", 0),
    "fresh, with an old GPU": (lambda n: bare(n, (V100,)), {}, "proved", "", 0),
    "fresh, with a new GPU": (lambda n: bare(n, (B200,)), {}, "proved", "", 0),
    "open modules for an old GPU": (lambda n: bare(n, (V100,)), {"modules": "open"}, "refused", "open-unsupported", 0),
    "no such version": (fresh, {"version": "580.1.1"}, "refused", "version-not-on-offer", 0),
    "as wanted": (managed, {"version": "580"}, "proved", "", 0),
    "upgraded overnight": (upgraded_overnight, {"version": "580"}, "proved", "", 0),
    "upgraded overnight, a stranger works on": (
        lambda n: with_stranger(upgraded_overnight(n)),
        {"version": "580"},
        "waits",
        "jupyter.service",
        0,
    ),
    "a newer kernel boots next, without module": (kernel_without_module, {"version": "580"}, "proved", "", 0),
    "the running kernel was removed": (kernel_gone, {"version": "580"}, "waits", "", 0),
    "the running kernel was removed, reboot allowed": (
        kernel_gone,
        {"version": "580", "reboot": True},
        "proved",
        "",
        1,
    ),
    "old proprietary modules to open ones": (
        lambda n: managed(n, OLD, "proprietary"),
        {"version": "580", "modules": "open"},
        "proved",
        "",
        0,
    ),
    "newest of the branch": (managed, {"version": "580", "upgrade": True}, "proved", "", 0),
    "downgrade": (lambda n: managed(n, LAST[n]), {"version": FIRST}, "proved", "", 0),
    "downgrade of the branch": (managed, {"version": "570"}, "proved", "", 0),
    "fabric manager behind": (fabric_manager_behind, {"version": "580"}, "proved", "", 0),
    "nouveau holds the GPUs": (nouveau, {}, "proved", "", 0),
    "services off": (services_off, {"version": "580"}, "proved", "", 0),
    "another version, a stranger works on": (
        lambda n: with_stranger(managed(n)),
        {"version": "570"},
        "waits",
        "jupyter",
        0,
    ),
    "another version, a stranger, reboot allowed": (
        lambda n: with_stranger(managed(n)),
        {"version": "570", "reboot": True},
        "proved",
        "",
        1,
    ),
    "another module on top, reboot allowed": (
        held_by_another_module,
        {"version": "570", "reboot": True},
        "proved",
        "",
        1,
    ),
    "another module on top": (held_by_another_module, {"version": "570"}, "waits", "", 0),
    "the new version does not build": (
        lambda n: does_not_build(managed(n), set(LAST.values())),
        {"version": "580", "upgrade": True},
        "refused",
        "is back",
        0,
    ),
    "the new branch does not build": (
        lambda n: does_not_build(managed(n), {OLD}),
        {"version": "570"},
        "refused",
        "is back",
        0,
    ),
    "the new version does not load": (does_not_load, {"version": "580", "upgrade": True}, "waits", "is back", 0),
    "neither the new modules load nor again the old": (
        loads_no_more,
        {"modules": "proprietary"},
        "waits",
        "Going back to what was there before failed too",
        0,
    ),
    "forgotten by DKMS before a new kernel boots": (forgotten_with_new_kernel, {"version": "580"}, "proved", "", 0),
    "a fabric manager that nobody needs": (with_needless, {"version": "580"}, "proved", "", 0),
    "Secure Boot without our key": (without_key, {"build": "dkms"}, "refused", "mokutil --import", 0),
    "fresh, HGX B200": (lambda n: bare(n, (B200,) * 8), {}, "proved", "", 0),
    "HGX B200 without a subnet manager": (lambda n: without(hgx_b200(n), "nvlsm"), {"version": "580"}, "proved", "", 0),
    "HGX B200 without ibstat": (lambda n: without(hgx_b200(n), "infiniband-diags"), {}, "proved", "", 0),
    "HGX B200 after a boot without ib_umad": (lambda n: without(hgx_b200(n), "ib_umad"), {}, "proved", "", 0),
    "HGX B200 to another branch": (hgx_b200, {"version": "570"}, "proved", "", 0),
    "fresh, HGX B200, no subnet manager on offer": (
        lambda n: no_longer_offered(bare(n, (B200,) * 8), "nvlsm"),
        {},
        "refused",
        "nvlsm-not-on-offer",
        0,
    ),
    "fresh, GB200": (lambda n: bare(n, (GB200,) * 4), {}, "proved", "", 0),
    "fresh, GB200 of a known domain": (tray_with_imex_list, {}, "proved", "", 0),
    "GB200 without a channel": (
        lambda n: without_channel(kept(with_driver(bare(n, (GB200,) * 4), FIRST))),
        {},
        "proved",
        "",
        0,
    ),
    "fresh, GB200, no IMEX on offer": (
        lambda n: no_longer_offered(bare(n, (GB200,) * 4), "nvidia-imex"),
        {},
        "refused",
        "IMEX nvidia-imex",
        0,
    ),
    "no way to the packages": (nothing_reachable, {}, "refused", "package lists", 0),
}


@pytest.mark.parametrize("system", sorted(SYSTEMS))
@pytest.mark.parametrize("name", BEGINNINGS)
def test_where_real_hosts_begin(name: str, system: str) -> None:
    begin, asked, end, words, reboots = BEGINNINGS[name]
    host = begin(system)
    before = host.copy()
    done = run(host, **asked)
    assert (ending(done), host.rebooted) == (end, reboots), done.failure
    assert words in done.failure
    {"proved": lambda: check_proved(before, host, asked), "waits": lambda: check_waits(before, host)}.get(
        end, lambda: check_unchanged(before, host)
    )()


def prebuilt_for_the_next_kernel_alone() -> Host:
    """Drawn once in 1,500: upgraded overnight, with a newer kernel without a module, the only one that NVIDIA prebuilds for."""
    host = with_driver(bare("rocky 9", kernels=2), FIRST)
    host.running = min(host.kernels)
    _moved_by_hand(host)
    host.kernels[host.next_kernel].built = None
    return host


@pytest.mark.parametrize(("reboot", "end"), [(False, "waits"), (True, "proved")])
def test_models_run_on_where_prebuilt_modules_leave_the_running_kernel_out(reboot: bool, end: str) -> None:
    host = prebuilt_for_the_next_kernel_alone()
    before = host.copy()
    asked = {"modules": "proprietary", "reboot": reboot}
    done = run(host, **asked)
    assert (ending(done), host.rebooted) == (end, int(reboot)), done.failure
    if reboot:
        check_proved(before, host, asked)
    else:
        assert f"for the running kernel {host.running}" in done.failure
        assert (serves(host), own(host), host.loaded) == (serves(before), own(before), before.loaded)


@pytest.mark.parametrize("system", ["debian 12", "ubuntu 24.04"])
def test_interrupted_installations_are_finished(system: str) -> None:
    host = half_configured(system)
    assert run(host, version="580").failure == ""
    check_proved(host, host, {"version": "580"})


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_a_build_that_failed_on_a_bare_host_is_made_up_for(system: str) -> None:
    host = does_not_build(bare(system), {"*"})
    assert "module build" in run(host).failure
    host.unbuildable = set()
    assert run(host).failure == ""
    check_proved(host, host, {})


@settings(max_examples=max(40, HISTORIES // 4), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(host=hosts(), reboot=st.booleans())
def test_absent_leaves_nothing(host: Host, reboot: bool) -> None:
    run(host, reboot=reboot)
    had = host.copy()
    done = run(host, state="absent", reboot=reboot)
    assert host.strangers == had.strangers
    if done.failure:
        check_unchanged(had, host)
        return
    assert own(host) == {}
    assert host.loaded is None
    assert not any(disk.built or disk.shipped for disk in host.kernels.values())
    assert not set(PATHS) & set(host.texts)
    assert serves(host) == set()
    assert {name for name in had.packages if not re.search("nvidia|libcuda|nvlsm", name)} <= set(host.packages)
    assert run(host, state="absent").failure == ""
    assert host.commands == []


def at_the_gateways(done: Run) -> list[str]:
    """What the gateways were told, and what became of the models, in their order."""
    told = re.compile(r"gateway: .*|systemctl (stop|start) vllm\S+")
    return [match[0] for command in done.host.commands for match in [told.match(command)] if match]


@pytest.mark.parametrize(
    ("asked", "unbuildable", "end"),
    [({"version": "570"}, set(), "proved"), ({"version": "570"}, {OLD}, "refused")],
    ids=["another driver", "one that does not build"],
)
def test_a_host_gets_no_requests_while_its_driver_is_changed(
    asked: dict[str, Any], unbuildable: set[str], end: str
) -> None:
    host = does_not_build(managed("debian 12"), unbuildable)
    done = run(host, gateways=["door1", "door2"], **asked)
    assert ending(done) == end
    said = at_the_gateways(done)
    first = next(command for command in said if "stop vllm" in command)
    last = next(command for command in reversed(said) if "start vllm" in command)
    held, released = ["gateway: held"] * 2, ["gateway: released"] * 2
    assert said[: said.index(first)] == [*held, "gateway: drained gpu1", "gateway: drained gpu1", "gateway: idle"]
    assert said[said.index(last) + 1 :] == ["gateway: ready gpu1", "gateway: ready gpu1", *released]


def test_a_gateway_that_does_not_answer_keeps_the_driver_as_it_is() -> None:
    host = managed("debian 12")
    loaded = host.loaded
    done = run(host, gateways=["door", LOST], version="570")
    assert "lost: this gateway cannot be reached" in done.failure
    assert host.loaded == loaded
    said = at_the_gateways(done)
    assert [command for command in said if command.startswith("gateway")] == [
        "gateway: held",
        "gateway: ready gpu1",
        "gateway: released",
    ]
    assert not any("stop vllm" in command for command in said)


def test_a_fleet_that_another_run_changes_keeps_its_drains_and_the_driver_as_it_is() -> None:
    host = managed("debian 12")
    loaded = host.loaded
    done = run(host, gateways=["door", HELD], version="570")
    assert "ann@desk holds it" in done.failure
    assert host.loaded == loaded
    # That run may have drained this very host.
    said = at_the_gateways(done)
    assert [command for command in said if command.startswith("gateway")] == ["gateway: held"]
    assert not any("stop vllm" in command for command in said)


def test_a_host_whose_models_run_on_stays_at_the_gateways() -> None:
    host = services_off("debian 12")
    done = run(host, gateways=["door1"], version="580")
    assert done.failure == ""
    assert host.commands
    assert at_the_gateways(done) == []
