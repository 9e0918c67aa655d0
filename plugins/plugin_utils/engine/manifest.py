"""What a wheelhouse says of itself, in the file that is written last."""

from __future__ import annotations

from typing import TypedDict


class Manifest(TypedDict, total=False):
    """Every key is there in a finished wheelhouse, none in another one.

    `format`: 1; `python`: its minor release, 3.12; `inputs`: the digest of all that was asked for; `uv` and `python_archive`:
    files of the wheelhouse, the latter "" without a Python; `files`: bytes by path below it; `unpacked_bytes`: of all wheels,
    once they are installed; `finished_at`: ISO 8601.
    """

    format: int
    release: str
    accelerator: str
    python: str
    arch: str
    glibc: str
    inputs: str
    lock_sha256: str
    uv: str
    python_archive: str
    files: dict[str, int]
    unpacked_bytes: int
    finished_at: str
