"""What is wrong with a bundle: every file that is missing, superfluous, or not what the manifest says."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.weights.manifest import FileEntry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.manifest import FILE, Bundle, read_through

# Files that the plan reads are read whole even where only sizes are compared; in bytes.
SMALL = 1 << 20


def there(directory: Path) -> Iterator[str]:
    """Everything below a directory that is no directory, by its relative path, hidden files too, in order. Raises OSError."""

    def stop(error: OSError) -> None:
        raise error

    found = []
    for folder, names, files in os.walk(directory, onerror=stop):
        links = [name for name in names if os.path.islink(os.path.join(folder, name))]
        found += [os.path.relpath(os.path.join(folder, name), directory) for name in (*files, *links)]
    yield from sorted(found)


def nothing(size: int) -> None:
    """Take what was read, and say nothing of it."""


def faults(
    directory: Path, bundle: Bundle, *, content: bool = True, seen: Callable[[int], None] = nothing
) -> list[str]:
    """Every fault, by file name and in the order of names; none of a bundle that is whole.

    Without `content` only sizes are compared, and of files up to SMALL the bytes. `seen`: is told of the bytes that were read.
    """
    wanted = bundle.files
    try:
        superfluous = [path for path in there(directory) if path not in wanted and path != FILE]
    except OSError as error:
        return [f"{error.filename}: cannot be read ({error.strerror})"]
    found = dict.fromkeys(superfluous, "is not in the manifest")
    for path, entry in wanted.items():
        if why := fault(directory / path, entry, content=content or entry.size <= SMALL, seen=seen):
            found[path] = why
    return [f"{path}: {found[path]}" for path in sorted(found)]


def fault(path: Path, entry: FileEntry, *, content: bool = True, seen: Callable[[int], None] = nothing) -> str:
    """What is wrong with one file, a clause; "" of one that is as listed."""
    try:
        state = path.lstat()
        if not stat.S_ISREG(state.st_mode):
            return "is no regular file"
        if state.st_size != entry.size:
            return f"has {state.st_size} bytes instead of {entry.size}"
        if not content:
            return ""
        found = read_through(path, seen)[0]
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "" if found == entry.sha256 else f"its content was changed (SHA-256 {found[:12]}, not {entry.sha256[:12]})"
