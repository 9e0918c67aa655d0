"""docs/options.md: current, complete, and right about its releases."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.page import groups, page
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options import load
from ansible_collections.baremetal.vllm.plugins.plugin_utils.options.spans import spans

PAGE = Path(__file__).parents[5] / "docs" / "options.md"


def rows() -> dict[str, tuple[str, str]]:
    """Option to its releases and what is told of it."""
    lines = [line for line in page().splitlines() if line.startswith("| `")]
    cells = [line.strip("| ").split(" | ", 2) for line in lines]
    return {cell[0].strip("`"): (cell[1], cell[2] if len(cell) > 2 else "") for cell in cells}


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run tools/options_page.py"


def test_every_option_has_its_row_in_its_group() -> None:
    headings = [line for line in page().splitlines() if line.startswith("## ")]
    assert len(headings) == 12
    assert list(rows()) == [option for group in groups()["groups"] for option in group["options"]]


def test_every_spelling_that_switches_off_is_told() -> None:
    told = page()
    assert [name for name in groups()["negatives"] if f"`{name}`" not in told] == []


def test_what_is_not_valid_everywhere_is_told() -> None:
    newest = load.releases()[-1]
    silent = [
        name for name, (where, told) in rows().items() if not where.endswith(("newer", "all", newest)) and not told
    ]
    assert silent == []


ROWS: list[tuple[str, str, str]] = [
    ("task", "to 0.12.0", "`embed`, `embedding` becomes `runner: pooling` and `convert: embed`"),
    ("speculative-model", "before 0.8.5", "Write `speculative-config: {model: …}`"),
    ("swap-space", "to 0.17.1", "gone since 0.18.0"),
    ("allowed-origins", "all", 'Default `["*"]`, then `[]` (since 0.32.0)'),
    ("disable-log-requests", "to 0.16.0", "gone since 0.17.0"),
    ("headless", "0.9.0 and newer", "Not for `args`"),
    ("api-key", "all", "A secret"),
    ("enforce-eager", "all", "`no-enforce-eager`: 0.9.0 and newer; in `args` write `enforce-eager: false`"),
]


@pytest.mark.parametrize(("option", "where", "told"), ROWS)
def test_a_row_says_where_and_what(option: str, where: str, told: str) -> None:
    assert rows()[option][0] == where
    assert told in rows()[option][1]


def test_spans_have_their_gaps() -> None:
    assert spans(load.releases()) == "all"
    assert spans(["0.9.1", "0.9.2", "0.12.0"]) == "0.9.1 to 0.9.2, 0.12.0"
    assert spans(load.releases()[:3]) == "to 0.9.0"
