"""Under UMASK 077, which hardened hosts have, everything that is made has the modes that it has under 022."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.acceptance import job as acceptance
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import build
from ansible_collections.baremetal.vllm.plugins.module_utils.gateway import lock
from ansible_collections.baremetal.vllm.plugins.module_utils.host import fileset_host, folders, labels, systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host.fileset import Directory, File, FilesetRequest
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.module_utils.units import generations, host
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import manifest, store

ME = (os.getuid(), os.getgid())
UNIT = PlannedUnit("vllm-m.service", "x", "d", name="m", release="1", weights="/w")


def public(root: Path) -> None:
    HostFile(str(root / "usr/local/libexec/helper"), "x", 0o755, False, *ME).write()


def secret(root: Path) -> None:
    HostFile(str(root / "etc/vllm/secrets/key"), "x", 0o600, True, *ME).write()


def unit_files(root: Path) -> None:
    files = (
        File(str(root / "etc/haproxy/vllm/x.cfg"), "x", 0o644, "root", "root", False, "none"),
        File(str(root / "etc/keys/x"), "x", 0o600, "root", "root", True, "none"),
    )
    request = FilesetRequest(files, (Directory(str(root / "var/lib/a/b"), 0o750, "root", "root", False),), "")
    verdict: Any = SimpleNamespace(directories=[str(root / "var/lib/a/b")])
    fileset_host.make_directories(request, verdict)


def kept(root: Path) -> None:
    number = generations.write_generation(root / "var/lib/vllm/generations", [UNIT])
    generations.set_outcome(root / "var/lib/vllm/generations", number, "active")


def weights(root: Path) -> None:
    whole = manifest.Manifest((manifest.FileEntry("deep/er/x", 1, "0" * 64),), "pushed:x")
    store.prepare({"path": str(root / "var/lib/vllm/models/pushed/m/1")}, whole, -1)
    store.write_secret(str(root / "etc/vllm/secrets/hf_token"), "x", False)


def engine(root: Path) -> None:
    job = build.BuildJob("1.0", "cpu", root / "opt/vllm/1.0", root / "bundle", "", "")
    build.alone(job.root, job.release).close()


def fleet_lock(root: Path) -> None:
    with lock._alone(root / "var/lib/vllm/rollout.json", check=False):
        lock._write(root / "var/lib/vllm/rollout.json", dict.fromkeys(lock.KEYS, ""))


def selinux(root: Path) -> None:
    labels._note(labels.Labels({"x": "y"}, {}), root)


def passed(root: Path) -> None:
    acceptance.save(root / "etc/vllm/acceptance.json", "{}")


MAKERS = (public, secret, unit_files, kept, weights, engine, fleet_lock, selinux, passed)


def made(root: Path, umask: int, maker: Callable[[Path], None]) -> dict[str, str]:
    """The mode of everything below `root`, which the maker has filled under a umask."""
    root.mkdir()
    before = os.umask(umask)
    try:
        maker(root)
    finally:
        os.umask(before)
    return {
        str(path.relative_to(root)): f"{stat.S_IMODE(path.lstat().st_mode):04o}" for path in sorted(root.rglob("*"))
    }


@pytest.fixture(autouse=True)
def _unlabelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "restore", lambda paths: None)


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, maker: Callable[[Path], None]) -> None:
    usual = made(tmp_path / "022", 0o022, maker)
    assert len(usual) > 1
    assert made(tmp_path / "077", 0o077, maker) == usual
    assert made(tmp_path / "000", 0o000, maker) == usual


def test_a_directory_that_an_earlier_run_closed_is_opened_for_a_file_that_others_read(tmp_path: Path) -> None:
    place = tmp_path / "libexec"
    file = HostFile(str(place / "helper"), "x", 0o755, False, *ME, public=True)
    file.write()
    assert not file.differs()
    place.chmod(0o700)
    assert file.differs()
    file.write()
    assert stat.S_IMODE(place.stat().st_mode) == 0o755
    place.chmod(0o750)
    assert not HostFile(file.path, "x", 0o755, False, *ME).differs(), (
        "what others need not read may lie behind a closed door"
    )


def test_a_start_whose_helper_cannot_be_read_says_so_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.make(tmp_path / "libexec", 0o700)
    said = f"/opt/vllm/1.0/bin/python: can't open file '{tmp_path}/libexec/wait': [Errno 13] Permission denied"
    lines = ["Application startup complete.", said, "vllm-m.service: Main process exited, code=killed, status=15/TERM"]
    monkeypatch.setattr(systemd, "journal", lambda *_args, **_kwargs: lines)
    state: Any = SimpleNamespace(
        since=0, restarts=1, job="", active="failed", sub="failed", running=False, asserted=True, invocation="i",
        result="exit-code", exit_status="15",
    )  # fmt: skip
    found = host.progress("vllm-m.service", state)
    assert found.state == "failed"
    assert found.cause.startswith(said)
    assert "(mode 0700) keeps the engines' user out: chmod o+x" in found.cause
