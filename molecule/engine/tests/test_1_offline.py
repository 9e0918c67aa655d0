"""A host that reaches nothing but the control node gets its engine from the wheelhouse; tests run in file order."""

from __future__ import annotations

import json
from typing import Any

from testlab import ROOT, Run, host, playbook, show

HOST = "lab4"
ENGINE = "/opt/vllm/0.32.0"
MENU = {
    "offline-embedding": {
        "push_from": "{{ lab_models }}/all-minilm-l6-v2",
        "kind": "embedding",
        "hosts": HOST,
        "env": {"OMP_NUM_THREADS": 1},
        "args": {"enforce-eager": True, "kv-cache-memory-bytes": "32M"},
    }
}


def site(*arguments: str, **more: Any) -> Run:
    inventory = str(ROOT / "molecule" / "engine" / "inventory")
    return playbook("site", "-i", inventory, "--limit", HOST, *arguments, vllm_models=MENU, **more)


def state() -> str:
    """All that a run could leave on the host."""
    places = "/opt /etc/vllm /etc/systemd/system /var/lib/vllm /var/cache/vllm /usr/local /etc/sysusers.d"
    return str(host(HOST).run("find %s ! -type d 2>/dev/null | sort; id vllm; dpkg -l | md5sum", places).stdout)


def test_the_host_has_no_way_out() -> None:
    target = host(HOST)
    assert target.run("getent hosts example.com").rc != 0
    assert target.run("timeout 3 bash -c '</dev/tcp/192.0.2.1/80'").rc != 0


def test_check_mode_on_a_bare_host_tells_what_would_come_and_leaves_it_bare() -> None:
    before = state()
    run = site("--check", "--diff")
    assert run.rc == 0
    assert run.recap[HOST]["changed"] >= 3
    assert "vllm-offline-embedding.service" in run.text
    assert "--kv-cache-memory-bytes 32M" in run.text
    assert state() == before


def test_a_half_finished_engine_is_built_afresh_and_the_endpoint_proven() -> None:
    target = host(HOST)
    target.check_output("mkdir -p %s/bin && echo broken > %s/bin/vllm && chmod 755 %s/bin/vllm", ENGINE, ENGINE, ENGINE)
    run = site()
    assert run.rc == 0
    marker = json.loads(target.file(f"{ENGINE}/.complete.json").content_string)
    assert (marker["release"], marker["accelerator"]) == ("0.32.0", "cpu")
    assert target.check_output("%s/bin/vllm --version 2>/dev/null | tail -1", ENGINE).startswith("0.32.0")
    assert "14/14" in run.text
    assert show(target, "vllm-offline-embedding.service", "ActiveState")["ActiveState"] == "active"


def test_nothing_of_the_transfer_stays_behind_and_the_engine_cannot_be_written_to() -> None:
    target = host(HOST)
    assert target.run("find / -xdev -name '*.whl' -size +1M -not -path '/proc/*' | grep .").rc != 0
    assert target.run("su -s /bin/sh vllm -c 'touch %s/x'", ENGINE).rc != 0


def test_old_releases_go_and_one_in_use_stays() -> None:
    target = host(HOST)
    for release in ("0.1.0", "0.2.0"):
        marker = json.dumps(
            dict.fromkeys(("accelerator", "lock_sha256", "python", "finished_at"), "x") | {"release": release}
        )
        target.check_output(
            "mkdir -p /opt/vllm/%s/bin && echo %s > /opt/vllm/%s/.complete.json", release, marker, release
        )
        target.check_output(
            "cp /bin/sleep /opt/vllm/%s/bin/vllm && ln -sf /usr/bin/python3 /opt/vllm/%s/bin/python", release, release
        )
    target.check_output("systemd-run --unit in-use /opt/vllm/0.2.0/bin/vllm 600")
    try:
        run = site()
        assert run.rc == 0
        assert sorted(target.check_output("ls /opt/vllm").split())[:2] == ["0.2.0", "0.32.0"]
    finally:
        target.check_output("systemctl stop in-use")
    again = site()
    assert (again.rc, again.changed) == (0, 1)
    assert not target.file("/opt/vllm/0.2.0").exists
    assert site().changed == 0
