"""Manifests: one text for one content, and what no manifest may say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout import manifest as mf
from fanout_members import noise, write
from hypothesis import given
from hypothesis import strategies as st

MIB = 1 << 20
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8)


def made(tmp_path: Path, data: bytes | dict[str, bytes]) -> mf.Manifest:
    place = tmp_path / "content"
    write(place, data)
    return mf.describe(place)


def test_chunks_go_across_files_and_are_those_of_all_bytes_end_to_end(tmp_path: Path) -> None:
    files = {"a": noise(MIB - 3), "b/c": noise(2 * MIB, 2), "b/d": b"", "e": b"end"}
    found = made(tmp_path, files)
    whole = b"".join(files[path] for path in sorted(files))
    pieces = [whole[at : at + found.chunk] for at in range(0, len(whole), found.chunk)]
    assert list(found.chunks) == [hashlib.sha256(piece).hexdigest() for piece in pieces]
    for index, piece in enumerate(pieces):
        paths = [found.files[span.file].path for span in found.spans(index)]
        parts = [files[path][span.offset : span.offset + span.length] for path, span in zip(paths, found.spans(index))]
        assert b"".join(parts) == piece


def test_the_name_depends_on_bytes_and_paths_alone(tmp_path: Path) -> None:
    first = made(tmp_path / "x", {"a": b"1", "b": b"2"})
    (tmp_path / "x" / "content" / "a").chmod(0o600)
    (tmp_path / "x" / "content" / "empty").mkdir()
    assert mf.describe(tmp_path / "x" / "content").digest == first.digest
    others = ({"a": b"1", "c": b"2"}, {"a": b"12", "b": b""}, {"a": b"1", "b": b"3"})
    digests = {made(tmp_path / str(n), each).digest for n, each in enumerate(others)}
    assert len(digests | {first.digest}) == 4


def test_one_file_and_a_directory_of_one_file_are_two_contents(tmp_path: Path) -> None:
    assert made(tmp_path / "x", b"1").digest != made(tmp_path / "y", {"content": b"1"}).digest


@given(st.dictionaries(NAMES, st.binary(max_size=40), max_size=6))
def test_what_was_described_reads_back_as_the_same(files: dict[str, bytes]) -> None:
    entries = tuple(mf.ContentFile(path, len(data)) for path, data in sorted(files.items()) if mf.is_inside(path))
    whole = b"".join(files[entry.path] for entry in entries)
    chunks = (hashlib.sha256(whole).hexdigest(),) if whole else ()
    manifest = mf.Manifest(mf.DIRECTORY, mf.SMALLEST, entries, chunks)
    assert mf.read(manifest.text, manifest.digest) == manifest


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "of version 2"),
        ({"form": "device"}, "neither file nor directory"),
        ({"form": "file"}, "another number"),
        ({"files": [["../a", 3]]}, "outside"),
        ({"files": [["/etc/passwd", 3]]}, "outside"),
        ({"files": [["a/../../b", 3]]}, "outside"),
        ({"files": [["a//b", 3]]}, "outside"),
        ({"files": [["", 3]]}, "outside"),
        ({"files": [["a\0b", 3]]}, "outside"),
        ({"files": [["a" * 256, 3]]}, "outside"),
        ({"files": [["\ud800", 3]]}, "outside"),
        ({"files": [["a", 1], ["a", 2]]}, "each once"),
        ({"files": [["b", 1], ["a", 2]]}, "in order"),
        ({"files": [["a", 1], ["a/b", 2]]}, "a directory as well"),
        ({"files": [["a", -1], ["b", 4]]}, "no path with a size"),
        ({"files": [["a", True]]}, "no path with a size"),
        ({"files": [["a", 3.0]]}, "no path with a size"),
        ({"files": [["a", MIB + 1]]}, "chunks of"),
        ({"files": [["a"]]}, "no manifest"),
        ({"files": 7}, "no manifest"),
        ({"chunk": 4}, "its chunks have"),
        ({"chunk": True}, "its chunks have"),
        ({"chunks": []}, "chunks of"),
        ({"chunks": ["a" * 64] * 2}, "chunks of"),
        ({"chunks": ["A" * 64]}, "no SHA-256"),
        ({"chunks": [7]}, "no SHA-256"),
        ({"more": 1}, "canonical"),
    ],
)
def test_what_no_manifest_may_say(change: dict[str, Any], words: str) -> None:
    good = {"version": 1, "form": "directory", "chunk": MIB, "files": [["a", 3]], "chunks": ["a" * 64]}
    text = json.dumps({**good, **change}, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(mf.ManifestError, match=words):
        mf.read(text)


@pytest.mark.parametrize("text", [b"", b"[]", b"7", b"\xff", b"[" * 100_000, b"{}"])
def test_what_is_no_manifest_at_all(text: bytes) -> None:
    with pytest.raises(mf.ManifestError, match="no manifest"):
        mf.read(text)


def test_a_text_of_another_name_is_refused(tmp_path: Path) -> None:
    found = made(tmp_path, b"1")
    with pytest.raises(mf.ManifestError, match="other content"):
        mf.read(found.text, "0" * 64)
    with pytest.raises(mf.ManifestError, match="canonical"):
        mf.read(b" " + found.text)


def test_links_are_followed_to_files_and_to_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "content"
    write(place, {"a": b"1"})
    (tmp_path / "b").write_bytes(b"2")
    (place / "b").symlink_to(tmp_path / "b")
    assert [file.path for file in mf.describe(place).files] == ["a", "b"]
    (place / "c").symlink_to(tmp_path)
    with pytest.raises(mf.ManifestError, match="link to a directory"):
        mf.describe(place)


@pytest.mark.parametrize(
    ("total", "size"), [(0, 1), (64 << 30, 1), ((64 << 30) + 1, 2), (700 * 10**9, 16), (1 << 50, 64)]
)
def test_chunks_grow_with_the_content(total: int, size: int) -> None:
    assert mf.chunk_size(total) == size * MIB
