"""A file of ours on a host: compared, and replaced whole."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders, labels
from ansible_collections.baremetal.vllm.plugins.module_utils.host.secrets import secrets_digest


@dataclass(frozen=True)
class HostFile:
    """A file that root owns, or who `uid` and `gid` say. `secret` ones are shown in no diff and live in a directory that
    only root may enter, where it is made here. `public` ones are for other users as well: a directory that these may not enter is
    opened (an earlier run may have made it under a umask of 077). `digest`: the SHA-256 of a content that was not sent, "" where
    it was: such a file can be compared, and not written."""

    path: str
    content: str
    mode: int
    secret: bool = False
    uid: int = 0
    gid: int = 0
    public: bool = False
    digest: str = ""

    def current(self) -> str | None:
        """The text that is there; None where there is no file, or none in UTF-8."""
        try:
            return Path(self.path).read_text()
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def differs(self) -> bool:
        """Whether content, mode or owners are others than asked for, or a public file's directory is closed."""
        if self._other() or self._hidden():
            return True
        found = os.stat(self.path)
        return stat.S_IMODE(found.st_mode) != self.mode or (found.st_uid, found.st_gid) != (self.uid, self.gid)

    def _other(self) -> bool:
        text = self.current()
        return text != self.content if not self.digest else text is None or secrets_digest(text) != self.digest

    def _hidden(self) -> bool:
        return self.public and not folders.is_public(Path(self.path).parent)

    def write(self) -> None:
        """Replace the file whole; its content is never readable under a wider mode, not for an instant.

        Raises OSError with the file's own name, also of a full disk; the file from before is whole then. Raises LabelError, which
        is one too, where the new file is there and SELinux's tool could not give it its type.
        """
        path = Path(self.path)
        folders.make(path.parent, 0o700 if self.secret else folders.PUBLIC)
        if self._hidden():
            folders.publish(path.parent)
        draft = path.with_name(f".{path.name}.draft")
        draft.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                stream.write(self.content)
            os.chown(draft, self.uid, self.gid)
            draft.chmod(self.mode)
            os.replace(draft, path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise named(error, path) from error
        # It has its directory's type, and the policy may have another one for it.
        labels.restore([self.path])


def named(error: OSError, path: Path) -> OSError:
    """The same error of a file: a write that fails does not say of which (a full disk, a quota)."""
    return OSError(error.errno, error.strerror, str(path))
