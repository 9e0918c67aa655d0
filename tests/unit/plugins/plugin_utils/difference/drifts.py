"""What may have happened to a served host since its last run: each by its name with the topic that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable

from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import HostPlan
from drawn_sites import LYING
from served_host import ServedHost

UNITS = "/etc/systemd/system"
SECRETS, TOKEN = "/etc/vllm/secrets/api_key.env", "/etc/vllm/secrets/hf_token"
LEFTOVER = "vllm-leftover.service"
FIREWALL, TIMER = "firewall-vllm.service", "canary-vllm.timer"


@dataclass(frozen=True)
class Drift:
    """`topic`: the one that it belongs to, "" where it is nobody's but the operator's. `befall` has it happen to a host that serves
    a plan; False where such a host has nothing that it could happen to."""

    topic: str
    befall: Callable[[ServedHost, HostPlan], bool]


DRIFTS: dict[str, Drift] = {}
Happening = Callable[[ServedHost, HostPlan, str], None]


def _named(happening: Callable[..., None]) -> str:
    return happening.__name__.replace("_", " ")


def to_unit(topic: str) -> Callable[[Happening], Happening]:
    """It happens to the first unit of a model."""

    def mark(happening: Happening) -> Happening:
        def befall(host: ServedHost, plan: HostPlan) -> bool:
            if not plan.services:
                return False
            happening(host, plan, plan.services[0].unit)
            return True

        DRIFTS[_named(happening)] = Drift(topic, befall)
        return happening

    return mark


def to_weights(source: str, topic: str = "weights") -> Callable[[Happening], Happening]:
    """It happens to the first weights from `source`."""

    def mark(happening: Happening) -> Happening:
        def befall(host: ServedHost, plan: HostPlan) -> bool:
            paths = [item.path for item in plan.weights if item.source == source]
            if paths:
                happening(host, plan, paths[0])
            return bool(paths)

        DRIFTS[f"{_named(happening)} ({source})"] = Drift(topic, befall)
        return happening

    return mark


# Units.


@to_unit("units")
def a_comment_in_a_unit_file(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("append", f"{UNITS}/{unit}", "# by hand\n")
    host.do("reload")


@to_unit("units")
def a_unit_file_edited_and_not_read_in(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("edit", f"{UNITS}/{unit}", "TimeoutStopSec=", "TimeoutStopSec=1")


@to_unit("units")
def a_unit_file_edited_and_taken_up(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("edit", f"{UNITS}/{unit}", "--max-model-len", "--enforce-eager --max-model-len")
    host.do("reload")
    host.do("restart", unit)


@to_unit("units")
def a_unit_file_gone(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("remove", f"{UNITS}/{unit}")


@to_unit("units")
def a_unit_file_that_everybody_may_write(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("chmod", f"{UNITS}/{unit}", 0o666)


@to_unit("units")
def a_unit_file_of_somebody_else(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("chown", f"{UNITS}/{unit}", 12)


@to_unit("units")
def a_stopped_unit(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("state", unit, "inactive", "dead")


@to_unit("units")
def a_failed_unit(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("state", unit, "failed", "failed")


@to_unit("units")
def a_unit_between_two_tries(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("state", unit, "activating", "auto-restart")


@to_unit("units")
def a_disabled_unit(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("disable", unit)


@to_unit("units")
def a_drop_in_that_was_not_read_in(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("write", f"{UNITS}/{unit}.d/own.conf", "[Service]\nNice=5\n")


@to_unit("")
def a_drop_in_that_was_read_in(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("write", f"{UNITS}/{unit}.d/read.conf", "[Service]\nNice=5\n")
    host.do("reload")


@to_unit("")
def a_unit_of_somebody_else(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("write", f"{UNITS}/vllm-theirs.service", "[Service]\nExecStart=/bin/true\n")


@to_unit("units")
def a_unit_that_nobody_plans(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do(
        "write", f"{UNITS}/{LEFTOVER}", "# Managed by baremetal.vllm\n[Service]\nExecStart=/opt/x/bin/vllm serve /w\n"
    )
    host.do("reload")
    host.do("restart", LEFTOVER)


@to_unit("units")
def an_edited_file_beside_the_units(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("append", "/usr/local/libexec/vllm-wait-ready", "\n")


@to_unit("units")
def a_program_that_nobody_may_run(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("chmod", "/usr/local/libexec/vllm-wait-ready", 0o644)


@to_unit("units")
def a_closed_directory_of_programs(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("chmod", "/etc/needrestart/conf.d", 0o700)


@to_unit("units")
def secrets_that_everybody_may_read(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("chmod", SECRETS, 0o644)


@to_unit("units")
def secrets_of_somebody_else(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("chown", SECRETS, 12)


@to_unit("units")
def another_first_line_of_the_secrets(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("edit", SECRETS, "# Managed", "# Edited, once managed")


@to_unit("units")
def another_secret_on_the_host(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("edit", SECRETS, 'VLLM_API_KEY="', 'VLLM_API_KEY="other-')


@to_unit("units")
def secrets_that_are_gone(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("remove", SECRETS)


@to_unit("units")
def secrets_in_no_alphabet(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("bytes", SECRETS, "ff00fe")


# Firewall, where there are engines to close.


@to_unit("firewall")
def a_table_that_is_gone(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("forget_table")


@to_unit("firewall")
def a_firewall_that_was_stopped(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("state", FIREWALL, "inactive", "dead")


@to_unit("firewall")
def a_firewall_that_is_off_at_boot(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("disable", FIREWALL)


@to_unit("firewall")
def other_rules(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("append", "/etc/vllm/firewall.nft", "# by hand\n")


@to_unit("firewall")
def rules_that_everybody_may_write(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("chmod", "/etc/vllm/firewall.nft", 0o666)


@to_unit("firewall")
def no_nftables(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("lose_program", "nft")


@to_unit("firewall")
def a_drop_in_of_the_firewall_that_was_not_read_in(host: ServedHost, plan: HostPlan, unit: str) -> None:
    host.do("write", f"{UNITS}/{FIREWALL}.d/own.conf", "[Service]\nNice=5\n")


# Canary.


def _canary(happening: Callable[[ServedHost], None]) -> Callable[[ServedHost], None]:
    def befall(host: ServedHost, plan: HostPlan) -> bool:
        there = bool(host.do("is_there", f"{UNITS}/{TIMER}"))
        if there:
            happening(host)
        return there

    DRIFTS[_named(happening)] = Drift("canary", befall)
    return happening


@_canary
def a_canary_that_was_stopped(host: ServedHost) -> None:
    host.do("state", TIMER, "inactive", "dead")


@_canary
def a_canary_that_is_off_at_boot(host: ServedHost) -> None:
    host.do("disable", TIMER)


@_canary
def a_canary_that_asks_something_else(host: ServedHost) -> None:
    host.do("append", "/etc/vllm/canary.json", "\n")


@_canary
def a_canary_that_cannot_be_run(host: ServedHost) -> None:
    host.do("chmod", "/usr/local/libexec/vllm-canary", 0o600)


@_canary
def a_drop_in_of_the_canary_that_was_not_read_in(host: ServedHost) -> None:
    host.do("write", f"{UNITS}/{TIMER}.d/own.conf", "[Timer]\nAccuracySec=1\n")


@_canary
def a_drop_in_of_the_canarys_service_that_was_not_read_in(host: ServedHost) -> None:
    host.do("write", f"{UNITS}/canary-vllm.service.d/own.conf", "[Service]\nNice=5\n")


# Weights.


@to_weights("hub")
@to_weights("pushed")
def weights_that_are_gone(host: ServedHost, plan: HostPlan, path: str) -> None:
    host.do("remove", path)


@to_weights("hub")
@to_weights("pushed")
def a_file_that_is_short(host: ServedHost, plan: HostPlan, path: str) -> None:
    host.do("write", f"{path}/config.json", "")


@to_weights("hub")
@to_weights("pushed")
def weights_without_a_record(host: ServedHost, plan: HostPlan, path: str) -> None:
    host.do("remove", f"{path}/.manifest.json")


@to_weights("hub")
@to_weights("pushed")
def a_record_that_is_none(host: ServedHost, plan: HostPlan, path: str) -> None:
    host.do("write", f"{path}/.manifest.json", '{"files": []}')


@to_weights("hub")
@to_weights("pushed")
def a_closed_store(host: ServedHost, plan: HostPlan, path: str) -> None:
    host.do("chmod", "/var/lib/vllm/models", 0o700)


def _token(happening: Callable[[ServedHost], None]) -> Callable[[ServedHost], None]:
    def befall(host: ServedHost, plan: HostPlan) -> bool:
        there = bool(host.do("is_there", TOKEN))
        if there:
            happening(host)
        return there

    DRIFTS[_named(happening)] = Drift("weights", befall)
    return happening


@_token
def a_token_that_everybody_may_read(host: ServedHost) -> None:
    host.do("chmod", TOKEN, 0o644)


@_token
def another_token(host: ServedHost) -> None:
    host.do("write", TOKEN, "hf_other\n", 0o600)


@_token
def a_token_that_is_gone(host: ServedHost) -> None:
    host.do("remove", TOKEN)


@_token
def a_token_in_no_alphabet(host: ServedHost) -> None:
    host.do("bytes", TOKEN, "ff00fe")


# Engine.


def _engine(happening: Callable[[ServedHost, str], None]) -> Callable[[ServedHost, str], None]:
    def befall(host: ServedHost, plan: HostPlan) -> bool:
        if plan.engine is not None:
            happening(host, plan.engine.path)
        return plan.engine is not None

    DRIFTS[_named(happening)] = Drift("engine", befall)
    return happening


@_engine
def packages_that_are_gone(host: ServedHost, path: str) -> None:
    host.do("have_packages", ["libgomp1"])


@_engine
def an_engine_that_nobody_plans(host: ServedHost, path: str) -> None:
    host.do("install_engine", "/opt/vllm/0.31.0", "0.31.0", "cpu", "0" * 64)


def befallen(host: ServedHost, plan: HostPlan, names: Mapping[str, None]) -> set[str]:
    """Have all of these happen, as far as they can; the topics that they belong to."""
    return {DRIFTS[name].topic for name in names if DRIFTS[name].befall(host, plan)} - {""}


# What is refused: the topic, what happens, and what the operator does about it.
Happens = Callable[[ServedHost, HostPlan], None]


def _break_engine(host: ServedHost, plan: HostPlan) -> None:
    assert plan.engine is not None
    host.do("remove", f"{plan.engine.path}/.complete.json")


def _stop(host: ServedHost, plan: HostPlan) -> None:
    for service in plan.services:
        host.do("state", service.unit, "inactive", "dead")


def _lose_weights(host: ServedHost, plan: HostPlan) -> None:
    host.do("remove", f"{LYING}/config.json")


def _bring_weights(host: ServedHost, plan: HostPlan) -> None:
    host.do("model", LYING)


def _mask(host: ServedHost, plan: HostPlan) -> None:
    unit = plan.services[0].unit
    host.do("remove", f"{UNITS}/{unit}")
    host.do("write", f"{UNITS}/{unit}", "[Service]\nExecStart=/opt/theirs\n")


def _unmask(host: ServedHost, plan: HostPlan) -> None:
    host.do("remove", f"{UNITS}/{plan.services[0].unit}")


REFUSED: dict[str, tuple[str, Happens, Happens]] = {
    "an engine that is not whole and runs": ("engine", _break_engine, _stop),
    "weights of the host's own that are gone": ("weights", _lose_weights, _bring_weights),
    "a planned unit of somebody else": ("units", _mask, _unmask),
}
