"""A full proof counts for the unit's file, the process and the promises that it is of, while it is whole and young enough."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.check import expect
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Prove, Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.suite import Result
from ansible_collections.baremetal.vllm.plugins.module_utils.look import proofs

NOW = datetime.datetime(2026, 11, 30, 12, 0, tzinfo=datetime.timezone.utc)
SERVICE = Service("m", "chat", 8001, served_names=("m",), unit="vllm-m.service", prove=Prove(key=True))
RUNNING = proofs.process("[Service]\n", "a1")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Files are given to root, which only root may do.
    monkeypatch.setattr("os.chown", lambda *__: None)
    result = Result(SERVICE, (expect("answer", True, "a text", "a text"),), 1.0)
    proofs.keep(result, RUNNING, NOW, tmp_path / "proofs")
    return tmp_path / "proofs"


def standing(root: Path, **changes: Any) -> proofs.Standing:
    given = {"service": SERVICE, "running": RUNNING, "now": NOW, "longest": None, **changes}
    return proofs.standing(given["service"], given["running"], given["now"], given["longest"], root)


def test_what_was_proved_counts_with_its_time(root: Path) -> None:
    assert standing(root) == proofs.Standing(proved="2026-11-30T12:00:00+00:00", checks=1)
    assert (root / "vllm-m.service.json").stat().st_mode & 0o777 == 0o644


LATER = NOW + datetime.timedelta(hours=2)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"running": proofs.process("[Service]\n# edited\n", "a1")}, "its unit or its process is another one since"),
        ({"running": proofs.process("[Service]\n", "b2")}, "its unit or its process is another one since"),
        ({"running": proofs.Process(RUNNING.digest, "")}, "its unit or its process is another one since"),
        ({"service": replace(SERVICE, prove=Prove(key=True, tools=True))}, "more is to be shown since"),
        ({"service": replace(SERVICE, served_names=("m", "n"))}, "more is to be shown since"),
        ({"service": replace(SERVICE, unit="vllm-n.service")}, "it was never proved in full"),
        (
            {"now": LATER, "longest": 3600.0},
            "its proof is of 2026-11-30T12:00:00+00:00, and older than vllm_proof_age allows",
        ),
        (
            # A clock that was set back tells no age.
            {"now": NOW - datetime.timedelta(hours=2), "longest": 3600.0},
            "its proof is of 2026-11-30T12:00:00+00:00, and older than vllm_proof_age allows",
        ),
    ],
)
def test_it_counts_for_nothing_else(root: Path, changes: Any, why: str) -> None:
    assert standing(root, **changes) == proofs.Standing(why)


def test_a_young_one_counts(root: Path) -> None:
    assert standing(root, now=LATER, longest=7200.0).proved


@pytest.mark.parametrize("key", ["digest", "invocation", "proved", "checks", "asked", "schema"])
def test_a_record_that_was_edited_is_no_proof(root: Path, key: str) -> None:
    path = root / "vllm-m.service.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, key: 2 if isinstance(record[key], int) else "2026-12-01T12:00:00+00:00"}))
    assert standing(root) == proofs.Standing("its record was changed by somebody else")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 1', '{"proved": 7}', "\x00"])
def test_a_record_that_is_none_is_no_proof(root: Path, text: str) -> None:
    (root / "vllm-m.service.json").write_text(text)
    found = standing(root)
    assert not found.proved
    assert found.why.startswith("its record cannot be read (")


def test_what_failed_since_is_forgotten(root: Path) -> None:
    proofs.forget(SERVICE.unit, root)
    proofs.forget(SERVICE.unit, root)
    assert standing(root) == proofs.Standing("it was never proved in full")
