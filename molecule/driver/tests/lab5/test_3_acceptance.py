"""A host is tested before it serves, with a stand-in for dcgmi: once, to the end, and in DCGM's own words where it fails."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from gpu_lab import A100, DEBIAN, INVENTORY, hardware
from testlab import ROOT, Playing, Run, command, host, playbook, show, wait_until
from thoroughness import exhaustive

FILES = ("dcgmi.py", "dcgm_exporter.py", "packages.sh")
RECORD = "/var/lib/vllm/acceptance.json"
# Ends a diagnostic that goes on until then.
ENOUGH = "/run/enough"


def accept(*arguments: str, **variables: Any) -> Run:
    # The models of the lab are made by scenarios that serve them.
    return playbook(
        "accept", "--limit", DEBIAN, *arguments, inventories=[INVENTORY], **{"vllm_models": {}, **variables}
    )


def dcgm(**setting: Any) -> None:
    """How the next diagnostic goes; see molecule/shared/standin_dcgm/dcgmi.py."""
    host(DEBIAN).check_output("echo %s > /etc/standin-dcgm.json", json.dumps(setting))


def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host(DEBIAN).file(RECORD).content_string)
    return found


def units(word: str, *names: str) -> list[str]:
    return str(host(DEBIAN).run(f"systemctl {word} {' '.join(names)}").stdout).split()


@pytest.fixture(scope="module", autouse=True)
def repository() -> Any:
    """The stand-ins in packages with NVIDIA's names, in a repository on the host; a model's unit that runs."""
    target = host(DEBIAN)
    target.check_output("mkdir -p /srv/standin-dcgm/debs")
    for name in FILES:
        data = base64.b64encode((ROOT / "molecule" / "shared" / "standin_dcgm" / name).read_bytes()).decode()
        target.check_output(f"echo {data} | base64 -d > /srv/standin-dcgm/{name}")
    target.check_output(
        "rm -f /var/cache/lab-debs/datacenter-gpu-manager* && cd /srv/standin-dcgm && sh packages.sh debs && cd debs && apt-ftparchive packages . > Packages"
        " && echo 'deb [trusted=yes] file:/srv/standin-dcgm/debs ./' > /etc/apt/sources.list.d/standin-dcgm.list"
    )
    target.check_output(
        "printf '[Service]\\nExecStart=/bin/sleep infinity\\n' > /etc/systemd/system/vllm-stand-in.service"
        " && systemctl daemon-reload"
    )
    yield
    target.run("systemctl stop vllm-stand-in gpu-acceptance nvidia-dcgm nvidia-dcgm-exporter")
    target.run("DEBIAN_FRONTEND=noninteractive apt-get purge -qq -y 'datacenter-gpu-manager*'")
    target.run(
        f"rm -rf {ENOUGH} /srv/standin-dcgm /etc/standin-dcgm.json /etc/apt/sources.list.d/standin-dcgm.list /var/lib/vllm/acceptance*"
        " /etc/systemd/system/vllm-stand-in.service /etc/systemd/system/nvidia-dcgm-exporter.service.d"
        " && systemctl daemon-reload && systemctl reset-failed && apt-get update -qq"
    )


def test_a_new_host_gets_dcgm_and_is_tested_once() -> None:
    dcgm(seconds=2)
    run = accept()
    assert run.rc == 0, run.text
    assert "dcgmi diag at level 3" in run.text
    found = record()
    assert (found["passed"], found["level"], len(found["gpus"]), found["tests"]["targeted_power"]) == (
        True,
        3,
        2,
        "pass",
    )
    assert units("is-active", "nvidia-dcgm", "nvidia-dcgm-exporter") == ["active", "active"]
    listening = host(DEBIAN).check_output("ss -ltnH 'sport = :9400'")
    assert "127.0.0.1:9400" in listening
    again = accept()
    assert (again.rc, again.changed) == (0, 0)
    assert "dcgmi diag" not in again.text
    assert record() == found


def test_a_host_that_serves_is_refused_and_left_alone() -> None:
    units("start", "vllm-stand-in")
    run = accept(acceptance_level=4)
    assert run.rc != 0
    assert "model units run here: vllm-stand-in.service" in run.text
    assert units("is-active", "vllm-stand-in") == ["active"]
    assert record()["level"] == 3


def test_a_host_that_fails_is_told_why_and_stays_stopped() -> None:
    units("start", "vllm-stand-in")
    dcgm(seconds=1, failures={"memory": "A DBE was detected on GPU 1."}, skips=["pcie"])
    run = accept(acceptance_level=4, acceptance_drain=True)
    assert run.rc != 0
    assert '"memory" (Hardware) failed on GPU 1: A DBE was detected on GPU 1' in run.text
    assert "left so: vllm-stand-in.service" in run.text
    assert units("is-active", "vllm-stand-in") == ["inactive"]
    assert record()["passed"] is False
    asked = accept(acceptance_test=False)
    assert asked.rc != 0
    assert "A DBE was detected" in asked.text
    assert accept(acceptance_test=False, acceptance_required=False).rc == 0


@exhaustive
def test_a_test_outlives_the_connection_and_what_was_stopped_starts_again() -> None:
    units("start", "vllm-stand-in")
    dcgm(seconds=2, until=ENOUGH)
    words = command("accept", "--limit", DEBIAN, inventories=[INVENTORY], vllm_models={}, acceptance_drain=True)
    cut = Playing(words)
    wait_until(lambda: show(host(DEBIAN), "gpu-acceptance", "SubState")["SubState"] == "running", 120, "the test runs")
    cut.interrupt()
    assert units("is-active", "vllm-stand-in") == ["inactive"]
    other = accept(acceptance_level=1)
    assert "a diagnostic at level 3 has been running" in other.text
    following = Playing(words)
    following.reaches("following the diagnostic at level 3")
    host(DEBIAN).check_output(f"touch {ENOUGH}")
    run = following.end()
    assert run.rc == 0, run.text
    assert record()["passed"] is True
    assert units("is-active", "vllm-stand-in") == ["active"]
    units("stop", "vllm-stand-in")


@exhaustive
def test_another_gpu_voids_the_record() -> None:
    dcgm(seconds=1)
    hardware(DEBIAN, gpus=[A100])
    try:
        asked = accept(acceptance_test=False)
        assert asked.rc != 0
        assert "its GPUs are others than those tested" in asked.text
        assert accept().rc == 0
        assert len(record()["gpus"]) == 1
    finally:
        hardware(DEBIAN, gpus=[A100, A100])
