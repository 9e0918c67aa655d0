"""Write docs/options.md from the catalogue and the fates: ``options_page.py [FILE]``."""

from __future__ import annotations

import sys
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.page import page

PAGE = Path(__file__).resolve().parents[1] / "docs" / "options.md"


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    text = page()
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"{path} written")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
