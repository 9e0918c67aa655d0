"""Write every role's README.md from its argument specification: ``role_readmes.py [DIRECTORY]``.

Galaxy's importer asks each role of a collection for one. They say no more than `ansible-doc -t role` does, so that there is one
text to keep: meta/argument_specs.yml.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import read_yaml

ROOT = Path(__file__).resolve().parents[1]
ROLES = ROOT / "roles"
# Ansible's documentation markup (docs.ansible.com, "Ansible markup"): what is code here, what is a name, what is a link.
_CODE = re.compile(r"\b(?:C|V|O|RV|E)\(((?:[^)\\]|\\.)*)\)")
_NAMED = re.compile(r"\b(?:M|P)\(([^)#]*)(?:#[a-z]+)?\)")
_LINK = re.compile(r"\bL\(([^,)]*), *([^)]*)\)")
_WEIGHT = {
    re.compile(r"\bB\(([^)]*)\)"): r"**\1**",
    re.compile(r"\bI\(([^)]*)\)"): r"*\1*",
    re.compile(r"\bU\(([^)]*)\)"): r"<\1>",
}


def markdown(text: str) -> str:
    """Ansible's markup as Markdown: `C(x)` and its like become code, `L(text, address)` a link."""
    text = _LINK.sub(r"[\1](\2)", _NAMED.sub(r"`\1`", _CODE.sub(lambda found: "`" + _plain(found[1]) + "`", text)))
    for pattern, form in _WEIGHT.items():
        text = pattern.sub(form, text)
    return text


def readme(
    role: str, specification: Mapping[str, Any], users: list[str], others: Mapping[str, Mapping[str, Any]] | None = None
) -> str:
    """The page of a role. `specification` is its entry point `main`; `users` are the files that use it, from the root; `others`
    are its further entry points by name, used with `tasks_from`."""
    lines = [
        "<!-- Made by tools/role_readmes.py from meta/argument_specs.yml: edit that, then run `make docs`. -->",
        f"# baremetal.vllm.{role}",
        "",
        f"{markdown(specification['short_description'])}.",
        "",
        *_entry(specification),
        *(line for name, other in (others or {}).items() for line in _section(name, other)),
        f"The reference: `ansible-doc -t role baremetal.vllm.{role}`."
        + (f" Used by {', '.join(f'[{user}](../../{user})' for user in users)}." if users else ""),
    ]
    return "\n".join(lines) + "\n"


def readmes() -> Iterator[tuple[str, str]]:
    """(role, text of its README) of every role."""
    for directory in sorted(path for path in ROLES.iterdir() if path.is_dir()):
        specifications = read_yaml(directory / "meta" / "argument_specs.yml")
        others = dict(specifications["argument_specs"])
        yield directory.name, readme(directory.name, others.pop("main"), users(directory.name), others)


def users(role: str) -> list[str]:
    """The playbooks, and the tasks of other roles, that name a role; paths from the root, sorted."""
    named = re.compile(rf"(?:role|name): baremetal\.vllm\.{role}$", re.MULTILINE)
    files = [*(ROOT / "playbooks").glob("**/*.yml"), *ROLES.glob("*/tasks/*.yml")]
    return sorted(
        str(file.relative_to(ROOT))
        for file in files
        if file.parts[-3] != role and named.search(file.read_text(encoding="utf-8"))
    )


def _section(name: str, specification: Mapping[str, Any]) -> list[str]:
    return [
        f"## `tasks_from: {name}.yml`",
        "",
        f"{markdown(specification['short_description'])}.",
        "",
        *_entry(specification),
    ]


def _entry(specification: Mapping[str, Any]) -> list[str]:
    """What an entry point does, and its variables."""
    return [
        *(f"- {markdown(line)}" for line in _texts(specification.get("description"))),
        "",
        "| variable | type | default | what it says |",
        "| --- | --- | --- | --- |",
        *(_row(name, option) for name, option in specification.get("options", {}).items()),
        "",
    ]


def _row(name: str, option: Mapping[str, Any]) -> str:
    kind = option.get("type", "str")
    kind = f"list of {option['elements']}" if kind == "list" and "elements" in option else kind
    default = "required" if option.get("required") else _value(option["default"]) if "default" in option else ""
    told = " ".join(markdown(line) for line in _texts(option["description"]))
    if "choices" in option:
        told += " One of " + ", ".join(_value(choice) for choice in option["choices"]) + "."
    if option.get("options"):
        told += " Keys: " + ", ".join(f"`{key}`" for key in option["options"]) + "."
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{name}`", kind, default, told)) + " |"


def _value(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value, ensure_ascii=False)}`"


def _texts(description: Any) -> list[str]:
    return [description] if isinstance(description, str) else list(description or [])


def _plain(marked: str) -> str:
    """Without the escapes that Ansible's markup needs within parentheses."""
    return re.sub(r"\\(.)", r"\1", marked)


def main() -> int:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROLES
    for role, text in readmes():
        path = target / role / "README.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"{path} written")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
