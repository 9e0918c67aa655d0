"""The pages of the documentation site that are written in Markdown: README, guides, changelog, playbooks. Text in, text out."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

# The menu: what belongs together, in the order in which people need it. Sphinx complains about a page that is not here.
MENU = {
    "Begin": ("first-model", "inventory", "recipes", "models", "plan", "screen", "exit-statuses"),
    "Hosts": (
        "driver",
        "gpus",
        "settings",
        "rocm",
        "engine",
        "weights",
        "warm-caches",
        "bundle",
        "units",
        "sandbox",
        "memory",
    ),
    "Proofs": ("verify", "acceptance", "canary"),
    "The fleet": ("gateway", "rollout", "status", "ordinary-days", "takeover", "migration", "awx"),
    "Reference": ("playbooks", "../reference/index", "options", "catalogue", "../changelog"),
    "Developers": (
        "dev/README",
        "dev/checks",
        "dev/findings",
        "dev/releases",
        "dev/tests",
        "dev/lab",
        "dev/gpu",
        "dev/growth",
        "dev/fanout",
    ),
}
# Files of the repository that are pages of the site.
MOVED = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
_LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?(\))")
_CONTENTS = re.compile(r"^\.\. contents::.*\n(?: +:.*\n)*", re.MULTILINE)
_FENCE = re.compile(r"^ *(```|~~~)")
# Pages of ansible-core's documentation that antsibull-docs refers to on every page.
_ANSIBLE = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}
_LABEL = re.compile(r"<(ansible_collections\.ansible\.builtin\.(\w+)_(\w+))>")


def write(root: Path, sources: Path, repository: str) -> list[str]:
    """Write all pages below `sources`; every link that leads nowhere, as a sentence with the page."""
    problems: list[str] = []
    for page in [root / "README.md", root / "CHANGELOG.md", *sorted((root / "docs").rglob("*.md"))]:
        name = page.relative_to(root).as_posix()
        text, broken = relinked(page.read_text(encoding="utf-8"), name, root, repository)
        problems += broken
        _put(sources / place(name), text + (menu(repository) if name == "README.md" else ""))
    for picture in (root / "docs").rglob("*.svg"):
        copy = sources / place(picture.relative_to(root).as_posix())
        copy.write_bytes(picture.read_bytes())
    _put(sources / "guides" / "playbooks.md", playbooks(root / "playbooks", repository))
    return problems


def place(name: str) -> str:
    """Where a file of the repository lies among the site's sources: `docs/x.md` in `guides/`."""
    return MOVED.get(name, name.replace("docs/", "guides/", 1))


def relinked(text: str, page: str, root: Path, repository: str) -> tuple[str, list[str]]:
    """The text with its relative links as the site has them, and those that lead to no file.

    A link to another page stays one; a link to any other file of the checkout leads to the repository.
    """
    broken: list[str] = []

    def link(found: re.Match[str]) -> str:
        before, target, anchor, after = found.groups()
        there = (root / page).parent.joinpath(target).resolve()
        if not there.exists():
            broken.append(f"{page}: {target} does not exist")
            return found[0]
        name = there.relative_to(root).as_posix()
        if name in MOVED or (name.startswith("docs/") and there.is_file()):
            return f"{before}{_relative(place(name), place(page))}{anchor or ''}{after}"
        return f"{before}{repository}/{'tree' if there.is_dir() else 'blob'}/main/{name}{anchor or ''}{after}"

    return "\n".join(_LINK.sub(link, line) if prose else line for line, prose in _lines(text)) + "\n", broken


def menu(repository: str) -> str:
    """The site's menu as hidden tables of contents, for the first page; its last entry is the repository."""
    parts = []
    for caption, names in MENU.items():
        entries = "\n".join((PurePosixPath("guides") / name).as_posix().replace("guides/../", "") for name in names)
        entries += f"\nRepository <{repository}>" if caption == "Developers" else ""
        parts.append(f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n")
    return "".join(parts)


def without_contents(page: str) -> str:
    """A page of antsibull-docs without its own table of contents: the theme has one, and marks a second as an error."""
    return _CONTENTS.sub("", page)


def playbooks(directory: Path, repository: str) -> str:
    """A page with what each playbook says of itself in the comment above its first play."""
    lines = [
        "# Playbooks",
        "",
        "Each runs from any directory as `ansible-playbook baremetal.vllm.<name> -i INVENTORY`, and says this of itself:",
        "",
    ]
    for path in sorted(directory.glob("*.yml")):
        lines += [f"## {path.stem}", "", *comment(path.read_text(encoding="utf-8")), ""]
        lines += [f"[playbooks/{path.name}]({repository}/blob/main/playbooks/{path.name})", ""]
    return "\n".join(lines)


def comment(text: str) -> list[str]:
    """The comment above a playbook's first play as Markdown: prose, and indented lines as one block of code."""
    head = text.partition("\n- ")[0].splitlines()
    said = [line[1:].removeprefix(" ") for line in head if line.startswith("#")]
    prose = [line for line in said if not line.startswith(" ")]
    code = [line.strip() for line in said if line.startswith(" ")]
    return [*prose, *(["", "```text", *code, "```"] if code else [])]


def ansible_inventory(pages: Iterable[Path]) -> bytes:
    """Sphinx's inventory (version 2) of those labels of ansible-core that the pages name, so that none has to be fetched.

    Its form: four lines of header, then zlib over lines `name domain:role priority uri title`
    (sphinx.util.inventory, InventoryFile).
    """
    labels = sorted({found.groups() for page in pages for found in _LABEL.finditer(page.read_text(encoding="utf-8"))})
    places = _ANSIBLE | {label: f"collections/ansible/builtin/{name}_{kind}.html" for label, name, kind in labels}
    lines = [f"{label} std:label -1 {place} -\n" for label, place in places.items()]
    header = (
        "Sphinx inventory version 2",
        "Project: Ansible",
        "Version: ",
        "The remainder of this file is compressed using zlib.",
    )
    return "".join(f"# {line}\n" for line in header).encode() + zlib.compress("".join(lines).encode())


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Every line, and whether it is prose, not within a block of code."""
    inside = False
    for line in text.splitlines():
        fence = _FENCE.match(line) is not None
        yield line, not inside and not fence
        inside ^= fence


def _relative(target: str, page: str) -> str:
    """`target` as a link from `page`, both from the sources' root."""
    here, there = PurePosixPath(page).parent.parts, PurePosixPath(target).parts
    same = next((n for n, (a, b) in enumerate(zip(here, there)) if a != b), min(len(here), len(there) - 1))
    return "/".join([*[".."] * (len(here) - same), *there[same:]])


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
