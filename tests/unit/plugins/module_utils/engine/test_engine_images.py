"""Images on a host: names of units, what is wrong with a file, what arrives, what is compiled."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import image_build, image_mount, images
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.image_mount import ImageError, MountJob, receive
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import image_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import TEMPLATES
from hypothesis import given
from hypothesis import strategies as st

CONTENT = b"an engine, as far as these tests care" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/opt/vllm/0.32.0", "opt-vllm-0.32.0.mount"),
        ("/opt/vllm/0.33.0rc1", "opt-vllm-0.33.0rc1.mount"),
        ("/opt/vllm/0.33.0+rocm100", r"opt-vllm-0.33.0\x2brocm100.mount"),
        ("/srv/my-engines/0.32.0/", r"srv-my\x2dengines-0.32.0.mount"),
        ("/.hidden/a", r"\x2ehidden-a.mount"),
        ("/", "-.mount"),
    ],
)
def test_mount_units_are_called_as_systemd_asks(path: str, unit: str) -> None:
    assert images.mount_unit(path) == unit


@pytest.mark.skipif(not Path("/usr/bin/systemd-escape").exists(), reason="asks systemd itself")
@pytest.mark.parametrize("path", ["/opt/vllm/0.33.0+rocm100", "/srv/a b/é-c", "//x///y/", "/.x/.y"])
def test_names_are_systemds_own(path: str) -> None:
    done = subprocess.run(["systemd-escape", "--path", path], capture_output=True, text=True, check=True)
    assert images.escape(path) == done.stdout.strip()


@given(st.from_regex(r"[0-9]+(\.[0-9]+){1,2}[a-z0-9.+_-]{0,8}", fullmatch=True))
def test_a_release_is_read_back_out_of_its_unit(release: str) -> None:
    assert images.unescape(images.escape(release)) == release


def keep(folder: Path, content: bytes = CONTENT, digest: str = DIGEST) -> Path:
    path = images.file_of(digest, folder)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def mounting(units: Path, release: str, digest: str = DIGEST, root: str = "/opt/vllm") -> None:
    units.mkdir(exist_ok=True)
    for name, text in image_units.render(TEMPLATES, release, f"{root}/{release}", digest, False).items():
        (units / name).write_text(text)


def test_a_right_file_is_right_and_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path)
    assert images.problem(DIGEST, tmp_path) == ""
    images.note_checked(images.file_of(DIGEST, tmp_path))
    monkeypatch.setattr(images, "sha256_of", lambda path: pytest.fail("reads gigabytes for nothing"))
    assert images.problem(DIGEST, tmp_path) == ""
    assert images.held(tmp_path) == [DIGEST]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("at", [0, len(CONTENT) // 2, len(CONTENT) - 1])
def test_one_flipped_byte_is_told_with_the_name(tmp_path: Path, at: int, known: bool) -> None:
    path = keep(tmp_path)
    if known:
        images.note_checked(path)
    with path.open("r+b") as stream:
        stream.seek(at)
        stream.write(bytes([CONTENT[at] ^ 1]))
    said = images.problem(DIGEST, tmp_path)
    assert str(path) in said
    assert f"instead of {DIGEST[:12]}" in said
    assert images.held(tmp_path) == []


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    assert images.problem(DIGEST, tmp_path).endswith("engine.squashfs is not there")


def test_what_units_mount_is_read_out_of_them(tmp_path: Path) -> None:
    units, other = tmp_path / "units", "b" * 64
    keep(tmp_path / "images")
    mounting(units, "0.32.0")
    mounting(units, "0.33.0+rocm100", other)
    mounting(units, "0.31.0", root="/srv/elsewhere")
    (units / "opt-vllm-0.30.0.mount").write_text("[Mount]\nWhat=/dev/sdb1\nWhere=/opt/vllm/0.30.0\n")
    found = images.of_releases(Path("/opt/vllm"), units, tmp_path / "images")
    assert sorted(found) == ["0.32.0", "0.33.0+rocm100"]
    assert found["0.32.0"] == {"digest": DIGEST, "mounted": False, "problem": ""}
    assert "is not there" in found["0.33.0+rocm100"]["problem"]
    keep(tmp_path / "images", b"x", "c" * 64)
    assert images.idle(units, tmp_path / "images") == ["c" * 64]


@pytest.mark.parametrize(
    ("lines", "mounted"),
    [
        (["41 29 7:0 / /opt/vllm/0.32.0 ro,nosuid,nodev - squashfs /dev/loop0 ro"], True),
        (["41 29 7:0 / /opt/vllm/0.31.0 ro - squashfs /dev/loop0 ro"], False),
        (["41 29 8:1 / /opt/vllm/0.32.0 rw - ext4 /dev/sda1 rw"], False),
        (
            [
                "41 29 7:0 / /opt/vllm/0.32.0 ro shared:7 - squashfs /dev/loop0 ro",
                "42 41 8:1 / /opt/vllm/0.32.0 rw - ext4 /dev/sda1 rw",
            ],
            False,
        ),
        ([], False),
    ],
)
def test_whether_an_image_is_mounted(tmp_path: Path, lines: list[str], mounted: bool) -> None:
    (tmp_path / "mountinfo").write_text("".join(f"{line}\n" for line in lines))
    assert images.is_mounted(Path("/opt/vllm/0.32.0"), tmp_path / "mountinfo") is mounted


@pytest.mark.parametrize(
    ("kinds", "loop", "told"),
    [
        ("nodev\tsysfs\n\tsquashfs\n", True, ""),
        ("nodev\tsysfs\n\text4\n", True, "its kernel has no squashfs"),
        ("\tsquashfs\n", False, "no loop devices"),
    ],
)
def test_what_keeps_a_host_from_mounting_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: str, loop: bool, told: str
) -> None:
    monkeypatch.setattr(images, "_loads", lambda module: False)
    for folder in ("proc", "dev"):
        (tmp_path / folder).mkdir()
    (tmp_path / "proc/filesystems").write_text(kinds)
    if loop:
        (tmp_path / "dev/loop-control").touch()
    said = images.hindrance(tmp_path)
    assert told in said
    assert bool(said) == bool(told)


def arriving(tmp_path: Path, content: bytes = CONTENT, size: int = len(CONTENT)) -> MountJob:
    (tmp_path / "sent").write_bytes(content)
    place = tmp_path / "opt" / "0.32.0"
    return MountJob("0.32.0", "cpu", place, DIGEST, size, "a" * 64, str(tmp_path / "sent"), {}, tmp_path / "images")


def test_an_image_that_arrives_whole_lies_at_its_place(tmp_path: Path) -> None:
    job = arriving(tmp_path)
    receive(job)
    assert job.file.read_bytes() == CONTENT
    assert images.held(job.folder) == [DIGEST]
    assert not Path(job.sent).exists()


@pytest.mark.parametrize(
    ("content", "size", "told"),
    [
        (CONTENT[:-1], len(CONTENT), f"of {len(CONTENT)} bytes arrived with {len(CONTENT) - 1}"),
        (b"", len(CONTENT), "arrived with 0"),
        (CONTENT[:-1] + b"x", len(CONTENT), "what arrived is not the image"),
    ],
)
def test_what_is_not_the_image_is_used_in_no_part(tmp_path: Path, content: bytes, size: int, told: str) -> None:
    job = arriving(tmp_path, content, size)
    with pytest.raises(ImageError, match=told):
        receive(job)
    assert not job.file.exists()
    assert not list(job.folder.rglob("*.partial"))
    assert images.held(job.folder) == []


def test_a_disk_that_fills_while_it_is_copied_is_told_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = arriving(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(image_mount.os, "fsync", full)
    with pytest.raises(
        ImageError, match=r"the disk is full: the image of 0\.00 GB does not fit.*nothing of it is used"
    ):
        receive(job)
    assert [path for path in job.folder.rglob("*") if path.is_file()] == []


def test_a_kernel_that_cannot_mount_is_told_before_anything_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = arriving(tmp_path)
    monkeypatch.setattr(images, "hindrance", lambda: "its kernel has no squashfs")
    with pytest.raises(ImageError, match=r"its kernel has no squashfs.*vllm_engine_form: packages"):
        image_mount.mount(job)
    assert not job.folder.exists()
    assert not job.path.exists()


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ({}, "whose release is missing instead of 0.32.0"),
        ({"accelerator": "cuda"}, "whose accelerator is cuda instead of cpu"),
        ({"lock_sha256": "f" * 64}, "whose lock_sha256 is f"),
    ],
)
def test_an_image_of_another_engine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marker: dict[str, str], told: str
) -> None:
    job = arriving(tmp_path)
    whole = {"release": "0.32.0", "accelerator": "cpu", "lock_sha256": "a" * 64}
    monkeypatch.setattr(images, "is_mounted", lambda path: True)
    monkeypatch.setattr(image_mount, "read_marker", lambda path: {**whole, **marker} if marker else {})
    with pytest.raises(ImageError, match=told):
        image_mount._inside(job)


def lay_python(engine: Path, sources: dict[str, str]) -> None:
    (engine / "bin").mkdir(parents=True)
    (engine / "bin/python").symlink_to(sys.executable)
    for name, text in sources.items():
        path = engine / "lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


SOURCES = {f"m{number}.py": f"VALUE = {{'a', 'b', {number}}}\nNAME = 'n{number}'\n" for number in range(30)}


def compiled(engine: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in engine.rglob("*.pyc")}


def test_byte_code_is_the_same_whoever_compiles_it_and_never_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_build, "_PORTION", 7)
    found = []
    # At one path, as in the namespaces of two hosts: byte code holds it.
    for cores, when in ((1, 1_000_000_000), (4, 1_700_000_000)):
        engine = tmp_path / "engine"
        lay_python(engine, {**SOURCES, "broken.py": "def (:\n"})
        for source in engine.rglob("*.py"):
            os.utime(source, (when, when))
        monkeypatch.setattr(image_build.os, "cpu_count", lambda cores=cores: cores)
        image_build.compile_all(engine, "3")
        found.append(compiled(engine))
        engine.rename(tmp_path / f"engine-{cores}")
    assert found[0] == found[1]
    assert len(found[0]) == len(SOURCES)
    # PEP 552: flags 1, by hash and unchecked.
    assert {code[4:8] for code in found[0].values()} == {b"\x01\x00\x00\x00"}
    assert {code[:4] for code in found[0].values()} == {importlib.util.MAGIC_NUMBER}


Rendered = Callable[[str], dict[str, str]]


@pytest.mark.parametrize(("selinux", "options"), [(False, "loop,ro,nodev,nosuid"), (True, "nosuid,context=system_u:")])
def test_units_say_what_is_mounted_where(selinux: bool, options: str) -> None:
    texts = image_units.render(TEMPLATES, "0.32.0", "/opt/vllm/0.32.0", DIGEST, selinux)
    mount, check = texts["opt-vllm-0.32.0.mount"], texts["image-vllm-0.32.0.service"]
    assert f"What=/var/lib/vllm/images/{DIGEST}/engine.squashfs\n" in mount
    assert "Where=/opt/vllm/0.32.0\n" in mount
    assert options in mount
    assert "Requires=image-vllm-0.32.0.service\n" in mount
    assert "After=image-vllm-0.32.0.service\n" in mount
    assert DIGEST in check


@pytest.mark.parametrize(("content", "status"), [(CONTENT, 0), (CONTENT[:-1] + b"x", 1), (None, 1)])
def test_the_check_of_a_boot_lets_the_right_file_pass_alone(tmp_path: Path, content: bytes | None, status: int) -> None:
    path = tmp_path / "engine.squashfs"
    if content is not None:
        path.write_bytes(content)
    text = image_units.render(TEMPLATES, "0.32.0", "/opt/vllm/0.32.0", DIGEST, False)["image-vllm-0.32.0.service"]
    line = next(line for line in text.splitlines() if line.startswith("ExecStart=/bin/sh -c "))
    script = line.partition("'")[2].rpartition("'")[0].replace(str(images.file_of(DIGEST)), str(path))
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert (f"vLLM 0.32.0 is not mounted: {path} is not what it was" in done.stderr) == bool(status)


@pytest.mark.skipif(not Path("/usr/bin/systemd-analyze").exists(), reason="asks systemd itself")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    mounting(tmp_path, "0.32.0")
    names = [str(path) for path in tmp_path.iterdir()]
    done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    assert "image-vllm" not in done.stderr, done.stderr
    assert "opt-vllm" not in done.stderr, done.stderr


def test_what_uv_notes_of_its_cache_goes_with_its_line(tmp_path: Path) -> None:
    noted = tmp_path / "lib/python3.11/site-packages/jinja2-3.1.6.dist-info"
    noted.mkdir(parents=True)
    (noted / "uv_cache.json").write_text('{"timestamp":{"secs_since_epoch":1796040957}}')
    (noted / "RECORD").write_text(
        "jinja2/__init__.py,sha256=x,1\njinja2-3.1.6.dist-info/uv_cache.json,sha256=y,126\njinja2-3.1.6.dist-info/RECORD,,\n"
    )
    image_build.forget_times(tmp_path)
    assert sorted(path.name for path in noted.iterdir()) == ["RECORD"]
    assert (noted / "RECORD").read_text() == "jinja2/__init__.py,sha256=x,1\njinja2-3.1.6.dist-info/RECORD,,\n"
