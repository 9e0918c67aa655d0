"""What `data/fates.yml` says, tried on the real parsers of releases.

    python -m ansible_collections.baremetal.vllm.tools.migration 0.9.2 0.12.0 0.33.0

Fetches each release's sources (or takes `RELEASE=DIRECTORY`) and lets the release's own parser read every example as it was
written, which it must refuse where the option is said to be gone, and as it was moved there, which it must take. Ends
with 1 where it does not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.tools.catalogue import sources
from ansible_collections.baremetal.vllm.tools.catalogue.parser import accepts
from ansible_collections.baremetal.vllm.tools.migration.examples import examples


def prove(release: str, source: Path) -> list[str]:
    """Prints how many examples the parser takes once moved, and refuses as they were; gives those that it does not."""
    given = examples()
    # What is taken as it is proves nothing about a replacement.
    moved = [one for one in given if any(change.becomes for change in one.moved(release).changes)]
    gone = [one for one in given if one.is_gone(release)]
    taken = _read(source, [one.words(release) for one in moved], accepted=True)
    refused = _read(source, [one.old_words() for one in gone], accepted=False)
    print(
        f"{release}: its parser takes {len(moved) - len(taken)} of {len(moved)} replacements, and refuses "
        f"{len(gone) - len(refused)} of {len(gone)} command lines as they were"
    )
    return [*taken, *refused]


def _read(source: Path, lines: Sequence[Sequence[str]], accepted: bool) -> list[str]:
    """The lines for which the parser's verdict is the other one."""
    results = accepts(source, lines)
    return [f"{' '.join(line)}: {r.error or 'taken'}" for line, r in zip(lines, results) if r.accepted is not accepted]


def main(words: list[str]) -> int:
    if not words:
        print(__doc__)
        return 2
    failed = False
    for word in words:
        release, __, directory = word.partition("=")
        wrong = prove(release, Path(directory) if directory else sources.fetch(release))
        for line in wrong:
            print(f"  {line}")
        failed |= bool(wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
