"""Whatever a bundle holds: written, read and verified it is whole, and any one change is named."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.manifest import FileEntry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle import manifest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.faults import SMALL, faults
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.manifest import Bundle, BundleError, Part
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.writing.contents import WantedPart
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.writing.copying import copy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.writing.difference import compare
from hypothesis import given
from hypothesis import strategies as st

# Names as they may be on a disk, none of which is hidden.
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=20).filter(
    lambda name: not name.startswith(".")
)
TREES = st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=5)


def entry(name: str, content: bytes) -> FileEntry:
    return FileEntry(name, len(content), hashlib.sha256(content).hexdigest())


def laid(folder: Path, tree: dict[str, bytes]) -> Bundle:
    """A finished bundle of one pushed model with these files."""
    files = tuple(entry(name, tree[name]) for name in sorted(tree))
    part = Part("pushed", "weights/pushed/mine/0123456789abcdef", {"from": "/srv/mine", "digest": "d" * 64}, files)
    (folder / part.path).mkdir(parents=True)
    for name, content in tree.items():
        (folder / part.path / name).write_bytes(content)
    bundle = Bundle((part,), "2026-11-30T00:00:00+00:00")
    manifest.write(folder, bundle)
    return bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "stick"


@given(TREES, st.data())
def test_any_one_change_is_named(tree: dict[str, bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        bundle = laid(Path(place), tree)
        assert manifest.read(Path(place)) == bundle
        assert faults(Path(place), bundle) == []
        name = data.draw(st.sampled_from(sorted(tree)))
        path = Path(place) / bundle.parts[0].path / name
        relative = f"{bundle.parts[0].path}/{name}"
        change = data.draw(st.sampled_from(["flip", "cut", "remove", "add", "link", "folder"]))
        if change in ("flip", "cut") and not tree[name]:
            change = "grow"
        if change == "flip":
            at = data.draw(st.integers(0, len(tree[name]) - 1))
            path.write_bytes(tree[name][:at] + bytes([tree[name][at] ^ 1]) + tree[name][at + 1 :])
        elif change == "cut":
            path.write_bytes(tree[name][:-1])
        elif change == "grow":
            path.write_bytes(tree[name] + b"x")
        elif change == "remove":
            path.unlink()
        elif change == "link":
            path.rename(f"{place}/moved")
            path.symlink_to(f"{place}/moved")
        elif change == "folder":
            path.unlink()
            path.mkdir()
        else:
            relative = data.draw(NAMES.filter(lambda new: new not in (*tree, "weights", manifest.FILE)))
            (Path(place) / relative).write_bytes(b"")
        found = faults(Path(place), bundle)
        assert any(line.startswith(f"{relative}: ") for line in found), (change, found)
        assert len(found) == (2 if change == "link" else 1)


@given(TREES, st.data())
def test_any_changed_byte_of_the_manifest_is_refused_or_changes_nothing(
    tree: dict[str, bytes], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as place:
        bundle = laid(Path(place), tree)
        path = Path(place) / manifest.FILE
        text = path.read_bytes()
        at = data.draw(st.integers(0, len(text) - 1))
        path.write_bytes(text[:at] + bytes([text[at] ^ data.draw(st.integers(1, 255))]) + text[at + 1 :])
        try:
            read = manifest.read(Path(place))
        except BundleError:
            return
        # Another space between two words of JSON.
        assert read == bundle


@given(TREES, st.data())
def test_what_was_cut_short_or_damaged_is_what_is_written_again(tree: dict[str, bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        source, stick = Path(place) / "source", Path(place) / "stick"
        source.mkdir()
        for name, content in tree.items():
            (source / name).write_bytes(content)
        bundle = laid(stick, tree)
        part = bundle.parts[0]
        harmed = data.draw(st.sets(st.sampled_from(sorted(tree))))
        for name in harmed:
            (stick / part.path / name).unlink()
        if data.draw(st.booleans()):
            (stick / manifest.FILE).rename(stick / manifest.DRAFT)
        wanted = [WantedPart(part, str(source))]
        found = compare(stick, manifest.known(stick), wanted, lambda size: None)
        assert {one.path for one in found.steps[0].files} == harmed
        assert (found.unneeded, found.leftovers, found.foreign) == ((), (), ())
        for one in found.steps[0].files:
            copy(source / one.path, stick / part.path / one.path, one, lambda size: None)
        assert compare(stick, bundle, wanted, lambda size: None).steps[0].idle


def test_large_files_are_read_where_all_is_verified_and_small_ones_always(folder: Path) -> None:
    bundle = laid(folder, {"large": b"a" * (SMALL + 1), "small": b"a"})
    place = folder / bundle.parts[0].path
    (place / "large").write_bytes(b"b" * (SMALL + 1))
    assert faults(folder, bundle, content=False) == []
    assert [line.partition(":")[0][-5:] for line in faults(folder, bundle)] == ["large"]
    (place / "small").write_bytes(b"b")
    assert [line.partition(":")[0][-5:] for line in faults(folder, bundle, content=False)] == ["small"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "is of version 2: another release"),
        ({"made": "1999"}, "it was changed"),
        ({"parts": [{"kind": "hub"}]}, "cannot be read"),
        ({"digest": None}, "says the digest None"),
    ],
)
def test_a_manifest_that_is_none_of_ours_is_refused(folder: Path, change: dict[str, object], said: str) -> None:
    laid(folder, {"a": b"a"})
    path = folder / manifest.FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BundleError, match=said):
        manifest.read(folder)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", ".hidden", ""])
def test_no_manifest_leads_out_of_its_directory(folder: Path, path: str) -> None:
    for part in (
        Part("cache", path, {}, (FileEntry("a", 1, "a" * 64),)),
        Part("cache", "warm/a", {}, (FileEntry(path, 1, "a" * 64),)),
    ):
        with pytest.raises(BundleError, match="names what a bundle cannot hold"):
            manifest.parse(Bundle((part,)).text(), "bundle.json")


def test_a_directory_without_a_manifest_says_what_it_is(folder: Path) -> None:
    with pytest.raises(BundleError, match="no directory here: is the stick mounted"):
        manifest.read(folder)
    bundle = laid(folder, {"a": b"a"})
    (folder / manifest.FILE).unlink()
    with pytest.raises(BundleError, match="it is no bundle"):
        manifest.read(folder)
    manifest.write(folder, bundle, manifest.DRAFT)
    with pytest.raises(BundleError, match="the bundle is not finished"):
        manifest.read(folder)


def test_a_source_that_changes_while_it_is_copied_leaves_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "to" / "a"
    source.write_bytes(b"new")
    with pytest.raises(BundleError, match="has changed while the bundle was written: run again"):
        copy(source, target, entry("a", b"old"), lambda size: None)
    assert list(target.parent.iterdir()) == []
    shutil.copy(source, target)
    with pytest.raises(BundleError):
        copy(source, target, entry("a", b"old"), lambda size: None)
    assert target.read_bytes() == b"new"
