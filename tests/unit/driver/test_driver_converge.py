"""From whatever a host is like, the role ends with a proved driver, a refusal that changed nothing, or a wait for a reboot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.action import driver_job, driver_state
from ansible_collections.baremetal.vllm.plugins.module_utils.driver import repository, versions
from ansible_collections.baremetal.vllm.plugins.module_utils.driver.judge import PATHS
from ansible_collections.baremetal.vllm.plugins.module_utils.driver.model import Offer, Unit
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from simulated_host import FABRIC, PERSISTENCE, Disk, Host, part
from simulated_hosts import A100, B200, H100, MODELS, SYSTEMS, V100, bare, full, kept, names, offers, with_driver
from simulated_role import Run

# Nothing is fetched over the network in a test, a key neither.
MIRROR = {
    "nvidia_driver_mirror": "https://mirror.example/cuda",
    "nvidia_driver_mirror_key": str(Path(__file__).parent / "data" / "keys" / "ed25519.asc"),
}
OLD, FIRST = "570.195.03", "580.95.05"
# The newest of the branch 580 in each recorded list.
LAST = {"debian 12": "580.126.20", "ubuntu 24.04": "580.159.04", "rocky 9": "580.178.04"}
DRIVER = set(MODELS)


class Quiet:
    def display(self, text: str) -> None:
        pass


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Any:
    shown = driver_job.display, driver_state.display
    driver_job.display = driver_state.display = Quiet()
    yield
    driver_job.display, driver_state.display = shown


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
    if asked.get("persistence", True):
        assert host.units[PERSISTENCE] == Unit("active", True)
    if host.switches:
        assert host.units[FABRIC] == Unit("active", True)


def check_unchanged(before: Host, host: Host) -> None:
    """It serves what it served, with the driver that it had."""
    # Headers and DKMS may have come, and of a host that had no driver there is nothing to go back to.
    if own(before):
        assert own(host) == own(before)
    assert host.loaded == before.loaded
    assert serves(host) == serves(before)
    assert host.strangers == before.strangers


def check_waits(before: Host, host: Host) -> None:
    assert serves(host) == serves(before)
    assert host.loaded == before.loaded
    if host.loaded is not None and before.works:
        assert host.works


# Hosts of all kinds

FLEETS = [(H100, H100), (A100,), (V100,), (B200, B200), (H100, V100)]


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
    host.switches = draw(st.sampled_from([0, 0, 4]))
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
    for fault in draw(st.lists(st.sampled_from(sorted(FAULTS)), max_size=2, unique=True)):
        FAULTS[fault](host)
    gone = draw(st.sets(st.sampled_from(sorted({(o.name, o.version) for o in host.offers if o.version})), max_size=3))
    host.offers = tuple(o for o in host.offers if (o.name, o.version) not in gone)
    return host


def _moved_by_hand(host: Host) -> None:
    """What an unattended upgrade leaves: everything on the disk is of another version than what is loaded."""
    if not host.loaded or not host.packages:
        return
    name = next(key for key, value in SYSTEMS.items() if value[0] == host.system)
    other = LAST[name] if host.userspace != LAST[name] else FIRST
    if versions.branch(host.userspace) != versions.branch(other):
        return
    for package in own(host):
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
    host.units = {name: Unit("inactive", unit.enabled) for name, unit in host.units.items()}


def _new_kernel(host: Host) -> None:
    host.next_kernel = max(host.kernels)
    if host.next_kernel != host.running:
        host.kernels[host.next_kernel] = Disk(headers=False)


def _kernel_removed(host: Host) -> None:
    if host.running != host.next_kernel:
        del host.kernels[host.running]


FAULTS: dict[str, Callable[[Host], None]] = {
    "moved by hand": _moved_by_hand,
    "userspace alone": _userspace_alone,
    "half configured": _half_configured,
    "unloaded": _unloaded,
    "new kernel": _new_kernel,
    "kernel removed": _kernel_removed,
    "no services": lambda host: host.units.update(dict.fromkeys(host.units, Unit("inactive", False))),
    "compiler broken": lambda host: host.unbuildable.add("*"),
    "new version does not build": lambda host: host.unbuildable.update(LAST.values()),
    "held by another module": lambda host: setattr(host, "holder", host.loaded is not None),
    "unreachable": lambda host: setattr(host, "unreachable", True),
    "no firmware": lambda host: [host.take(n) for n in list(host.packages) if part(n) == "firmware"] and None,
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


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
        # Only the offers tell whether there is anything newer.
        looks = 2 if asked.get("upgrade") else 1
        assert (again.failure, again.looks, host.commands, again.written) == ("", looks, [], [])
    elif end == "waits":
        check_waits(before, host)
    else:
        event(done.failure)
        if not host.rebooted:
            check_unchanged(before, host)
