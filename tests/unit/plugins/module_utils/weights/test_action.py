"""The action as playbooks use it, on this computer as the host, against the hub on loopback."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ansible.plugins", reason="ansible-test runs what lies here as on a host: without the control node")

import ansible_runs
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import manifest, store
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights import fingerprint
from weights_host import COMMIT, REPO, Host
from weights_hub import Hub


class Play:
    """Runs the action alone with the given arguments; its output and the result it registers."""

    def __init__(self, host: Host, tmp_path: Path) -> None:
        self.host = host
        self.folder = tmp_path / "play"
        self.folder.mkdir()

    def __call__(self, *options: str, **more: Any) -> tuple[dict[str, Any], str]:
        arguments = {
            "endpoint": self.host.endpoint,
            "store": str(self.host.store),
            "run_dir": self.host.run_dir,
            "token_file": str(self.host.token_file),
            "engine_python": sys.executable,
            "pause": 0.02,
            **more,
        }
        result = self.folder / "result.json"
        keep = {
            "copy": {"content": "{{ out | to_json }}", "dest": str(result)},
            "check_mode": False,
            "when": "out is defined",
        }
        task = {"baremetal.vllm.model_weights": arguments, "register": "out", "ignore_errors": True}
        where = {"ansible_python_interpreter": sys.executable, "ansible_remote_tmp": str(self.folder / "tmp")}
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "connection": "local",
            "vars": where,
            "tasks": [task, keep],
        }
        (self.folder / "play.yml").write_text(json.dumps([play]))
        own = {"ANSIBLE_LOCALHOST_WARNING": "0"}
        done = ansible_runs.run(
            "ansible-playbook", "-i", "localhost,", *options, self.folder / "play.yml", cwd=self.folder, env=own
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(result.read_text()), done.stdout + done.stderr


@pytest.fixture
def play(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Play(host, tmp_path)


def pushed(host: Host, root: Path) -> dict[str, Any]:
    (root / "sub").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "sub" / "model.safetensors").write_bytes(os.urandom(100_000))
    digest = fingerprint.fingerprint(str(root))[0]
    path = host.store / "pushed" / root.name / digest[:16]
    return {"source": "pushed", "from": str(root), "path": str(path), "digest": digest}


def test_from_a_bare_host_to_nothing_to_do(hub: Hub, host: Host, play: Play, tmp_path: Path) -> None:
    items = [host.item(), pushed(host, tmp_path / "mine")]
    would, said = play("--check", "--diff", items=items, engine_python="/nowhere/python")
    assert (would["failed"], would["changed"]) == (False, True)
    assert f"fetch {REPO}@{COMMIT[:12]} to {items[0]['path']}" in said
    assert f"push {items[1]['from']} to {items[1]['path']}" in said
    assert not host.store.exists()

    first, said = play(items=items)
    assert (first["failed"], first["changed"]) == (False, True), first
    assert [w["state"] for w in first["weights"]] == ["fetched", "pushed"]
    assert [store.look(item, verify=True).state for item in items] == ["present", "present"]
    assert f"localhost | {REPO}: 3.1 MB fetched and checked" in said
    assert "localhost | mine: 2 files sent, 100.0 kB of 100.0 kB" in said

    second, said = play("-vvvv", items=items)
    assert second["changed"] is False
    assert [w["state"] for w in second["weights"]] == ["present", "present"]
    # One module call for all items, and nothing else on the host.
    calls = [line.rsplit("/", 1)[-1] for line in said.splitlines() if "Using module file" in line]
    assert calls[: calls.index("model_weights.py") + 1] == ["model_weights.py"]
    assert calls.count("model_weights.py") == 1

    known = manifest.read(items[0]["path"])
    assert known is not None
    Path(items[0]["path"], "config.json").write_bytes(b'{"model_type": "lxama"}')
    assert play(items=items)[0]["changed"] is False
    repaired = play(items=items, verify=True)[0]
    assert [w["state"] for w in repaired["weights"]] == ["fetched", "present"]
    assert store.look(items[0], verify=True).state == "present"


def test_a_token_is_never_shown(hub: Hub, host: Host, play: Play) -> None:
    hub.token = "hf_secret_of_the_test"
    denied, __ = play(items=[host.item()])
    assert "no token is set in vllm_hf_token" in denied["msg"]
    result, said = play("-vvvv", items=[host.item()], hf_token="hf_secret_of_the_test")
    assert result["failed"] is False
    assert "hf_secret" not in said + json.dumps(result)
    assert host.token_file.stat().st_mode & 0o777 == 0o600
    again, __ = play(items=[host.item()], hf_token="hf_secret_of_the_test")
    assert again["changed"] is False


def test_offline_names_the_place_and_takes_what_is_put_there(hub: Hub, host: Host, play: Play) -> None:
    item = host.item()
    refused, __ = play(items=[item], offline=True)
    assert refused["failed"]
    for part in (REPO, item["path"], "model_weights_offline"):
        assert part in refused["msg"]
    for name in ("config.json", "model.safetensors"):
        Path(item["path"]).mkdir(parents=True, exist_ok=True)
        Path(item["path"], name).write_bytes(hub.repos[REPO][COMMIT][name])
    taken, __ = play(items=[item], offline=True)
    assert [w["state"] for w in taken["weights"]] == ["adopted"]
    assert play(items=[item], offline=True)[0]["changed"] is False
    assert hub.tokens == set()


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ([{"source": "host", "path": "/srv/no/such/model"}], ["/srv/no/such/model does not exist"]),
        (
            [{"source": "host", "path": "/srv/none/a"}, {"source": "host", "path": "/srv/none/b"}],
            ["/srv/none/a does not exist", "/srv/none/b does not exist"],
        ),
        (
            [{"source": "hub", "repo": REPO, "revision": COMMIT, "path": "/srv/none/c"}],
            ["role vllm_engine comes first"],
        ),
    ],
)
def test_what_cannot_work_is_said_before_anything_happens(
    play: Play, items: list[dict[str, Any]], says: list[str]
) -> None:
    result, __ = play(items=items, engine_python="/nowhere/python")
    assert result["failed"]
    for part in says:
        assert part in result["msg"]


def test_a_source_that_changed_since_the_plan_is_refused(host: Host, play: Play, tmp_path: Path) -> None:
    item = pushed(host, tmp_path / "mine")
    (tmp_path / "mine" / "config.json").write_text("{ }")
    result, __ = play(items=[item])
    assert "has changed since the plan was made" in result["msg"]
