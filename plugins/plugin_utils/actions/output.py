"""Files of the control node that an operator has named for us to write: one writer for all of them.

What is there decides. A file is replaced whole or not at all and keeps its mode and owner, behind a symbolic link too; a device
or a pipe is written to. Ansible runs actions in processes whose standard output is /dev/null (`WorkerProcess._detach`,
ansible/executor/process/worker.py of 2.19 to 2.21), so what is meant for the terminal goes through Ansible.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import stat
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.utils.display import Display
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.refusal import refusal
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Result

_STDOUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_STDERR = ("/dev/stderr", "/dev/fd/2", "/proc/self/fd/2")
_DESCRIPTORS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")
# Seconds for whoever reads a pipe to open it.
_READER = 10.0
_ANOTHER = "Name another file"


def unwritable(path: str) -> tuple[str, str]:
    """Why nothing could be written there, and what to do; two empty texts where it can be. Nothing is touched."""
    if path in (*_STDOUT, *_STDERR):
        return "", ""
    if not path.strip():
        return "is empty", "Name a file, or leave it out"
    try:
        mode = _mode(path)
    except (OSError, ValueError) as error:
        return f"{path!r} cannot be looked at ({getattr(error, 'strerror', None) or error})", _ANOTHER
    if mode is None:
        folder = Path(os.path.realpath(path)).parent
        if not folder.exists():
            return f"the folder {folder} is not there", f"Make it: mkdir -p {shlex.quote(str(folder))}"
        writable = os.access(folder, os.W_OK | os.X_OK)
        return ("", "") if writable else (f"you may not write into the folder {folder}", _ANOTHER)
    if stat.S_ISDIR(mode):
        return f"{path} is a folder", "Name a file in it"
    if stat.S_ISSOCK(mode):
        return f"{path} is a socket", "Name a file or a pipe"
    return ("", "") if os.access(path, os.W_OK) else (f"you may not write {path}", _ANOTHER)


def _mode(path: str) -> int | None:
    """What is there, behind symbolic links; None for nothing. Raises OSError and ValueError where that cannot be told."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def write_output(name: str, path: str, text: str, *, check_mode: bool = False, diff: bool = False) -> Result:
    """Write `text` where the variable `name` says, not in check mode; an action's `changed` and `path`, and `diff` on request.

    `changed` tells of a regular file's content; what a device or a pipe got has changed nothing. Raises Refusal, which names the
    variable, where it cannot be written.
    """
    reason, remedy = unwritable(path)
    if reason:
        raise refusal(f"{name}: {reason}. {remedy}.")
    try:
        return _write(path, text, check_mode, diff)
    except OSError as error:
        raise refusal(f"{name}: {path} cannot be written: {error.strerror or error}.") from None


def json_text(content: Any) -> str:
    """A document as it is written to a file, ending with a line break."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _write(path: str, text: str, check_mode: bool, diff: bool) -> Result:
    data, mode = text.encode("utf-8", "surrogateescape"), _mode(path)
    # What a shell has opened for us is its own business, even where it is a file.
    streamed = path.startswith(_DESCRIPTORS) or (mode is not None and not stat.S_ISREG(mode))
    before = b"" if streamed or mode is None else Path(path).read_bytes()
    changed = not streamed and (mode is None or before != data)
    if streamed and not check_mode:
        _stream(path, text, data)
    elif changed and not check_mode:
        _replace(Path(os.path.realpath(path)), data)
    result: Result = {"changed": changed, "path": path}
    if diff and not streamed:
        shown = before.decode("utf-8", "replace")
        result["diff"] = {"before": shown, "after": text, "before_header": path, "after_header": path}
    return result


def _stream(path: str, text: str, data: bytes) -> None:
    if path in (*_STDOUT, *_STDERR):
        Display().display(text.removesuffix("\n"), stderr=path in _STDERR)
        return
    descriptor = _opened(path)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


def _opened(path: str) -> int:
    """A device or pipe for writing. A pipe's reader may be a moment late; without one the run would stand still for ever."""
    until = time.monotonic() + _READER
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > until:
                raise OSError(errno.ENXIO, "nobody reads this pipe") from None
            time.sleep(0.05)
            continue
        os.set_blocking(descriptor, True)
        return descriptor


def _replace(path: Path, data: bytes) -> None:
    found = path.stat() if path.exists() else None
    if found is not None and (found.st_nlink > 1 or not os.access(path.parent, os.W_OK | os.X_OK)):
        # Another name of it would keep the old content, or there is no room for a draft beside it.
        path.write_bytes(data)
        return
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        if found is None:
            os.chmod(draft, 0o666 & ~_umask())
        else:
            os.chmod(draft, stat.S_IMODE(found.st_mode))
            if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
                os.chown(draft, found.st_uid, found.st_gid)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def _umask() -> int:
    """What this process would take from a new file's mode (it can only be read by setting it)."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
