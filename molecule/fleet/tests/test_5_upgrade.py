"""Real engines behind the fleet's one address go from one vLLM release to the next and back while clients stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from conftest import VARS
from load import load
from testlab import ROOT, Run, address, argv, host, playbook, show
from thoroughness import exhaustive

# The scenario `rollout` has the same on stand-ins.
pytestmark = exhaustive

OLD, NEW = "0.31.0", "0.32.0"
KEY = "client-key-no-secret"
GATEWAY = ROOT / "molecule" / "rollout" / "inventory"
GROUPS = {"vllm_group": "fleet_a", "vllm_gateway_group": "gateways_a"}
UNIT = "vllm-tiny-chat.service"


def play(name: str, *arguments: str, version: str, **more: Any) -> Run:
    tiny = yaml.safe_load(VARS.read_text())["tiny_args"]
    chat = {"push_from": "{{ lab_models }}/tiny-qwen2", "kind": "chat", "hosts": "lab1,lab2", "args": tiny}
    models = {"tiny-chat": {**chat, "env": "{{ lab_engine_env }}", "prove": {"meaning": False}}}
    given = {"vllm_version": version, "vllm_models": models, "rollout_check_timeout": 60, **more}
    # A machine of few cores that also carries the load measures its own scheduling, not the release.
    given |= GROUPS
    given |= {"rollout_first_token_factor": 5.0, "rollout_first_token_slack": 2.0}
    return playbook(name, *arguments, inventories=[GATEWAY], **given)


def releases() -> dict[str, str]:
    """The release of each engine, from the command line of its process."""
    targets = {name: host(name) for name in ("lab1", "lab2")}
    words = {name: argv(target, show(target, UNIT, "MainPID")["MainPID"]) for name, target in targets.items()}
    return {name: next(w for w in found if w.endswith("/bin/vllm")).split("/")[3] for name, found in words.items()}


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """Two replicas of the old release behind a gateway; the address that clients know."""
    run = play("site", version=OLD)
    assert run.rc == 0, run.text
    yield f"http://{address('lab7')}:8080"
    run = playbook("site", inventories=[GATEWAY], **GROUPS, vllm_models={}, gateway_state="absent", vllm_version=NEW)
    assert run.rc == 0, run.text


def test_a_real_upgrade_and_the_way_back_lose_no_token(served: str) -> None:
    with load(served, KEY, chat=["tiny-chat"], users=2, tokens=(5, 20), count="usage", pause=1.0) as held:
        run = play("rollout", version=NEW)
        held.wait_for(4)
    assert run.rc == 0, run.text
    assert releases() == {"lab1": NEW, "lab2": NEW}
    held.assert_unharmed()
    assert held.counts["good"] > 50

    with load(served, KEY, chat=["tiny-chat"], users=2, tokens=(5, 20), count="usage", pause=1.0) as held:
        run = play("rollback", "--limit", "lab1", version=NEW)
        held.wait_for(4)
    assert run.rc == 0, run.text
    assert releases() == {"lab1": OLD, "lab2": NEW}
    held.assert_unharmed()


def test_a_bad_option_reaches_one_host_and_no_client(served: str) -> None:
    before = releases()
    with load(served, KEY, chat=["tiny-chat"], users=2, tokens=(5, 20), count="usage", pause=1.0) as held:
        # The catalogue would refuse it; unchecked, the engine itself does.
        run = play(
            "rollout", version=NEW, vllm_unchecked_releases=[NEW], vllm_models=bad_option(), rollout_canary="lab2"
        )
        held.wait_for(4)
    assert run.rc != 0
    assert "unrecognized arguments: --not-an-option" in run.text
    assert "Rollout STOPPED: 1 taken back" in run.text, run.text
    assert releases() == before
    held.assert_unharmed()


def bad_option() -> dict[str, Any]:
    tiny = yaml.safe_load(VARS.read_text())["tiny_args"]
    chat = {"push_from": "{{ lab_models }}/tiny-qwen2", "kind": "chat", "hosts": "lab1,lab2"}
    return {"tiny-chat": {**chat, "args": {**tiny, "not-an-option": True}, "env": "{{ lab_engine_env }}"}}
