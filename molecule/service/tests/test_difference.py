"""plan.yml --diff says what site.yml then does: the same changes for the same reasons, and reading changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from service_lab import NAME, OTHER, playbook
from testlab import KEY, STANDIN_RELEASE, Run, argv, host, install_standin, show

UNIT = "vllm-plain.service"
PLAIN: dict[str, Any] = {
    "model": "/srv/stand-in", "kind": "chat", "hosts": NAME, "port": 8764, "args": {"max-model-len": "16k"},
}  # fmt: skip
CHANGED: dict[str, Any] = {**PLAIN, "args": {"max-model-len": "32k", "enable-lora": True}, "env": {"VLLM_X": "1"}}
WHY = "max-model-len 16k → 32k, +enable-lora, +env VLLM_X 1"
TREES = "/etc/systemd/system /etc/vllm /etc/sysusers.d /etc/tmpfiles.d /etc/needrestart /usr/local/libexec /var/lib/vllm /var/cache/vllm /opt/vllm /srv"


def run(name: str, *arguments: str, menu: dict[str, Any], **more: Any) -> Run:
    return playbook(name, "--limit", NAME, *arguments, **{"vllm_version": STANDIN_RELEASE, "vllm_models": menu, **more})


def told(menu: dict[str, Any], path: Path, *arguments: str, **more: Any) -> dict[str, Any]:
    """What plan.yml --diff says of the host, from its JSON; the host is as it was."""
    before = fingerprint()
    run_ = run("plan", "--diff", *arguments, menu=menu, vllm_plan_json=str(path), **more)
    assert fingerprint() == before, "plan.yml --diff changed something"
    hosts: dict[str, dict[str, Any]] = json.loads(path.read_text())["differences"]["hosts"]
    stopped = any(said["status"] in ("unreachable", "failed") or said.get("refusals") for said in hosts.values())
    assert (run_.rc, run_.changed) == (2 if stopped else 0, 0)
    said = hosts[NAME]
    assert KEY not in run_.text + path.read_text()
    return {**said, "text": run_.text}


def changes(said: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {model["model"]: (model["change"], model["why"]) for model in said["models"]}


def fingerprint() -> str:
    """Times, owners, modes and sizes of all files of ours, and every unit with its process."""
    properties = "Id,ActiveState,SubState,UnitFileState,MainPID,NRestarts,InvocationID,ExecMainStartTimestampMonotonic"
    files = f"find {TREES} -printf '%p %T@ %C@ %u %m %s\\n' 2>/dev/null | sort"
    return str(host(NAME).check_output(f"{files}; systemctl show --all 'vllm-*' -p {properties}"))


@pytest.fixture(autouse=True, scope="module")
def standin() -> Any:
    install_standin(NAME)
    # The first deployment brings packages; what follows is about units.
    assert run("site", menu={"plain": PLAIN}).rc == 0
    assert run("site", menu={}).rc == 0
    yield
    assert run("site", menu={}).rc == 0


def test_a_model_is_started_then_unchanged_then_restarted_by_name_then_moved_then_removed(tmp_path: Path) -> None:
    path = tmp_path / "difference.json"
    said = told({"plain": PLAIN}, path)
    assert changes(said) == {"plain": ("started", "new")}
    agrees({"plain": PLAIN}, "start (new)")
    assert run("site", menu={"plain": PLAIN}).rc == 0
    assert changes(told({"plain": PLAIN}, path)) == {"plain": ("unchanged", "as planned")}
    agrees({"plain": PLAIN}, "")

    said = told({"plain": CHANGED}, path)
    assert changes(said) == {"plain": ("restarted", WHY)}
    assert "  - max-model-len: 16k\n  + max-model-len: 32k\n  + enable-lora: true\n  + env VLLM_X: 1\n" in said["text"]
    agrees({"plain": CHANGED}, f"restart ({WHY})")
    done = run("site", menu={"plain": CHANGED})
    assert done.rc == 0
    assert f"restart ({WHY})" in done.text, "a run without --diff says why as well"

    other = {**CHANGED, "port": 8765}
    assert changes(told({"plain": other}, path)) == {"plain": ("moved", "port 8764 → 8765")}
    said = told({"plain": {**CHANGED, "hosts": OTHER}}, path, "--limit", f"{NAME},{OTHER}")
    assert changes(said) == {"plain": ("moved", f"to {OTHER}")}
    elsewhere = json.loads(path.read_text())["differences"]["hosts"]
    assert elsewhere["lab1"] == {"status": "not asked"}
    assert {m["model"]: (m["change"], m["came_from"]) for m in elsewhere[OTHER]["models"]}["plain"] == ("moved", NAME)

    assert changes(told({}, path)) == {"plain": ("removed", "no longer planned")}
    agrees({}, "remove (no longer planned)")
    assert run("site", menu={}).rc == 0
    assert changes(told({}, path)) == {}


def agrees(menu: dict[str, Any], word: str) -> None:
    """site.yml --check --diff has the same word for the unit, and changes nothing either."""
    before = fingerprint()
    checked = run("site", "--check", "--diff", menu=menu)
    # The canary's list and the firewall's ports are other changes where models come or go.
    assert (checked.rc, checked.changed in ((1, 2, 3) if word else (0,))) == (0, True), checked.text
    assert fingerprint() == before, "site.yml --check --diff changed something"
    assert f"{UNIT}: {word}" in checked.text if word else UNIT not in checked.text.partition("PLAY RECAP")[0]


@pytest.fixture
def deployed() -> Any:
    """The plain model, running."""
    assert run("site", menu={"plain": PLAIN}).rc == 0
    return host(NAME)


def test_what_others_changed_is_seen_and_a_hand_edit_is_undone(deployed: Any, tmp_path: Path) -> None:
    path = tmp_path / "difference.json"
    drop_in = f"/etc/systemd/system/{UNIT}.d/operator.conf"
    deployed.check_output("mkdir -p $(dirname %s) && printf '[Service]\\nNice=3\\n' > %s", drop_in, drop_in)
    said = told({"plain": PLAIN}, path)
    assert changes(said) == {"plain": ("unchanged", "as planned")}
    assert said["models"][0]["drop_ins"] == [{"path": drop_in, "sets": ["Nice"], "newer": True}]
    assert f"drop-in {drop_in} sets Nice; newer than the process" in said["text"]
    deployed.check_output("rm -r $(dirname %s)", drop_in)

    deployed.check_output("systemctl daemon-reload; systemctl stop %s", UNIT)
    assert changes(told({"plain": PLAIN}, path)) == {"plain": ("restarted", "found inactive (dead)")}
    agrees({"plain": PLAIN}, "start (found inactive (dead))")
    deployed.check_output("systemctl start %s", UNIT)

    deployed.check_output("sed -i 's/--max-model-len 16k/--max-model-len 24k/' /etc/systemd/system/%s", UNIT)
    # When a process started is known to the second: an edit right after it may have been before.
    deployed.check_output("touch -d '2 seconds' /etc/systemd/system/%s", UNIT)
    said = told({"plain": PLAIN}, path)
    assert changes(said)["plain"][0] == "rewritten", "the process never had the edit"
    assert said["models"][0]["drift"] == ["unit file edited by hand", "process older than its unit file"]

    deployed.check_output("systemctl daemon-reload; systemctl restart %s", UNIT)
    why = "its unit file was edited by hand, max-model-len 24k → 16k"
    assert changes(told({"plain": PLAIN}, path)) == {"plain": ("restarted", why)}
    agrees({"plain": PLAIN}, f"restart ({why})")
    assert run("site", menu={"plain": PLAIN}).rc == 0
    words = argv(deployed, show(deployed, UNIT, "MainPID")["MainPID"])
    assert words[words.index("--max-model-len") + 1] == "16k"


def test_another_key_is_a_cause_and_its_value_is_nowhere(deployed: Any, tmp_path: Path) -> None:
    said = told({"plain": PLAIN}, tmp_path / "difference.json", vllm_api_key="other-key-no-secret")
    assert changes(said) == {"plain": ("restarted", "secrets changed")}
    assert said["files"] == ["/etc/vllm/secrets/api_key.env"]
    assert "other-key-no-secret" not in said["text"] + json.dumps(said)


def test_without_root_the_same_is_seen_but_for_secrets(deployed: Any, tmp_path: Path) -> None:
    path = tmp_path / "difference.json"
    reader: dict[str, Any] = {"ansible_user": "reader", "vllm_plan_become": False}
    deployed.check_output("useradd -m reader && cp -r /root/.ssh /home/reader/ && chown -R reader /home/reader/.ssh")
    try:
        said = told({"plain": PLAIN}, path, **reader)
        assert (changes(said), said["whole"]) == ({"plain": ("unchanged", "as planned")}, False)
        assert "was read without root" in said["text"]
        assert changes(told({"plain": CHANGED}, path, **reader)) == {"plain": ("restarted", WHY)}
        said = told({"plain": PLAIN}, path, **{**reader, "vllm_plan_become": True})
        assert said["status"] == "failed", "there is no sudo on the host"
        assert "sudo" in said["why"]
    finally:
        deployed.check_output("userdel --force --remove reader")


def test_what_site_would_refuse_is_refused_here_and_what_it_would_bring_is_listed(
    deployed: Any, tmp_path: Path
) -> None:
    path = tmp_path / "difference.json"
    lost = {**PLAIN, "model": "/srv/gone", "port": 8765}
    foreign = "/etc/systemd/system/vllm-theirs.service"
    deployed.check_output("printf '[Service]\\nExecStart=/bin/true\\n' > %s", foreign)
    try:
        menu = {"plain": PLAIN, "lost": lost, "theirs": {**PLAIN, "port": 8766}}
        said = told(menu, path)
        assert [text.partition(" ")[0] for text in said["refusals"]] == [foreign, "/srv/gone"]
        assert run("site", "--check", menu=menu).rc != 0
    finally:
        deployed.check_output("rm %s", foreign)
    big = {"push_from": "{{ lab_models }}/all-minilm-l6-v2", "kind": "embedding", "hosts": NAME, "port": 8765}
    other = {"vllm_version": "9.9.8", "vllm_unchecked_releases": ["9.9.8"]}
    said = told({"plain": PLAIN, "big": big}, path, **other)
    assert (said["engine"]["release"], said["engine"]["install"]) == ("9.9.8", True)
    assert [(w["name"], w["change"]) for w in said["weights"]] == [
        ("stand-in", "unchanged"),
        ("all-minilm-l6-v2", "pushed"),
    ]
    assert changes(said) == {"plain": ("restarted", "release 9.9.9 → 9.9.8"), "big": ("started", "new")}
