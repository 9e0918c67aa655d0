"""How much of a script is followed: a few lines can ask for more than any machine has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import MAX_WORD
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Field, Gap, Piece

# Characters that are expanded for one script, and what a command counts among them: a few seconds together. Of 287 scripts of a
# Debian system one takes four fifths of it, one a fifth, all others less than a tenth.
CHARACTERS = 12_000_000
COMMAND = 300
# What a word counts beside its characters, as the kernel counts a pointer: words without any are not had without end.
_WORD = 8
# Words of one word with braces, and numbers of one `seq`.
MOST = 256
TOO_LONG = f"longer than the {MAX_WORD} bytes that one argument can have"


@dataclass
class Work:
    """What is left to be followed of a script and of all that it runs. Shared by every state of the walk."""

    left: int = CHARACTERS

    def spend(self, characters: int) -> None:
        """Take characters from what is left; it may fall below 0, which `over` tells."""
        self.left -= characters

    @property
    def over(self) -> bool:
        """Whether nothing more of the script is followed."""
        return self.left <= 0


def size_of(fields: Iterable[Field]) -> int:
    """Bytes of words, as a bound needs them: characters, and the pieces that they are of."""
    return sum(len(piece.text) + _WORD for field in fields for piece in field)


def too_long(written: str) -> Field:
    """What stands for a value beyond any use."""
    written = written if len(written) <= 60 else f"{written[:57]}…"
    return (Piece(written, Gap(written, TOO_LONG)),)
