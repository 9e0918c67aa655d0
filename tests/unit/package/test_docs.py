"""Pages name files that exist, link to pages that exist, and are laid out for the site so that the links still lead there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.baremetal.vllm.tools.site import pages

ROOT = Path(__file__).resolve().parents[3]
REPOSITORY = "https://example.com/repository"
MARKDOWN = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FOR_CONTRIBUTORS = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "dev").glob("*.md"))]
# A path in backticks: below one of the checkout's folders, with nothing in it that stands for something else.
NAMED = re.compile(
    r"`((?:plugins|playbooks|roles|tools|tests|molecule|data|templates|inventories|docs|\.github|\.config)/[\w./-]*)`"
)


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    assert pages.relinked(page.read_text(), str(page.relative_to(ROOT)), ROOT, REPOSITORY)[1] == []


@pytest.mark.parametrize("page", FOR_CONTRIBUTORS, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_contributors_are_sent_to_exists(page: Path) -> None:
    named = NAMED.findall(page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_contributors_are_sent_to_files_by_each_guide() -> None:
    for name in ("README", "checks", "findings", "releases", "tests"):
        assert len(NAMED.findall((ROOT / "docs" / "dev" / f"{name}.md").read_text())) > 5


def test_every_guide_is_in_the_menu_once() -> None:
    guides = {str(page.relative_to(ROOT / "docs"))[:-3] for page in (ROOT / "docs").rglob("*.md")}
    listed = [name for names in pages.MENU.values() for name in names if not name.startswith("../")]
    assert sorted(listed) == sorted({*guides, "playbooks"})


@pytest.mark.parametrize(
    ("page", "text", "there"),
    [
        ("README.md", "[a](docs/screen.md)", "[a](guides/screen.md)"),
        ("README.md", "[a](docs/screen.md#limits)", "[a](guides/screen.md#limits)"),
        ("docs/screen.md", "[a](dev/gpu.md) and [b](engine.md#rocm)", "[a](dev/gpu.md) and [b](engine.md#rocm)"),
        ("docs/dev/gpu.md", "[a](../screen.md)", "[a](../screen.md)"),
        ("docs/dev/gpu.md", "[a](README.md) [b](../../README.md)", "[a](README.md) [b](../../index.md)"),
        ("docs/screen.md", "[a](../CHANGELOG.md)", "[a](../changelog.md)"),
        ("README.md", "[a](templates)", f"[a]({REPOSITORY}/tree/main/templates)"),
        ("docs/screen.md", "[a](../galaxy.yml)", f"[a]({REPOSITORY}/blob/main/galaxy.yml)"),
        (
            "docs/screen.md",
            "[a](https://docs.vllm.ai/x.md) [b](#limits)",
            "[a](https://docs.vllm.ai/x.md) [b](#limits)",
        ),
        ("docs/screen.md", "```\n[a](nowhere.md)\n```", "```\n[a](nowhere.md)\n```"),
    ],
)
def test_a_link_leads_to_the_same_thing_on_the_site(page: str, text: str, there: str) -> None:
    assert pages.relinked(text, page, ROOT, REPOSITORY) == (f"{there}\n", [])


def test_a_link_that_leads_nowhere_is_told_with_its_page() -> None:
    assert pages.relinked("[a](nowhere.md)", "docs/screen.md", ROOT, REPOSITORY)[1] == [
        "docs/screen.md: nowhere.md does not exist"
    ]


def test_a_playbooks_comment_is_prose_and_its_examples_are_code() -> None:
    text = "---\n# Does it. Options:\n#   -e a=1   one\n#   -e b=2   two\n- name: Play\n  hosts: all\n  # Not this.\n"
    assert pages.comment(text) == ["Does it. Options:", "", "```text", "-e a=1   one", "-e b=2   two", "```"]
    for path in (ROOT / "playbooks").glob("*.yml"):
        assert pages.comment(path.read_text()), f"{path.name} says nothing of itself"


@pytest.mark.parametrize("module", sorted((ROOT / "plugins" / "modules").glob("*.py")), ids=lambda module: module.stem)
def test_what_ansible_doc_reads_is_yaml(module: Path) -> None:
    """A colon in a sentence makes something else of it, and ansible-doc then knows no such module."""
    texts = {
        node.targets[0].id: node.value.value
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    assert yaml.safe_load(texts["DOCUMENTATION"])["module"] == module.stem
    assert yaml.safe_load(texts["EXAMPLES"])
    for key, value in yaml.safe_load(texts.get("RETURN", "{}")).items():
        for name, part in {key: value, **value.get("contains", {})}.items():
            assert set(part) <= {
                "description",
                "returned",
                "type",
                "elements",
                "contains",
                "sample",
                "version_added",
                "choices",
            }, name
