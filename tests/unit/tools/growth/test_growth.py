"""The benchmark of growth is held to its outcome: a fleet with nothing to do, each host asked once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.tools.growth import __main__ as growth
from ansible_collections.baremetal.vllm.tools.growth import fleet, record
from ansible_collections.baremetal.vllm.tools.growth.run import Cost, Run

HOSTS = 2
COST = Cost(1.0, 1.0, 1.0)
RECAP = "PLAY RECAP ****\ngpu0000 : ok=1 changed={changed} failed=0 ignored=0\ngpu0001 : ok=1 changed=0 failed=0 ignored=0\n"
SAID = f"{HOSTS * fleet.MODELS} of {HOSTS * fleet.MODELS} endpoints passed\n"
ASKED = "".join(f"{host} host_state\n" for host in ("gpu0000", "gpu0001", "gw0", "gw1"))


def wrong(status: int = 0, said: str = SAID, changed: int = 0, asked: str = ASKED) -> str:
    run = Run(status, said + RECAP.format(changed=changed), COST)
    return "; ".join(growth._wrong(growth.KINDS["site"], run, HOSTS, asked))


def test_a_run_with_nothing_to_do_is_what_it_is_to_be() -> None:
    assert wrong() == ""


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (wrong(status=2), "exit status 2"),
        (wrong(changed=1), "gpu0000 has changed"),
        (wrong(said="15 of 16 endpoints passed\n"), "it does not say"),
        (wrong(asked=ASKED.replace("gpu0001", "gw1")), "gpu0001 was asked {}"),
        (wrong(asked=ASKED + "gw0 unit_files\n"), "gw0 was asked"),
        (wrong(asked=ASKED * 2), "gpu0000 was asked {'host_state': 2}"),
        (wrong(asked=ASKED + "gpu0000 unit_files\n"), "gpu0000 was asked"),
    ],
)
def test_any_other_run_is_refused(found: str, told: str) -> None:
    assert told in found


@pytest.mark.parametrize("kind", ["site", "status", "plan --diff"])
def test_real_runs_find_nothing_to_do_in_the_records(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Floor's alone, and this computer has to have what answers it.
    monkeypatch.setattr(record, "write_setup", lambda __: None)
    cost = growth._run(tmp_path, kind, HOSTS, fleet.plan(HOSTS))
    assert cost.cpu > 0
    assert cost.memory > 10
    if kind == "site":
        report = json.loads((tmp_path / "report.json").read_text())
        assert {result["host"] for result in report["results"]} == set(fleet.hosts(HOSTS))
