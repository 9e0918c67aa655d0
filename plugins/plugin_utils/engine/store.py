"""Images of engines on the control node: one directory for each release, accelerator, Python and architecture.

<directory>/0.32.0-cpu-py3.11-x86_64/<digest>.squashfs   the image, by its SHA-256
<directory>/0.32.0-cpu-py3.11-x86_64/<digest>.cdx.json   its bill of materials
<directory>/0.32.0-cpu-py3.11-x86_64/requirements.lock   what it was built from
<directory>/0.32.0-cpu-py3.11-x86_64/image.json          which image counts, written last
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import lock
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.images import KIND
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import bom
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.prepare import LOCK
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import default_images

MANIFEST = "image.json"


class ImageError(ValueError):
    """An image that cannot be kept or used; the text says what to do."""


@dataclass(frozen=True)
class Image:
    """One image. `python` is a minor release; `interpreter` the Python of the host that it asks for, "" where it holds its own;
    `glibc` the oldest that it is for; `size` in bytes; `tool` what wrote the file system; `file` where it lies."""

    release: str
    accelerator: str
    build: str
    arch: str
    python: str
    interpreter: str
    glibc: str
    lock_sha256: str
    digest: str
    size: int
    tool: str
    file: Path

    @property
    def name(self) -> str:
        """As the directory of a wheelhouse for the same engine is called."""
        return f"{self.release}-{self.build or self.accelerator}-py{self.python}-{self.arch}"


def find(directory: Path, release: str, accelerator: str, arch: str, build: str = "") -> list[Image]:
    """The images of a release that lie whole in a directory, the newest Python first; `build` a build for ROCm."""
    found = [_read(path) for path in directory.glob(f"{release}-{build or accelerator}*-py*-{arch}/{MANIFEST}")]
    wanted = (release, accelerator, arch)
    fitting = [image for image in found if image and (image.release, image.accelerator, image.arch) == wanted]
    if build:
        fitting = [image for image in fitting if image.build == build]
    return sorted(fitting, key=lambda image: [int(part) for part in image.python.split(".")], reverse=True)


def _read(path: Path) -> Image | None:
    """An image by its manifest; None where that cannot be read, or the file is not there in its size."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        image = Image(**said, file=path.with_name(f"{said['digest']}.{KIND}"))
        return image if image.file.stat().st_size == image.size else None
    except (OSError, ValueError, TypeError, LookupError):
        return None


def keep(directory: Path, image: Image, lock_text: str) -> Path:
    """Put an image into the store with its bill of materials and its lock, and return its directory.

    The image of the same name before it goes. Raises ImageError where the file is not what its manifest says, and OSError.
    """
    found = lock.sha256_of(image.file)
    if found != image.digest:
        raise ImageError(f"what came from the host is {found[:12]}… and not the image {image.digest[:12]}…: run again")
    if lock.digest(lock_text) != image.lock_sha256:
        raise ImageError("the lock has changed while the image was built: run again")
    place = directory / image.name
    place.mkdir(parents=True, exist_ok=True)
    (place / MANIFEST).unlink(missing_ok=True)
    (place / LOCK).write_text(lock_text, encoding="utf-8")
    (place / f"{image.digest}.cdx.json").write_text(bom.render(image, lock.parse_lock(lock_text)), encoding="utf-8")
    image.file.replace(place / f"{image.digest}.{KIND}")
    said = {key: value for key, value in asdict(image).items() if key != "file"}
    draft = place / f".{MANIFEST}.draft"
    draft.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(place / MANIFEST)
    for other in place.iterdir():
        if other.name.endswith((f".{KIND}", ".cdx.json")) and not other.name.startswith(image.digest):
            other.unlink()
    return place


def directory_of(asked: Mapping[str, object]) -> Path:
    """Where the images lie that a task's arguments (or a host's variables, by the same key) mean."""
    return Path(str(asked.get("images") or default_images())).expanduser()


def command(release: str, accelerator: str) -> str:
    """The command that builds an image, to be run as it stands but for the names of inventory and host."""
    given = {"image_release": release, "image_accelerator": accelerator}
    words = [f"-e {shlex.quote(f'{key}={value}')}" for key, value in given.items()]
    return " ".join(["ansible-playbook baremetal.vllm.image -i INVENTORY -e image_host=HOST", *words])
