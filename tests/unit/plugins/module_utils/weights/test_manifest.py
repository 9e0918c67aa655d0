"""Manifests, fingerprints and their cache."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import manifest as mf
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights import fingerprint as fp
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda name: not name.startswith(".") and len(name.encode()) < 200
)
TREES = st.dictionaries(NAMES, st.binary(max_size=100), min_size=1, max_size=6)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def lay(root: Path, tree: dict[str, bytes]) -> Path:
    root.mkdir(parents=True)
    for name, data in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@settings(max_examples=60, deadline=None)
@given(tree=TREES)
def test_the_digest_is_that_of_the_content(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes]) -> None:
    base = tmp_path_factory.mktemp("trees")
    first, manifest = fp.fingerprint(str(lay(base / "a", tree)))
    # Another place, another order of creation, other times.
    second = lay(base / "b", dict(reversed(tree.items())))
    os.utime(second / next(iter(tree)), (1, 1))
    assert fp.fingerprint(str(second))[0] == first
    assert {entry.path: (entry.size, entry.sha256) for entry in manifest.files} == {
        name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in tree.items()
    }
    assert mf.faults(str(second), manifest.files, content=True) == {}
    mf.write(str(second), manifest)
    assert mf.read(str(second)) == manifest
    # The manifest is no part of what it describes.
    assert fp.fingerprint(str(second))[0] == first


@settings(max_examples=60, deadline=None)
@given(tree=TREES, data=st.data())
def test_any_change_changes_the_digest(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes], data: st.DataObject
) -> None:
    root = lay(tmp_path_factory.mktemp("trees") / "a", tree)
    first = fp.fingerprint(str(root))[0]
    name = data.draw(st.sampled_from(sorted(tree)))
    kind = data.draw(st.sampled_from(["content", "rename", "remove", "add"]))
    if kind == "content":
        (root / name).write_bytes(tree[name] + b"x")
    elif kind == "rename":
        (root / name).rename(root / (name[:20] + "-other"))
    elif kind == "add":
        (root / (name[:20] + "-more")).write_bytes(b"")
    elif len(tree) > 1:
        (root / name).unlink()
    else:
        return
    assert fp.fingerprint(str(root))[0] != first


@given(files=st.lists(st.tuples(NAMES, st.integers(0, 10**12)), max_size=5, unique_by=lambda f: f[0]))
def test_a_manifest_survives_json_in_any_order(files: list[tuple[str, int]]) -> None:
    entries = tuple(mf.FileEntry(name, size, hashlib.sha256(name.encode()).hexdigest()) for name, size in files)
    manifest = mf.Manifest(entries, "hub")
    assert mf.from_data(json.loads(json.dumps(mf.to_data(manifest)))) == manifest
    assert mf.Manifest(entries[::-1]).digest == manifest.digest


def test_the_blob_hash_is_that_of_git(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"some text\n")
    shown = subprocess.run(["git", "hash-object", str(path)], capture_output=True, text=True, check=True)
    assert mf.hash_file(str(path))[1] == shown.stdout.strip()


def test_a_known_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lay(tmp_path / "model", {"a": b"1", "sub/b": b"2"})
    digest = fp.fingerprint(str(root))[0]
    read: list[str] = []
    real = fp.hash_file

    def watched(path: str) -> tuple[str, str]:
        read.append(path)
        return real(path)

    monkeypatch.setattr(fp, "hash_file", watched)
    assert fp.fingerprint(str(root))[0] == digest
    assert read == []
    (root / "a").write_bytes(b"3")
    assert fp.fingerprint(str(root))[0] != digest
    assert read == [str(root / "a")]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"%s": 3}', '{"%s": [1, 2]}'])
def test_a_damaged_cache_does_no_harm(tmp_path: Path, content: str) -> None:
    root = lay(tmp_path / "model", {"a": b"1"})
    digest = fp.fingerprint(str(root))[0]
    fp.cache_file().write_text(content.replace("%s", str(root / "a")))
    assert fp.fingerprint(str(root))[0] == digest


def test_links_into_a_hub_cache_are_followed(tmp_path: Path) -> None:
    lay(tmp_path / "blobs", {"1234": b"{}"})
    plain = lay(tmp_path / "plain", {"config.json": b"{}"})
    linked = lay(tmp_path / "linked", {})
    (linked / "config.json").symlink_to(tmp_path / "blobs" / "1234")
    assert fp.fingerprint(str(linked))[0] == fp.fingerprint(str(plain))[0]


@pytest.mark.parametrize("bad", ["missing", "empty", "a file", "a broken link"])
def test_what_cannot_be_pushed_is_said(tmp_path: Path, bad: str) -> None:
    root = tmp_path / "model"
    if bad == "a file":
        root.write_bytes(b"")
    elif bad != "missing":
        root.mkdir()
    if bad == "a broken link":
        (root / "config.json").symlink_to("nowhere")
    with pytest.raises(ValueError, match="model"):
        fp.fingerprint(str(root))


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "0" * 64},
        {"files": [{"path": "../x", "size": 1, "sha256": "0"}]},
        {"files": [{"path": "/x", "size": 1, "sha256": "0"}]},
        {"files": "none"},
        {"files": [{"path": "x"}]},
    ],
)
def test_a_manifest_that_lies_is_not_believed(tmp_path: Path, change: dict[str, object]) -> None:
    data = {**mf.to_data(mf.Manifest(())), **change}
    with pytest.raises(ValueError, match="manifest"):
        mf.from_data(data)
    (tmp_path / mf.MANIFEST).write_text(json.dumps(data))
    assert mf.read(str(tmp_path)) is None
