"""An update of libc under a serving fleet, with Debian's needrestart in automatic mode: nobody of ours is restarted, `status` says
who runs on with the old one, and a rollout takes it up host by host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rollout_fleet import FIRST, GATEWAY, HOSTS, assert_whole, each, loaded, play, processes, ssh
from test_4_status import running, status
from testlab import host, show
from thoroughness import exhaustive

pytestmark = exhaustive

PLACE = "/etc/needrestart/conf.d"
APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=60"
OURS = {
    FIRST: ("vllm-chat.service", "canary-vllm.timer"),
    GATEWAY: ("haproxy-vllm.service", "haproxy-vllm-bodies.service"),
}
# Somebody else's, which shows that needrestart is at work.
WITNESS = "witness.service"


@pytest.fixture(scope="module")
def needrestart(fleet: None) -> Iterator[None]:
    """Debian's needrestart as Ubuntu 24.04 has it: it restarts after every transaction of apt, and asks nobody."""

    def install(name: str) -> None:
        ssh(name, f"{APT} update && NEEDRESTART_SUSPEND=1 {APT} install --no-install-recommends needrestart")
        ssh(name, f"echo '$nrconf{{restart}} = q(a);' > {PLACE}/zz-automatic.conf")
        unit = r"[Service]\nExecStart=/bin/sleep infinity\n"
        ssh(name, f"printf '{unit}' > /etc/systemd/system/{WITNESS} && systemctl start {WITNESS}")

    each(install, *OURS)
    yield
    for name in OURS:
        ssh(
            name,
            f"systemctl stop {WITNESS}; rm /etc/systemd/system/{WITNESS} {PLACE}/zz-automatic.conf; {APT} purge needrestart",
        )


def update(name: str) -> str:
    """libc is unpacked anew; what apt and its hooks said."""
    return ssh(name, f"{APT} install --reinstall libc6 2>&1")


def invocations(name: str) -> dict[str, str]:
    return {unit: show(host(name), unit, "InvocationID")["InvocationID"] for unit in (*OURS[name], WITNESS)}


def test_an_update_restarts_none_of_ours_and_a_rollout_takes_it_up(
    steady: None, needrestart: None, tmp_path: Path
) -> None:
    before = {name: invocations(name) for name in OURS}
    with loaded() as load:
        said = dict(zip(OURS, each(update, *OURS), strict=True))
        load.wait_for(8)
    load.assert_unharmed()
    after = {name: invocations(name) for name in OURS}
    for name, units in OURS.items():
        assert before[name].pop(WITNESS) != after[name].pop(WITNESS), f"needrestart restarted nobody: {said[name]}"
        assert after[name] == before[name]
        assert units[0] in said[name].partition("deferred")[2], "it names what it leaves alone"

    run, told = status(tmp_path)
    assert (run.rc, told["problems"]) == (0, []), run.text
    notices = "\n".join(told["notices"])
    assert f"{FIRST}: chat: an update replaced " in notices
    assert f"gateway {GATEWAY}: haproxy-vllm.service: an update replaced " in notices
    assert "libc.so.6" in notices
    assert not any(f"{name}: chat" in notices for name in HOSTS if name != FIRST)
    old = {e["model"]: e["replaced"] for e in told["hosts"][FIRST]["endpoints"]}
    assert any(path.endswith("/libc.so.6") for path in old["chat"])

    others = processes()
    with loaded() as load:
        ssh(GATEWAY, "systemctl reload haproxy-vllm")
        run = play("rollout", version=running(), rollout_restart_replaced="true")
        load.wait_for(8)
    assert run.rc == 0, run.text
    assert "libc.so.6" in run.text
    load.assert_unharmed()
    now = processes()
    assert {name for name in HOSTS if now[name] != others[name]} == {FIRST}
    assert status(tmp_path)[1]["notices"] == [], "all of them run with what is installed now"
    assert_whole()


def test_without_our_word_needrestart_would_restart_engines_and_gateways(steady: None, needrestart: None) -> None:
    for name in OURS:
        ssh(name, f"cd {PLACE} && for f in vllm-*.conf; do mv $f $f.away; done")
    try:
        before = {name: invocations(name) for name in OURS}
        each(update, *OURS)
        after = {name: invocations(name) for name in OURS}
    finally:
        for name in OURS:
            ssh(name, f"cd {PLACE} && for f in vllm-*.conf.away; do mv $f ${{f%.away}}; done")
    for name, units in OURS.items():
        assert after[name][units[0]] != before[name][units[0]], name
    assert_whole()
