"""Fetches pinned models from a hub, as a process of its own: `python -m …hub_fetch JOB.json STATUS.json LOCK`.

It runs with the engine's Python (which has `huggingface_hub`), goes on when the control node goes away, and holds the
lock as long as it lives. Each model is fetched beside its target, checked against what the hub states, and renamed into
place.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, Protocol, TypedDict
from urllib.parse import urlsplit

from ansible_collections.baremetal.vllm.plugins.module_utils.weights import manifest as mf
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.hub_errors import HubError, explain
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.selection import needed_files
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.space import REMEDY, held_bytes, shortage

TRIES = 4
# Larger files are not served over plain HTTP, only with the library's Xet protocol, which resumes by whole files.
HTTP_LIMIT = 50 * 10**9
# Where large files grow, inside the staging directory.
PARTIAL = ".partial"


class FetchError(Exception):
    """A model cannot be had; the text is one line for the operator."""


class NetworkError(Exception):
    """Something did not arrive; worth another try."""


def staging_of(path: str) -> str:
    """Where a model grows before it is renamed: beside its target, so that the rename is one step."""
    folder, name = os.path.split(path.rstrip("/"))
    return os.path.join(folder, f".staging-{name}")


class HubLfs(Protocol):
    """What a hub states of a large file."""

    sha256: str


class HubFile(Protocol):
    """What a hub states of one file of a repository: `size` in bytes, `blob_id` as git has it; `lfs` None for a small one."""

    size: int
    lfs: HubLfs | None
    blob_id: str


class WantedModel(TypedDict):
    """One model of an order; `path` is where it is to lie."""

    repo: str
    revision: str
    path: str


class _Order(TypedDict):
    endpoint: str
    store: str
    items: list[WantedModel]


class Order(_Order, total=False):
    """What a process is asked to fetch from the hub at `endpoint`, without a slash at its end, into the directory `store`.

    `reserved`: bytes of its disk that others need; `pause`: seconds between tries; `workers`: files at once; `token_file`: where
    a token lies, "" for none; `remedy`: what helps beside making room where the disk is too small.
    """

    reserved: int
    pause: float
    workers: int
    token_file: str
    remedy: str


class Item:
    """One model of the job: what is wanted, what the hub states, how far it is."""

    def __init__(self, wanted: WantedModel) -> None:
        self.repo = wanted["repo"]
        self.revision = wanted["revision"]
        self.path = wanted["path"]
        self.staging = staging_of(self.path)
        self.files: dict[str, HubFile] = {}
        self.state = "waiting"
        self.done = 0

    @property
    def total(self) -> int:
        """Bytes of all its files, by what the hub states; 0 before the hub was asked."""
        return sum(int(file.size) for file in self.files.values())

    def measure(self) -> int:
        """Bytes that have arrived, of those in the staging directory; once it is done, what counted last."""
        if self.state != "done":
            self.done = min(held_bytes(self.staging), self.total)
        return self.done

    def shown(self) -> dict[str, object]:
        """Its line of the status file, as JSON: sizes in bytes, measured now."""
        return {
            "repo": self.repo,
            "revision": self.revision,
            "path": self.path,
            "state": self.state,
            "total": self.total,
            "done": self.measure(),
        }


class FetchJob:
    """All models that one host still needs."""

    def __init__(self, order: Order, status_path: str) -> None:
        self.endpoint: str = order["endpoint"]
        self.store: str = order["store"]
        self.reserved: int = int(order.get("reserved", 0))
        self.pause: float = float(order.get("pause", 5.0))
        self.workers: int = int(order.get("workers", 8))
        self.remedy: str = order.get("remedy", REMEDY)
        self.items = [Item(wanted) for wanted in order["items"]]
        self.token: Any = _token(order.get("token_file", ""))
        self.status_path = status_path
        self.errors: list[str] = []
        self.started = time.time()
        self.finished = False

    def report(self) -> None:
        """Write the status file in one step; whoever polls never sees half of it."""
        state = "running" if not self.finished else ("failed" if self.errors else "done")
        status = {
            "state": state,
            "pid": os.getpid(),
            "started": self.started,
            "items": [item.shown() for item in self.items],
            "errors": self.errors,
        }
        with open(self.status_path + ".new", "w", encoding="utf-8") as stream:
            json.dump(status, stream)
        os.rename(self.status_path + ".new", self.status_path)

    def run(self) -> None:
        """List all, check the space for all, then fetch one after the other; an error ends only its own model."""
        for item in self.items:
            self._attempt(item, "listing", self._list)
        listed = [item for item in self.items if item.state != "failed"]
        missing = self.reserved + sum(item.total - item.measure() for item in listed)
        lack = shortage(self.store, missing, remedy=self.remedy)
        if lack is not None:
            self.errors.append(lack)
        else:
            for item in listed:
                self._attempt(item, "fetching", self._fetch)
        self.finished = True

    def _attempt(self, item: Item, state: str, work: Any) -> None:
        """Do one step, again after network errors as long as something arrives in between."""
        tries = 0
        while True:
            item.state = state
            before = item.measure()
            try:
                work(item)
                return
            except FetchError as error:
                found = HubError("other", f"{item.repo}@{item.revision[:12]}: {error}")
            except Exception as error:
                found = explain(error, item.repo, item.revision, self.endpoint, bool(self.token))
            tries = 1 if item.measure() > before else tries + 1
            # The library itself asks five times for the list of files.
            if found.kind != "network" or tries >= TRIES or state == "listing":
                item.state = "failed"
                self.errors.append(found.text)
                return
            item.state = "interrupted"
            time.sleep(self.pause * tries)

    def _list(self, item: Item) -> None:
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.endpoint, token=self.token)
        tree: list[Any] = list(api.list_repo_tree(item.repo, revision=item.revision, recursive=True))
        files = {entry.path: entry for entry in tree if hasattr(entry, "blob_id")}
        item.files = {path: files[path] for path in needed_files(list(files))}
        unsafe = [path for path in item.files if not mf.is_safe(path)]
        if unsafe:
            raise FetchError(f"the repository names a file outside itself: {unsafe[0]!r}")
        if not item.files:
            raise FetchError("the repository has no files that an engine could use")

    def _fetch(self, item: Item) -> None:
        from huggingface_hub import snapshot_download

        _take_up(item)
        large = [path for path, file in item.files.items() if file.lfs and int(file.size) <= HTTP_LIMIT]
        others = [glob.escape(path) for path in item.files if path not in large]
        for last in (False, True):
            item.state = "fetching"
            # An empty list of patterns would mean every file.
            if others:
                snapshot_download(
                    item.repo,
                    revision=item.revision,
                    local_dir=item.staging,
                    allow_patterns=others,
                    endpoint=self.endpoint,
                    token=self.token,
                    max_workers=self.workers,
                )
            with ThreadPoolExecutor(self.workers) as pool:
                waiting = [pool.submit(self._large, item, path) for path in large]
                try:
                    for one in as_completed(waiting):
                        one.result()
                finally:
                    pool.shutdown(wait=True, cancel_futures=True)
            item.state = "checking"
            entries, wrong = check(item.staging, item.files)
            if not wrong:
                break
            for path in wrong:
                discard(item.staging, path)
            if last:
                raise FetchError(
                    f"{next(iter(wrong.values()))} ({len(wrong)} files wrong, fetched twice); the hub, or a proxy or "
                    "mirror in between, changes the content: check model_weights_endpoint"
                )
        finish(item, entries, self.endpoint)

    def _large(self, item: Item, path: str) -> None:
        """Fetch one large file with the library's HTTP part, from the byte where an earlier attempt ended.

        The library's own download functions start such a file anew in every process.
        """
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        target, partial = os.path.join(item.staging, path), os.path.join(item.staging, PARTIAL, path)
        size = int(item.files[path].size)
        if os.path.exists(target) and os.path.getsize(target) == size:
            return
        for folder in (os.path.dirname(target), os.path.dirname(partial)):
            os.makedirs(folder, exist_ok=True)
        if os.path.exists(partial) and os.path.getsize(partial) > size:
            os.unlink(partial)
        url = hf_hub_url(item.repo, path, revision=item.revision, endpoint=self.endpoint)
        location = get_hf_file_metadata(url, token=self.token, endpoint=self.endpoint).location
        same_host = urlsplit(location).netloc == urlsplit(self.endpoint).netloc
        try:
            with open(partial, "ab") as stream:
                http_get(
                    location,
                    stream,
                    resume_size=stream.tell(),
                    # A token goes to the hub, never to the content network that the hub points to.
                    headers=build_hf_headers(token=self.token if same_host else False),
                    expected_size=size,
                )
        except Exception as error:
            if not same_host and getattr(getattr(error, "response", None), "status_code", 0) == 403:
                # The hub signs such addresses for about an hour.
                raise NetworkError("the address of the file has expired") from None
            raise
        os.rename(partial, target)


def _token(path: str) -> Any:
    """The token of the root-only file, or False: then none is sent, whatever lies in the environment."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read().strip() or False
    except OSError:
        return False


def _take_up(item: Item) -> None:
    """Start from what lies at the target without a manifest, damaged or copied by hand: good files are kept."""
    os.makedirs(os.path.dirname(item.path), mode=0o755, exist_ok=True)
    if os.path.isdir(item.path):
        if os.path.isdir(item.staging):
            shutil.rmtree(item.path)
        else:
            os.rename(item.path, item.staging)
    os.makedirs(item.staging, exist_ok=True)
    leftovers = glob.glob(os.path.join(glob.escape(item.staging), ".cache", "**", "*.incomplete"), recursive=True)
    for path in (os.path.join(item.staging, mf.MANIFEST), *leftovers):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def check(staging: str, files: Mapping[str, HubFile]) -> tuple[list[mf.FileEntry], dict[str, str]]:
    """Compare with what the hub states: SHA-256 of LFS files, the git blob's SHA-1 of the others.

    Returns the entries for the manifest and {path: what is wrong}. Raises NetworkError where a file is missing: the
    library returns without an error when it loses the hub and the directory is not empty.
    """
    entries, wrong = [], {}
    for path, stated in files.items():
        try:
            sha256, blob = mf.hash_file(os.path.join(staging, path), sync=True)
        except FileNotFoundError:
            raise NetworkError(f"{path} did not arrive") from None
        found, expected = (sha256, stated.lfs.sha256) if stated.lfs else (blob, stated.blob_id)
        if found != expected:
            wrong[path] = f"{path}: checksum {found}, the hub states {expected}"
        entries.append(mf.FileEntry(path, os.path.getsize(os.path.join(staging, path)), sha256))
    return entries, wrong


def discard(staging: str, path: str) -> None:
    """Remove a wrong file and what the library remembers about it, so that it is fetched again."""
    remembered = os.path.join(staging, ".cache", "huggingface", "download", path + ".metadata")
    for name in (os.path.join(staging, path), remembered):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def finish(item: Item, entries: list[mf.FileEntry], endpoint: str) -> None:
    """Leave exactly the model's files, world-readable, with their manifest, and rename them into place."""
    for folder in (".cache", PARTIAL):
        shutil.rmtree(os.path.join(item.staging, folder), ignore_errors=True)
    wanted = {entry.path for entry in entries}
    for folder, names, files in os.walk(item.staging):
        for name in names:
            os.chmod(os.path.join(folder, name), mf.FOLDER_MODE)
        for name in files:
            path = os.path.join(folder, name)
            if os.path.relpath(path, item.staging) in wanted:
                os.chmod(path, 0o644)
            else:
                os.unlink(path)
    os.chmod(item.staging, mf.FOLDER_MODE)
    mf.write(item.staging, mf.Manifest(tuple(entries), f"{endpoint}/{item.repo}@{item.revision}"))
    item.done = item.total
    os.rename(item.staging, item.path)
    item.state = "done"


def environment(endpoint: str, home: str) -> dict[str, str]:
    """What the library reads from its environment when it is imported."""
    return {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": home,
        "HF_HUB_OFFLINE": "0",
        "TRANSFORMERS_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    }


def main(arguments: list[str]) -> int:
    """Fetch what the order asks for; `arguments`: paths of order, status and lock.

    Returns the exit status: 0 where all arrived, 1 where something did not, 3 where another run holds the lock.
    """
    order_path, status_path, lock_path = arguments
    # Held until the process ends, however it ends.
    lock = open(lock_path, "a", encoding="utf-8")  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return 3
    os.umask(0o022)
    with open(order_path, encoding="utf-8") as stream:
        order = json.load(stream)
    job = FetchJob(order, status_path)
    job.report()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(1.0):
            job.report()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        job.run()
    except Exception as error:
        job.errors.append(f"{type(error).__name__}: {error}")
        job.finished = True
    ended.set()
    watcher.join()
    job.report()
    return 1 if job.errors else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
