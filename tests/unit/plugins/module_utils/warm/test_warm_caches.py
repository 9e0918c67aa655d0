"""A cache goes from one engine's directory to another's unchanged; whatever somebody else put in its way is refused by name."""

from __future__ import annotations

import io
import json
import os
import pwd
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Callable

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import sha256_of
from ansible_collections.baremetal.vllm.plugins.module_utils.warm import cache, keep, place
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.kernels import new_kernels
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import digest

ME = pwd.getpwuid(os.getuid()).pw_name
PARTS = {"release": "0.32.0", "revision": "c0ffee"}
KEY = digest(PARTS)
HASH = "ab" * 32
GRAPH = f"vllm/torch_compile_cache/torch_aot_compile/{HASH}"
MADE = "2026-11-30T12:00:00+00:00"


class Host:
    """The directories of one host: its engines' caches and its store."""

    def __init__(self, path: Path) -> None:
        self.caches, self.root = path / "caches", path / "store"

    def keep(self, limit: int = cache.LIMIT) -> cache.Manifest | None:
        # A log can name whatever it likes.
        graphs = [str(self.caches / GRAPH), "/etc", f"{self.caches}/vllm/torch_compile_cache/../../../outside"]
        return keep.keep(PARTS, graphs, MADE, "m", "h1", self.caches, self.root, ME, limit)

    def place(self) -> int:
        return place.place(KEY, self.caches, self.root, ME)

    def write(self, name: str, content: str = "compiled", mode: int = 0o600) -> Path:
        path = self.caches / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        os.utime(path, (1_700_000_000, 1_700_000_000.25))
        return path

    def files(self) -> dict[str, str]:
        return {str(p.relative_to(self.caches)): p.read_text() for p in self.caches.rglob("*") if p.is_file()}


@pytest.fixture
def first(tmp_path: Path) -> Host:
    host = Host(tmp_path / "h1")
    host.write(f"{GRAPH}/rank_0_0/model", "a graph")
    host.write(f"{GRAPH}/inductor_cache/xy/kernel.so", "code", mode=0o700)
    host.write(".cache/flashinfer/0.7/90a/sampling.so", "a kernel")
    host.write("vllm/torch_compile_cache/torch_aot_compile/another/model", "of another service")
    host.write("vllm/assets/picture.png", "no cache of code")
    host.write("triton/x/kernel.cubin.tmp", "unfinished")
    return host


@pytest.fixture
def second(tmp_path: Path) -> Host:
    return Host(tmp_path / "h2")


def send(one: Host, other: Host) -> None:
    told = (one.root / KEY / cache.MANIFEST).read_text()
    place.adopt(one.root / KEY / cache.ARCHIVE, told, KEY, other.root)


def test_what_one_host_compiled_another_finds(first: Host, second: Host) -> None:
    kept = first.keep()
    assert kept is not None
    assert (kept.key, kept.files, kept.host) == (KEY, 3, "h1")
    send(first, second)
    assert not place.is_placed(KEY, second.caches, second.root)
    second.caches.mkdir()
    assert second.place() == 3
    assert place.is_placed(KEY, second.caches, second.root)
    names = [f"{GRAPH}/rank_0_0/model", f"{GRAPH}/inductor_cache/xy/kernel.so", ".cache/flashinfer/0.7/90a/sampling.so"]
    assert second.files() == {name: first.files()[name] for name in names}
    for name in names:
        before, now = ((host.caches / name).stat() for host in (first, second))
        assert (now.st_mode, now.st_mtime) == (before.st_mode, before.st_mtime)
    assert second.place() == 0


def test_everybody_may_read_the_store_and_only_its_owner_write(first: Host) -> None:
    first.keep()
    modes = {p.name: p.stat().st_mode & 0o777 for p in (first.root, *first.root.rglob("*"))}
    assert modes == {"store": 0o755, KEY: 0o755, cache.ARCHIVE: 0o644, cache.MANIFEST: 0o644}


def test_kernels_are_new_where_they_were_compiled_and_not_where_they_were_brought(first: Host, second: Host) -> None:
    graph = str(first.caches / GRAPH)
    assert new_kernels([graph], 1_600_000_000, first.caches) == 2
    assert new_kernels([graph], 1_800_000_000, first.caches) == 0
    first.keep()
    send(first, second)
    second.caches.mkdir()
    second.place()
    second.write("triton/x/kernel.cubin")
    os.utime(second.caches / "triton/x/kernel.cubin", (1_900_000_000, 1_900_000_000))
    assert new_kernels([str(second.caches / GRAPH)], 1_800_000_000, second.caches) == 1


def test_without_a_gpu_the_kernels_go_and_the_function_that_none_loads_stays(first: Host) -> None:
    parts = {**PARTS, "accelerator": "cpu"}
    kept = keep.keep(parts, [str(first.caches / GRAPH)], MADE, "m", "h1", first.caches, first.root, ME)
    assert kept is not None
    with tarfile.open(first.root / kept.key / cache.ARCHIVE) as archive:
        assert archive.getnames() == [f"{GRAPH}/inductor_cache/xy/kernel.so", ".cache/flashinfer/0.7/90a/sampling.so"]


def test_nothing_that_is_there_is_replaced(first: Host, second: Host) -> None:
    first.keep()
    send(first, second)
    second.write(f"{GRAPH}/rank_0_0/model", "its own")
    assert second.place() == 2
    assert second.files()[f"{GRAPH}/rank_0_0/model"] == "its own"


def test_no_link_is_followed(first: Host, tmp_path: Path) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("secret")
    (first.caches / "triton/link").symlink_to(secret)
    (first.caches / "torchinductor").symlink_to(tmp_path)
    os.mkfifo(first.caches / GRAPH / "fifo")
    kept = first.keep()
    assert kept is not None
    assert kept.files == 3
    assert b"secret" not in (first.root / KEY / cache.ARCHIVE).read_bytes()


def test_nothing_to_keep_leaves_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.caches.mkdir()
    assert host.keep() is None
    assert list(host.root.iterdir()) == []


def test_a_cache_that_is_too_large_is_not_kept(first: Host) -> None:
    with pytest.raises(cache.CacheError, match="more than 0 MiB"):
        first.keep(limit=10)
    assert list(first.root.iterdir()) == []


def repack(store: Path, member: tarfile.TarInfo, content: bytes = b"") -> None:
    """An archive with a member of somebody's, and a manifest that fits it."""
    with tarfile.open(store / cache.ARCHIVE, "w") as archive:
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    told = json.loads((store / cache.MANIFEST).read_text())
    told["digest"] = sha256_of(store / cache.ARCHIVE)
    (store / cache.MANIFEST).write_text(json.dumps(told))


def link(store: Path) -> None:
    member = tarfile.TarInfo(f"{GRAPH}/rank_0_0/model")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/shadow"
    repack(store, member)


def edit(**changes: object) -> Callable[[Path], None]:
    def change(store: Path) -> None:
        told = {**json.loads((store / cache.MANIFEST).read_text()), **changes}
        (store / cache.MANIFEST).write_text(json.dumps(told))

    return change


def flip(store: Path) -> None:
    content = bytearray((store / cache.ARCHIVE).read_bytes())
    content[600] ^= 1
    (store / cache.ARCHIVE).write_bytes(content)


POISON: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped byte": (flip, "is not what its manifest says"),
    "a truncated archive": (lambda s: os.truncate(s / cache.ARCHIVE, 700), "is not what its manifest says"),
    "writable by others": (lambda s: (s / cache.ARCHIVE).chmod(0o666), "others may write to it"),
    "in a directory of others": (lambda s: s.chmod(0o777), "others may write to it"),
    "no archive": (lambda s: (s / cache.ARCHIVE).unlink(), "No such file"),
    "no JSON": (lambda s: (s / cache.MANIFEST).write_text("{"), "cannot be read"),
    "no object": (lambda s: (s / cache.MANIFEST).write_text("[]"), "cannot be read"),
    "of another form": (edit(schema=0), "of another release of this collection"),
    "parts of another key": (edit(parts={"release": "0.33.0"}), "is of another cache"),
    "another key": (edit(key="0" * 64), "is of another cache"),
    "unknown words": (edit(more=1), "cannot be read"),
    "a link": (link, "is no file of a cache"),
    "outside": (lambda s: repack(s, tarfile.TarInfo("../../etc/cron.d/x"), b"x"), "is no file of a cache"),
    "outside by a detour": (lambda s: repack(s, tarfile.TarInfo("triton/../../x"), b"x"), "is no file of a cache"),
    "absolute": (lambda s: repack(s, tarfile.TarInfo("/etc/cron.d/x"), b"x"), "is no file of a cache"),
    "not of caches": (lambda s: repack(s, tarfile.TarInfo(".bashrc"), b"x"), "is no file of a cache"),
}


@pytest.mark.parametrize("poison", POISON)
def test_a_poisoned_or_foreign_cache_is_refused_by_name(first: Host, second: Host, poison: str) -> None:
    spoil, why = POISON[poison]
    first.keep()
    send(first, second)
    second.caches.mkdir()
    spoil(second.root / KEY)
    with pytest.raises((cache.CacheError, OSError), match=f"(?s){KEY}.*{why}"):
        second.place()
    assert second.files() == {}


def test_what_arrives_is_taken_only_as_what_it_was_sent_for(first: Host, second: Host) -> None:
    first.keep()
    store = first.root / KEY
    told = (store / cache.MANIFEST).read_text()
    with pytest.raises(cache.CacheError, match="is of another cache"):
        place.adopt(store / cache.ARCHIVE, told, "0" * 64, second.root)
    flip(store)
    with pytest.raises(cache.CacheError, match="what arrived is not"):
        place.adopt(store / cache.ARCHIVE, told, KEY, second.root)
    assert not second.root.exists() or list(second.root.iterdir()) == []


def test_a_full_disk_leaves_no_half_file(first: Host, second: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    first.keep()
    send(first, second)
    second.caches.mkdir()
    full = OSError(28, "No space left on device", "/var/cache/vllm/x")

    def write(content: object, stream: io.BufferedWriter) -> None:
        stream.write(b"half")
        raise full

    monkeypatch.setattr(shutil, "copyfileobj", write)
    with pytest.raises(OSError, match="No space left on device"):
        second.place()
    assert second.files() == {}


def test_a_user_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no user nobody-at-all"):
        keep.keep(PARTS, [], MADE, "m", "h", tmp_path, tmp_path / "store", "nobody-at-all")


def test_a_host_keeps_the_newest_caches_of_each_model(first: Host) -> None:
    keys = []
    for day in range(1, 6):
        parts = {"release": f"0.{day}"}
        keep.keep(
            parts, [], f"2026-11-0{day}T12:00:00+00:00", "m" if day > 1 else "other", "h", first.caches, first.root, ME
        )
        keys.append(digest(parts))
    (first.root / ("0" * 64)).mkdir()
    for name in (".new-old", ".new-now"):
        (first.root / name).mkdir()
    os.utime(first.root / ".new-old", (0, 0))
    assert keep.prune(first.root, most=2) == [keys[2], keys[1]]
    assert {path.name for path in first.root.iterdir()} == {keys[0], keys[3], keys[4], ".new-now"}


def test_a_manifest_reads_back(first: Host) -> None:
    kept = first.keep()
    assert kept is not None
    assert cache.read_manifest(kept.text(), KEY) == kept
    assert cache.check(first.root / KEY, os.getuid()) == kept
    with pytest.raises(cache.CacheError):
        cache.read_manifest(replace(kept, key="0" * 64).text(), KEY)
    assert cache.kept(first.root) == [KEY]
