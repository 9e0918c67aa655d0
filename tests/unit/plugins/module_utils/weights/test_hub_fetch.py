"""Downloads with the real `huggingface_hub` from a hub on loopback."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import job, manifest, store
from weights_host import COMMIT, REPO, Host
from weights_hub import Hub

WANTED = {"config.json", "tokenizer/vocab.txt", "model.safetensors"}


def there(path: str) -> set[str]:
    return {str(p.relative_to(path)) for p in Path(path).rglob("*") if p.is_file()}


def test_a_model_arrives_whole_and_only_what_an_engine_needs(hub: Hub, host: Host) -> None:
    status = host.fetch()
    assert (status["state"], status["errors"]) == ("done", [])
    path = host.item()["path"]
    assert there(path) == WANTED | {manifest.MANIFEST}
    known = manifest.read(path)
    assert known is not None
    assert known.source == f"{hub.endpoint}/{REPO}@{COMMIT}"
    for entry in known.files:
        assert entry.sha256 == hashlib.sha256(hub.repos[REPO][COMMIT][entry.path]).hexdigest()
    assert store.look(host.item(), verify=True).state == "present"
    assert not os.path.exists(store.staging_of(path))
    assert {oct(p.stat().st_mode & 0o777) for p in Path(path).rglob("*") if p.is_file()} == {"0o644"}
    assert hub.tokens == {""}


# The library writes in pieces of 10 MB: what is cut off inside a piece is sent again.
PIECE = 10_485_760


def large_model(hub: Hub) -> int:
    hub.repos[REPO][COMMIT]["model.safetensors"] = os.urandom(3 * PIECE + 5)
    return 3 * PIECE + 5


def test_a_cut_connection_is_taken_up_where_it_broke(hub: Hub, host: Host) -> None:
    size = large_model(hub)
    hub.cuts["model.safetensors"] = [PIECE + 7, PIECE + 7]
    status = host.fetch()
    assert (status["state"], status["errors"]) == ("done", [])
    assert hub.sent["model.safetensors"] < size + PIECE
    assert hub.ranges == [f"model.safetensors {PIECE}", f"model.safetensors {2 * PIECE}"]
    assert store.look(host.item(), verify=True).state == "present"


def test_a_killed_download_is_resumed_by_the_next_run(hub: Hub, host: Host) -> None:
    size = large_model(hub)
    hub.rate = 2.5 * PIECE
    host.start()
    deadline = time.monotonic() + 20
    while hub.sent["model.safetensors"] < 2.2 * PIECE and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(job.poll(host.run_dir)["pid"], signal.SIGKILL)
    time.sleep(0.3)
    assert job.poll(host.run_dir)["state"] == "killed"
    assert not os.path.exists(host.item()["path"])
    before, hub.rate = hub.sent["model.safetensors"], 0.0
    assert host.fetch()["state"] == "done"
    again = hub.sent["model.safetensors"] - before
    assert again <= size - 2 * PIECE, f"{again} of {size} bytes were sent again"
    assert store.look(host.item(), verify=True).state == "present"


def test_a_second_order_finds_the_running_process(hub: Hub, host: Host) -> None:
    hub.rate = 2 << 20
    host.start()
    first = job.poll(host.run_dir)["pid"]
    host.start()
    assert job.poll(host.run_dir)["pid"] == first
    assert host.wait()["state"] == "done"


def test_progress_is_told_while_it_lasts(hub: Hub, host: Host) -> None:
    hub.rate = 1 << 20
    host.start()
    seen: set[int] = set()
    while job.poll(host.run_dir)["state"] == "running":
        seen.update(item["done"] for item in job.poll(host.run_dir)["items"] if item["state"] == "fetching")
        time.sleep(0.2)
    total = sum(len(hub.repos[REPO][COMMIT][path]) for path in WANTED)
    assert len([done for done in seen if 0 < done < total]) >= 1
    assert host.wait()["items"][0]["total"] == total


def test_wrong_content_once_is_fetched_again(hub: Hub, host: Host) -> None:
    hub.wrong["model.safetensors"] = 1
    assert host.fetch()["state"] == "done"
    assert store.look(host.item(), verify=True).state == "present"


@pytest.mark.parametrize("path", ["model.safetensors", "config.json"])
def test_wrong_content_always_is_refused(hub: Hub, host: Host, path: str) -> None:
    hub.wrong[path] = -1
    status = host.fetch()
    assert status["state"] == "failed"
    assert path in status["errors"][0]
    assert "checksum" in status["errors"][0]
    assert not os.path.exists(host.item()["path"])


def test_a_damaged_model_is_repaired_without_fetching_its_good_files(hub: Hub, host: Host) -> None:
    hub.repos[REPO][COMMIT]["model-2.safetensors"] = os.urandom(1 << 20)
    host.fetch()
    path = Path(host.item()["path"])
    (path / "model-2.safetensors").write_bytes(b"broken")
    assert store.look(host.item()).state == "damaged"
    hub.sent.clear()
    assert host.fetch()["state"] == "done"
    assert hub.sent["model.safetensors"] == 0
    assert hub.sent["model-2.safetensors"] == 1 << 20
    assert store.look(host.item(), verify=True).state == "present"


def test_a_token_comes_from_the_file_and_stays_out_of_sight(hub: Hub, host: Host) -> None:
    hub.token, hub.rate = "hf_secret_of_the_test", 2 << 20
    host.token_file.write_text("hf_secret_of_the_test\n")
    host.start()
    pid = job.poll(host.run_dir)["pid"]
    shown = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    status = host.wait()
    assert status["state"] == "done"
    kept = b"".join(p.read_bytes() for p in Path(host.run_dir).rglob("*") if p.is_file())
    assert b"hf_secret" not in shown + kept
    assert hub.tokens == {"hf_secret_of_the_test"}
    assert hub.tokens_astray == set()


def gated(hub: Hub) -> None:
    hub.token = "right"
    hub.gated = {REPO}


def private(hub: Hub) -> None:
    hub.token = "right"


def no_revision(hub: Hub) -> None:
    hub.repos[REPO] = {"f" * 40: {}}


def no_repo(hub: Hub) -> None:
    hub.repos.clear()


def useless(hub: Hub) -> None:
    hub.repos[REPO][COMMIT] = {"README.md": b"nothing here"}


def outside(hub: Hub) -> None:
    hub.repos[REPO][COMMIT]["/etc/evil.json"] = b"{}"


def gone(hub: Hub) -> None:
    hub.__exit__()


@pytest.mark.parametrize(
    ("fault", "token", "says"),
    [
        (gated, "", ["gated", "no token is set in vllm_hf_token", "licence"]),
        (gated, "wrong", ["gated", "the token in vllm_hf_token"]),
        (private, "", ["not authorised (401)", "set one"]),
        (private, "wrong", ["not authorised (401)", "refused"]),
        (no_revision, "", ["no such revision", "40-digit"]),
        (no_repo, "any", ["no such repository", "404"]),
        (no_repo, "", ["no such repository", "401"]),
        (useless, "", ["no files that an engine could use"]),
        (outside, "", ["outside itself"]),
        (gone, "", ["cannot be reached", "model_weights_offline"]),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(hub: Hub, host: Host, fault: Any, token: str, says: list[str]) -> None:
    fault(hub)
    host.hurry()
    if token:
        host.token_file.write_text(token)
    status = host.fetch()
    assert status["state"] == "failed"
    assert len(status["errors"]) == 1
    error = status["errors"][0]
    assert "\n" not in error
    assert REPO in error
    for part in says:
        assert part in error
    assert not os.path.exists(host.item()["path"])


def test_one_bad_model_does_not_keep_the_others_away(hub: Hub, host: Host) -> None:
    bad = host.item("Org/Nobody")
    status = host.fetch(bad, host.item())
    assert status["state"] == "failed"
    assert len(status["errors"]) == 1
    assert "Org/Nobody" in status["errors"][0]
    assert store.look(host.item()).state == "present"


def test_space_is_checked_for_all_before_any_is_fetched(hub: Hub, host: Host) -> None:
    status = host.fetch(reserved=10**18)
    assert status["state"] == "failed"
    assert "the disk is too small" in status["errors"][0]
    assert "1000000.0 TB still needed below" in status["errors"][0]
    assert hub.sent["model.safetensors"] == 0
