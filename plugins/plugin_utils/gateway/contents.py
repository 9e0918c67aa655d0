"""Texts of files from where they lie on the control node: read, or rendered where they are templates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import MARK
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import TEMPLATES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.templates import environment


class ContentError(ValueError):
    """A file of the control node that cannot be read or rendered; says which and why."""


def with_contents(fileset: Mapping[str, Any]) -> dict[str, Any]:
    """A set as module unit_files' documentation has it, with each file's text in place of where the text comes from.

    Raises ContentError.
    """
    variables = {"mark": MARK, **(fileset.get("variables") or {})}
    rest = {key: value for key, value in fileset.items() if key != "variables"}
    return {**rest, "files": [_with_content(file, variables) for file in fileset.get("files") or []]}


def _with_content(file: Mapping[str, Any], variables: Mapping[str, object]) -> dict[str, object]:
    if "src" not in file:
        return dict(file)
    source = Path(file["src"])
    try:
        text = source.read_text(encoding="utf-8")
        if source.suffix == ".j2":
            text = environment(source.parent, TEMPLATES).get_template(source.name).render(**variables)
    except (OSError, UnicodeDecodeError, jinja2.TemplateError) as error:
        raise ContentError(f"{source}: {error}") from error
    return {**{key: value for key, value in file.items() if key != "src"}, "content": text}
