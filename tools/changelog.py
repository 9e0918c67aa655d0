"""Write CHANGELOG.md from changelogs/, fragments that are in no release yet included: ``changelog.py [--check]``.

The source is changelogs/: fragments, and after a release changelogs/changelog.yaml. antsibull-changelog, which has to be on PATH,
writes a changelog at a release alone, so what is unreleased is released in a copy, under the version of galaxy.yml.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "CHANGELOG.md"


def page() -> str:
    """The text of CHANGELOG.md. Raises CalledProcessError where antsibull-changelog refuses a fragment."""
    with tempfile.TemporaryDirectory() as directory:
        # Without plugins, so that the first release does not list each of them as new.
        copy = Path(directory) / "ansible_collections" / "baremetal" / "vllm"
        shutil.copytree(ROOT / "changelogs", copy / "changelogs")
        shutil.copy(ROOT / "galaxy.yml", copy)
        pending = list((copy / "changelogs" / "fragments").glob("*.yml"))
        command = ["release"] if pending else ["generate"]
        subprocess.run(["antsibull-changelog", *command], cwd=copy, check=True, stdout=subprocess.DEVNULL)
        return readable((copy / "CHANGELOG.md").read_text(encoding="utf-8"))


def readable(text: str) -> str:
    """Without escapes that Markdown does not need in the middle of a line, and with backticks for code, as people write it."""
    text = re.sub(r"<code>(.*?)</code>", lambda code: "`" + re.sub(r"\\(.)", r"\1", code[1]) + "`", text)
    return re.sub(r"(?<=\S)\\([.,:;()'\"$/=%+?!-])|\\([(),'\"$/=%])", r"\1\2", text)


def main() -> int:
    text = page()
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in sys.argv[1:]:
        print("CHANGELOG.md is not what changelogs/ makes: put the change into a fragment, and run `make changelog`.")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    print(f"{PAGE} written")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
