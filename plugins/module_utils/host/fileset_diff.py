"""A set of files beside what lies on the host, as `--diff` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.host.fileset import FilesetRequest


def fileset_diff(request: FilesetRequest, write: Sequence[str], remove: Sequence[str]) -> list[dict[str, str]]:
    """Entries of a task's diff for the paths to write and to remove; of secrets only that they change. Raises OSError."""
    files = {file.path: file for file in request.files}
    entries = []
    for path in (*write, *remove):
        file = files.get(path)
        after = file.content if file and path in write else ""
        if file is None or file.secret:
            change = "content changes (not shown)" if path in write else "removed"
            entries.append({"prepared": f"{path}: {change}\n"})
            continue
        before = Path(path).read_text(errors="replace") if Path(path).is_file() else ""
        entries.append({"before": before, "after": after, "before_header": path, "after_header": path})
        if before == after:
            entries.append({"prepared": f"{path}: mode {file.mode:04o}, {file.owner}:{file.group}\n"})
    return entries
