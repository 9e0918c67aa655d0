"""Starting and ending an agent as the module does, and which manifest content has; systemd is a stand-in that starts nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.choice import Neighbour
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.job import FanoutJob
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.manifest import describe
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.order import Order
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.store import Place, described

CONTENT = "c" * 64


def ended(argv: list[str]) -> tuple[int, str, str]:
    """Every unit ended at once."""
    return 0, "ActiveState=inactive\nSubState=dead\n", ""


@pytest.fixture
def job(tmp_path: Path) -> FanoutJob:
    return FanoutJob(CONTENT, ended, tmp_path / "run")


def test_an_agent_finds_whom_to_ask_when_it_starts(job: FanoutJob, tmp_path: Path) -> None:
    asked = Neighbour("b", "10.0.0.2", 7411)
    job.start(Order("a", CONTENT, str(tmp_path / "content")), "secret", [asked])
    assert json.loads(job.folder.neighbours.read_text()) == [asked._asdict()]
    assert job.folder.credential.stat().st_mode & 0o777 == 0o600


def test_an_end_told_between_two_looks_is_the_agents_own(job: FanoutJob, tmp_path: Path) -> None:
    job.folder.path.mkdir(parents=True)
    job.folder.status.write_text(json.dumps({"state": "fetching"}))

    def ends(argv: list[str]) -> tuple[int, str, str]:
        job.folder.status.write_text(json.dumps({"state": "failed", "problem": "the disk is full"}))
        return ended(argv)

    assert FanoutJob(CONTENT, ends, tmp_path / "run").status()["problem"] == "the disk is full"


def test_a_part_goes_only_where_it_is_to(job: FanoutJob, tmp_path: Path) -> None:
    place = Place(tmp_path / "content")
    place.staging.mkdir()
    job.end()
    assert place.staging.is_dir()
    job.end(place.target)
    assert not place.staging.exists()


def test_a_manifest_that_is_kept_is_taken_while_the_sizes_fit(tmp_path: Path) -> None:
    place = Place(tmp_path / "content")
    place.target.write_bytes(b"one")
    first = described(place)
    assert first == describe(place.target)
    # What changed on the disk is found before it is given away, by what was said of it.
    place.target.write_bytes(b"two")
    assert described(place) == first
    place.target.write_bytes(b"three")
    assert described(place) == describe(place.target) != first
    place.manifest.write_text("{}")
    assert described(place) == describe(place.target)
