"""What a bundle says of itself, in the file `bundle.json` that is written last.

<directory>/bundle.json                                        this
<directory>/images/0.33.0-cuda-py3.12-x86_64/                  an image, as plugin_utils/engine/store.py keeps it
<directory>/wheelhouses/0.33.0-cuda-py3.12-x86_64/             a wheelhouse, as plugin_utils/engine/prepare.py leaves it
<directory>/weights/hub/models--ORG--NAME/<commit>/            a hub's model
<directory>/weights/pushed/<name>/<digest>/                    a directory that is pushed
<directory>/warm/<key>/                                        a compile cache, as plugin_utils/warm/store.py keeps it

It guards against accidents: who can write the directory can write a manifest that fits. The digest, compared with the one that
was printed when it was written, tells those two apart.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.weights.manifest import CHUNK, FileEntry, is_safe
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import build, json_form

FILE = "bundle.json"
# What is known of a bundle that is being written.
DRAFT = ".bundle.draft.json"
VERSION = 1
IMAGES, WHEELHOUSES, WEIGHTS, WARM = "images", "wheelhouses", "weights", "warm"
FOLDERS = (IMAGES, WHEELHOUSES, WEIGHTS, WARM)
KINDS = ("image", "wheelhouse", "hub", "pushed", "cache")


class BundleError(ValueError):
    """A directory that is no bundle to use; the text is one line, with its remedy."""


class OtherVersionError(BundleError):
    """A bundle that another release of this collection wrote, in a form that is not known here."""


@dataclass(frozen=True)
class Part:
    """One thing that a fleet needs. `kind`: one of KINDS; `path`: its directory in the bundle; `files`: by path below that.

    `about` says what it is: release, accelerator, arch, python and build of an engine; model and revision from a hub; from (the
    control node's directory) and digest of what is pushed; key, release, accelerator and model of a cache.
    """

    kind: str
    path: str
    about: Mapping[str, str]
    files: tuple[FileEntry, ...]

    @property
    def name(self) -> str:
        """As a person calls it: `image 0.33.0-cuda-py3.12-x86_64`, `Org/Name@0123456789ab`, `/srv/models/mine`."""
        if self.kind == "hub":
            return f"{self.about['model']}@{self.about['revision'][:12]}"
        if self.kind == "pushed":
            return self.about["from"]
        return f"{self.kind} {self.path.rpartition('/')[2][:40]}"

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(entry.size for entry in self.files)


@dataclass(frozen=True)
class Bundle:
    """All parts, in the order of their paths; `made`: when it was finished, ISO 8601."""

    parts: tuple[Part, ...]
    made: str = ""
    version: int = VERSION

    @property
    def digest(self) -> str:
        """SHA-256 of all that the manifest says."""
        canonical = json.dumps(json_form(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(part.size for part in self.parts)

    @property
    def files(self) -> dict[str, FileEntry]:
        """Every file by its path below the bundle's directory."""
        return {f"{part.path}/{entry.path}": entry for part in self.parts for entry in part.files}

    def part(self, kind: str, **about: str) -> Part | None:
        """The part of a kind about which all of this is said; None where there is none."""
        wanted = about.items()
        return next((part for part in self.parts if part.kind == kind and wanted <= part.about.items()), None)

    def text(self) -> str:
        """The JSON of `bundle.json`."""
        return json.dumps({**json_form(self), "digest": self.digest}, indent=1, sort_keys=True) + "\n"


def parse(text: str, name: str) -> Bundle:
    """The bundle of a manifest. Raises BundleError where that is none, of another version, or contradicts its own digest."""
    try:
        data: Any = json.loads(text)
        stated, version = data["digest"], data["version"]
        bundle = build(Bundle, data) if version == VERSION else Bundle(())
        made = bundle.digest
        paths = [path for part in bundle.parts for path in (part.path, *(entry.path for entry in part.files))]
        sound = all(part.kind in KINDS and part.name for part in bundle.parts) and all(map(is_safe, paths))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BundleError(f"{name} cannot be read: it was changed, or is not whole") from None
    if version != VERSION:
        raise OtherVersionError(f"{name} is of version {version!r}: another release of this collection wrote it")
    if stated != made:
        raise BundleError(
            f"{name} says the digest {str(stated)[:12]}, and what it lists makes {made[:12]}: it was changed"
        )
    if not sound:
        raise BundleError(f"{name} names what a bundle cannot hold")
    return bundle


def read(directory: Path) -> Bundle:
    """The manifest of a directory; no other file of it is read. Raises BundleError."""
    try:
        text = (directory / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        if not directory.is_dir():
            raise BundleError(f"{directory} is no directory here: is the stick mounted?") from None
        why = "the bundle is not finished" if (directory / DRAFT).exists() else "it is no bundle"
        raise BundleError(f"{directory} has no {FILE}: {why}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it was changed"
        raise BundleError(f"{directory / FILE} cannot be read: {reason}") from None
    return parse(text, str(directory / FILE))


def known(directory: Path) -> Bundle | None:
    """What is known of a bundle that may be half written: its manifest, else its draft; None where neither can be read.

    Raises OtherVersionError.
    """
    begun = False
    for name in (FILE, DRAFT):
        try:
            return parse((directory / name).read_text(encoding="utf-8"), str(directory / name))
        except FileNotFoundError:
            continue
        except OtherVersionError:
            raise
        except (OSError, UnicodeDecodeError, BundleError):
            # What it was to say is worked out anew.
            begun = True
    return Bundle(()) if begun else None


def write(directory: Path, bundle: Bundle, name: str = FILE) -> None:
    """Put a manifest in its place in one step; it is on the disk when this returns."""
    new = directory / f"{DRAFT}.new"
    with new.open("w", encoding="utf-8") as stream:
        stream.write(bundle.text())
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(directory / name)


def read_through(path: Path, seen: Callable[[int], None], into: Any = None) -> tuple[str, int]:
    """SHA-256 and bytes of a file that is read once; `seen` is told the bytes of each piece, `into` (a binary stream) gets them.

    Raises OSError.
    """
    whole, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            whole.update(piece)
            if into is not None:
                into.write(piece)
            size += len(piece)
            seen(len(piece))
    return whole.hexdigest(), size


def disk_sentence(error: OSError, directory: Path) -> str:
    """What went wrong with a disk, in a sentence with its remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{directory}: the disk is full. Make room, and run again: what is there is kept"
    if error.errno == errno.EFBIG:
        return f"{directory}: its file system takes no file so large (FAT has 4 GB): format the stick as exFAT or ext4"
    if error.errno == errno.EROFS:
        return f"{directory} is read-only: mount it for writing"
    return f"{error.filename or directory}: {error.strerror or error}"
