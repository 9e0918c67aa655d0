"""Bringing an engine to its place as an image, and taking it away. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import images
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.build import alone
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.installed import (
    MARKER,
    STAGING,
    Marker,
    is_ours,
    is_whole,
    read_marker,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders, systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile
from ansible_collections.baremetal.vllm.plugins.module_utils.host.systemd import SystemdError

_BLOCK = 1 << 20


class ImageError(RuntimeError):
    """An image that was not mounted; the text is for the person at the terminal."""


@dataclass(frozen=True)
class MountJob:
    """What to mount: the release's directory, what its image must be, and where the file was sent ('' where it lies here).

    `units`: by name the texts of the mount unit and the one that checks the file before it.
    """

    release: str
    accelerator: str
    path: Path
    digest: str
    size: int
    lock_sha256: str
    sent: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    folder: Path = images.IMAGES

    @property
    def file(self) -> Path:
        """Where the image lies."""
        return images.file_of(self.digest, self.folder)


def receive(job: MountJob) -> None:
    """Take the file that was sent, reading it once: it is at its place only if it is what was asked for. Raises ImageError."""
    if not job.sent:
        if said := images.problem(job.digest, job.folder):
            raise ImageError(said)
        return
    source, partial = Path(job.sent), job.file.with_name(f".{images.FILE}.partial")
    found = source.stat().st_size
    if found != job.size:
        raise ImageError(f"the image of {job.size} bytes arrived with {found}: run again, it is sent anew")
    folders.make(job.file.parent)
    value = hashlib.sha256()
    try:
        with (
            source.open("rb") as read,
            os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as write,
        ):
            for block in iter(lambda: read.read(_BLOCK), b""):
                value.update(block)
                write.write(block)
            write.flush()
            os.fsync(write.fileno())
        if value.hexdigest() != job.digest:
            raise ImageError(
                f"what arrived is not the image {job.digest[:12]}… but {value.hexdigest()[:12]}…: build it anew"
                " (playbooks/image.yml), or find out how the file got there"
            )
        partial.chmod(0o444)
        partial.replace(job.file)
        images.note_checked(job.file)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ImageError(
                f"the disk is full: the image of {job.size / 1e9:.2f} GB does not fit into {job.folder}. Free some"
                " space; nothing of it is used"
            ) from error
        raise
    finally:
        partial.unlink(missing_ok=True)
        source.unlink(missing_ok=True)


def mount(job: MountJob) -> Marker:
    """Check the image, mount it at the release's directory in the place of what is there, and return the marker inside.

    What was there is removed last; where the mount fails it is put back. Raises ImageError, SystemdError, OSError.
    """
    if said := images.hindrance():
        raise ImageError(f"this host cannot mount images: {said}; or set vllm_engine_form: packages")
    if job.path.exists() and not is_ours(job.path):
        raise ImageError(f"{job.path} is there and not an installation of this collection: move it away")
    receive(job)
    # Its file is the sign that this directory is ours: of a mount point that nothing is mounted on it is the only one.
    with alone(job.path.parent, job.release):
        return _mount(job)


def _mount(job: MountJob) -> Marker:
    unmount(job.path)
    before = job.path.with_name(f"{STAGING}{job.path.name}")
    shutil.rmtree(before, ignore_errors=True)
    if job.path.exists():
        job.path.rename(before)
    try:
        folders.make(job.path)
        for name, text in job.units.items():
            HostFile(str(images.UNITS / name), text, 0o644).write()
        systemd.run(["systemctl", "daemon-reload"])
        systemd.run(["systemctl", "enable", "--now", images.mount_unit(str(job.path))], timeout=900)
        marker = _inside(job)
    except (ImageError, SystemdError, OSError) as error:
        with contextlib.suppress(SystemdError, OSError):
            unmount(job.path)
            _remove_units(job.path)
            job.path.rmdir()
            if before.exists():
                before.rename(job.path)
        if isinstance(error, SystemdError):
            raise ImageError(f"the image was not mounted: {error}; {_journal(job)}") from error
        raise
    shutil.rmtree(before, ignore_errors=True)
    remove_idle(job.folder)
    return marker


def _inside(job: MountJob) -> Marker:
    """The marker of a mounted image; raises ImageError where it is another engine than asked for, or not one at all."""
    if not images.is_mounted(job.path):
        raise ImageError(f"nothing is mounted at {job.path}")
    marker = read_marker(job.path)
    wanted = {"release": job.release, "accelerator": job.accelerator, "lock_sha256": job.lock_sha256}
    for key, value in wanted.items():
        if marker.get(key) != value:
            raise ImageError(
                f"the image holds an engine whose {key} is {marker.get(key) or 'missing'} instead of {value}"
            )
    if not is_whole(job.path):
        link = os.readlink(job.path / "bin" / "python") if os.path.islink(job.path / "bin" / "python") else "bin/python"
        raise ImageError(
            f"the image asks for a Python that this host lacks ({link}): install it, or set vllm_engine_form: packages"
        )
    return marker


def _journal(job: MountJob) -> str:
    said = [line for line in systemd.journal(images.check_unit(job.release), lines=5) if "vLLM" in line]
    return said[-1] if said else f"journalctl -u {images.mount_unit(str(job.path))}"


def unmount(path: Path) -> None:
    """End what is mounted at a release's directory by our unit; nothing where there is none. Raises SystemdError."""
    unit = images.mount_unit(str(path))
    if images.digest_in(images.UNITS / unit):
        systemd.run(["systemctl", "disable", "--now", unit])


def _remove_units(path: Path) -> None:
    for name in (images.mount_unit(str(path)), images.check_unit(path.name)):
        (images.UNITS / name).unlink(missing_ok=True)
    systemd.run(["systemctl", "daemon-reload"])


def remove(path: Path) -> None:
    """Take an engine away that is mounted from an image: its mount, its units, the empty directory.

    Raises SystemdError, OSError.
    """
    unmount(path)
    _remove_units(path)
    if path.is_dir() and not (path / MARKER).exists():
        path.rmdir()


def remove_idle(folder: Path = images.IMAGES) -> list[str]:
    """Remove the files of images that no mount unit names any more, and return their digests."""
    gone = images.idle(images.UNITS, folder)
    for digest in gone:
        shutil.rmtree(folder / digest)
    return gone
