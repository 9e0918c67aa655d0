"""What goes wrong on one host is told in one line and stays on that host; stand-in engine where one must start."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from service_lab import NAME, playbook
from testlab import STANDIN_RELEASE, Run, ask, host, install_standin, show

GOOD: dict[str, Any] = {"model": "/srv/stand-in", "kind": "chat", "hosts": NAME}


def site(*arguments: str, models: dict[str, Any], **more: Any) -> Run:
    return playbook("site", *arguments, vllm_version=STANDIN_RELEASE, vllm_models=models, **more)


@pytest.fixture(autouse=True, scope="module")
def standin() -> Any:
    install_standin(NAME)
    yield
    assert site("--limit", NAME, models={}).rc == 0, "an empty menu takes every unit away"
    assert host(NAME).check_output("ls /etc/systemd/system | grep -c ^vllm- || true") == "0"
    host(NAME).check_output("rm -rf /opt/vllm/%s /srv/stand-in", STANDIN_RELEASE)


def test_a_bad_inventory_is_refused_whole_and_no_host_is_touched() -> None:
    models = {
        "good": GOOD,
        "bad name": GOOD,
        "secret": {**GOOD, "args": {"api-key": "x"}, "kind": "chatt"},
        "lost": {**GOOD, "hosts": "nobody", "colour": "red"},
        "one": {**GOOD, "port": 8001},
        "two": {**GOOD, "port": 8001, "gpus": 2},
    }
    before = host(NAME).check_output("ls -la --time-style=full-iso /etc/systemd/system | md5sum")
    run = site(models=models)
    assert run.rc != 0
    for words in (
        "vllm_models.bad name: 'bad name' cannot be part of a systemd unit name",
        "vllm_models.secret.kind: 'chatt' is not a kind of model. Did you mean \"chat\"",
        "vllm_models.secret.args.api-key: is a secret",
        "vllm_models.lost.hosts: the pattern 'nobody' matches no host",
        "vllm_models.lost.colour: is not a known key",
        f"vllm_models.two.port: 8001 is also the port of one on {NAME}",
        f"vllm_models.two.gpus: asks for GPUs, and {NAME} can give none (accelerator cpu)",
    ):
        assert words in run.text
    assert "7 problems; no host was touched" in run.text
    assert host(NAME).check_output("ls -la --time-style=full-iso /etc/systemd/system | md5sum") == before


def test_a_crash_during_start_names_its_cause_and_what_served_goes_on() -> None:
    assert site("--limit", NAME, models={"good": GOOD, "other": GOOD}).rc == 0
    port = int(show(host(NAME), "vllm-good.service", "ExecStart")["ExecStart"].split("--port ")[1].split()[0])
    pid = show(host(NAME), "vllm-other.service", "MainPID")
    bad = {**GOOD, "args": {"stand-in-die": "ValueError: the model's heart is broken"}}
    run = site("--limit", NAME, models={"good": bad, "other": GOOD, "fresh": bad})
    assert run.rc != 0
    assert (
        "vllm-good.service did not start: ValueError: the model's heart is broken (its earlier version serves again"
        in run.text
    )
    assert (
        "vllm-fresh.service did not start: ValueError: the model's heart is broken (it is stopped until the next run"
        in run.text
    )
    assert ask(NAME, port, "/v1/models")[0] == 200
    assert show(host(NAME), "vllm-other.service", "MainPID") == pid
    assert run.seconds < 300, "the wait of half an hour is not sat out"


def test_a_missing_model_directory_fails_its_host_alone(tmp_path: Path) -> None:
    run = site("--limit", NAME, models={"good": GOOD, "gone": {**GOOD, "model": "/srv/gone"}})
    assert run.rc != 0
    assert "/srv/gone" in run.text
    assert show(host(NAME), "vllm-other.service", "ActiveState")["ActiveState"] == "active", "nothing was taken down"


def test_an_unreachable_host_fails_alone_and_the_others_finish(tmp_path: Path) -> None:
    ghost = tmp_path / "ghost.yml"
    ghost.write_text("gpu_hosts: {hosts: {ghost: {ansible_host: 127.0.0.1, ansible_port: 1, ansible_user: root}}}")
    run = site("-i", str(ghost), "--limit", f"{NAME},ghost", models={"good": {**GOOD, "hosts": f"{NAME},ghost"}})
    assert run.rc != 0
    assert run.recap["ghost"]["unreachable"] == 1
    assert (run.recap[NAME]["failed"], run.recap[NAME]["unreachable"]) == (0, 0)
    assert re.search(r"ghost .* no(t reached| result)", run.text), "the report leaves the lost host out"


def test_a_full_disk_is_told_before_anything_is_written() -> None:
    target = host(NAME)
    target.check_output("mkdir -p /var/lib/vllm/models && mount -t tmpfs -o size=20m tmpfs /var/lib/vllm/models")
    try:
        big = {"push_from": "{{ lab_models }}/all-minilm-l6-v2", "kind": "embedding", "hosts": NAME}
        run = site("--limit", NAME, models={"good": GOOD, "big": big})
        assert run.rc != 0
        assert "/var/lib/vllm/models" in run.text
        assert "free" in run.text
        assert target.check_output("find /var/lib/vllm/models -type f | wc -l") == "0"
        assert show(target, "vllm-good.service", "ActiveState")["ActiveState"] == "active"
    finally:
        target.check_output("umount /var/lib/vllm/models")


def test_a_disk_that_is_full_under_the_units_is_named_and_stops_nothing() -> None:
    target, place = host(NAME), "/var/lib/vllm/generations"
    before = show(target, "vllm-good.service", "InvocationID", "MainPID")
    target.check_output(f"mount -t tmpfs -o size=4k tmpfs {place} && head -c 4096 /dev/zero > {place}/full")
    try:
        run = site("--limit", NAME, models={"fresh": GOOD})
        assert run.rc != 0
        assert f"{place}/1: No space left on device" in run.text
        assert show(target, "vllm-good.service", "InvocationID", "MainPID") == before, (
            "what leaves was stopped all the same"
        )
        assert target.check_output(f"ls -A {place}; ls /etc/systemd/system | grep vllm-fresh || true") == "full"
    finally:
        target.check_output(f"umount {place}")


def test_another_key_than_the_hosts_is_found_by_the_proof() -> None:
    assert site("--limit", NAME, models={"good": GOOD}).rc == 0
    target = host(NAME)
    drop_in = "/etc/systemd/system/vllm-good.service.d"
    target.check_output("mkdir -p %s && echo VLLM_API_KEY=another > /root/other.env", drop_in)
    target.check_output("printf '[Service]\\nEnvironmentFile=/root/other.env\\n' > %s/other.conf", drop_in)
    target.check_output("systemctl daemon-reload && systemctl restart vllm-good")
    try:
        run = playbook("verify", "--limit", NAME, vllm_version=STANDIN_RELEASE, vllm_models={"good": GOOD})
        assert run.rc != 0
        assert "401" in run.text
        assert "lab-key-no-secret" not in run.text
    finally:
        target.check_output("rm -r %s /root/other.env && systemctl daemon-reload", drop_in)
