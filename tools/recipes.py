"""Writes data/recipes.json, the facts of vLLM's own recipes: `python tools/recipes.py RELEASE_OR_SDIST`.

A release (`0.33.0`) is fetched from the package index (`PIP_INDEX_URL` is honoured); a source distribution (`vllm-0.33.0.tar.gz`,
or the directory it unpacks to) is taken as it is. Its `recipes/models/ORG/NAME.yaml` (Apache-2.0, from 0.33.0 on) are read as
data: arguments, variables, memory, hardware, parallel sizes. Titles, descriptions and guides are left behind, and so is what
spans several hosts, of which only the names are kept.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from packaging.version import Version
from pypi_simple import PYPI_SIMPLE_ENDPOINT, PyPISimple

TARGET = Path(__file__).parents[1] / "data" / "recipes.json"
SOURCE = "recipes/models/ORG/NAME.yaml of vLLM's source distribution, Apache-2.0"
_PLACE = re.compile(r"(?:.*/)?recipes/models/([^/]+/[^/]+)\.yaml$")
ONE_HOST = "single_node_"

# Keys of the recipes by their place: what each is called here. None: prose, or nothing that a host is set to by it.
META = {
    "tasks": "tasks",
    "hardware": "hardware",
    "default_hardware": "default_hardware",
    "default_variant": "default_variant",
    **dict.fromkeys(("title", "slug", "provider", "description", "date_added", "date_updated"), None),
    **dict.fromkeys(("performance_headline", "related_recipes", "platforms"), None),
}
MODEL = {
    "model_id": "model",
    "min_vllm_version": "since",
    "nightly_required": "nightly",
    "base_args": "args",
    "base_env": "env",
    "context_length": "context",
    "parameter_count": "parameters",
    "active_parameters": "active",
    "architecture": "architecture",
    **dict.fromkeys(("docker_image", "default_frontend", "install", "supports_dcp", "smg_grpc"), None),
    **dict.fromkeys(("flashinfer_autotune", "rust_frontend"), None),
}
TOP = {
    "features": "features",
    "opt_in_features": "opt_in",
    "variants": "variants",
    "compatible_strategies": "strategies",
    "default_strategy": "strategy",
    "hardware_overrides": "on",
    "strategy_overrides": "strategy_overrides",
    "strategy_hardware": "strategy_hardware",
    "strategy_min_gpus": "min_gpus",
    "hardware_opt_in_features": "opt_in_on",
    "dependencies": "needs",
    **dict.fromkeys(("meta", "model", "guide", "kv_offload_support", "hardware_notes", "presets"), None),
    "kv_cache_strategy_hardware": None,
}
PART = {
    "args": "args",
    "extra_args": "args",
    "vllm_args": "args",
    "env": "env",
    "extra_env": "env",
    "vram_minimum_gb": "gb",
    **dict.fromkeys(("description", "label", "install_note", "docker_image", "docker_serve_command", "install"), None),
}
FEATURE = {
    **PART,
    "hardware_overrides": "on",
    "modes": "modes",
    "default_mode": "mode",
    "strategies": "strategies",
    "variants": "variants",
    "hardware": "hardware",
}
VARIANT = {
    **PART,
    "model_id": "model",
    "precision": "precision",
    "vram_minimum_gb": "gb",
    "supported_hardware": "hardware",
    "hardware_overrides": "on",
    "tp": "tp",
    "min_vllm_version": "since",
    "default_modes": "modes",
    "precision_hardware": "precision_on",
    "nightly_required": "nightly",
}
STRATEGY = {**PART, "hardware_overrides": "on", "tp": "tp"}


class Reader:
    """Reads recipes. `strange`: keys that nobody has looked at yet, as "place.key", so that a new one is told."""

    def __init__(self) -> None:
        self.strange: set[str] = set()

    def recipe(self, key: str, text: str) -> dict[str, Any]:
        """The facts of one recipe, by the names of the tables above. Raises ValueError where it is no recipe."""
        document = yaml.safe_load(text)
        if not isinstance(document, Mapping) or "model_id" not in (document.get("model") or {}):
            raise ValueError(f"{key}: not a recipe: it has no model.model_id")
        facts = self._part("meta", document.get("meta"), META)
        facts.update(self._part("model", document["model"], MODEL))
        facts.update(self._part("", document, TOP))
        overrides = facts.pop("strategy_overrides", None) or {}
        facts.update(
            features=self._parts("features", facts.get("features"), FEATURE),
            variants=self._parts("variants", facts.get("variants"), VARIANT),
            on=self._parts("hardware_overrides", facts.get("on"), PART),
            by_strategy=self._parts(
                "strategy_overrides", {n: part for n, part in overrides.items() if n.startswith(ONE_HOST)}, STRATEGY
            ),
            needs=[
                {"install": str(need["command"]), "optional": bool(need.get("optional", False))}
                for need in facts.get("needs") or []
                if need.get("command")
            ],
        )
        return {name: fact for name, fact in sorted(facts.items()) if fact not in (None, {}, [])}

    def _parts(self, place: str, parts: Mapping[str, Any] | None, names: Mapping[str, str | None]) -> dict[str, Any]:
        return {str(name): self._part(place, part, names) for name, part in (parts or {}).items()}

    def _part(self, place: str, part: Mapping[str, Any] | None, names: Mapping[str, str | None]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in (part or {}).items():
            if key not in names:
                self.strange.add(f"{place}.{key}".lstrip("."))
            name = names.get(key)
            if name is None or value is None:
                continue
            if name == "args":
                # Two keys of one part mean the same list.
                value = [*found.get("args", []), *map(_text, value)]
            elif name == "env":
                value = {**found.get("env", {}), **{str(n): _text(v) for n, v in value.items()}}
            elif name == "on" and names is not TOP:
                value = self._parts(f"{place}.hardware_overrides", value, PART)
            elif name == "modes" and names is FEATURE:
                value = self._parts(f"{place}.modes", value, FEATURE)
            found[name] = value
        return found


def _text(value: Any) -> str:
    """A word as a command line has it: YAML reads an unquoted one as a number or a truth value."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def texts(path: Path) -> Iterator[tuple[str, str]]:
    """("ORG/NAME", text) of every recipe in a source distribution or the directory it unpacks to."""
    if path.is_dir():
        for file in sorted(path.glob("recipes/models/*/*.yaml")):
            yield f"{file.parent.name}/{file.stem}", file.read_text(encoding="utf-8")
        return
    with tarfile.open(path) as archive:
        for member in archive:
            match = _PLACE.match(member.name)
            stream = archive.extractfile(member) if match and member.isfile() else None
            if match and stream:
                yield match[1], stream.read().decode("utf-8")


def document(release: str, path: Path) -> tuple[dict[str, Any], list[str]]:
    """What data/recipes.json shall hold, and the keys that were not read."""
    reader = Reader()
    recipes = {key: reader.recipe(key, text) for key, text in texts(path)}
    by_name = sorted(recipes.items(), key=lambda pair: pair[0].lower())
    return {"release": release, "source": SOURCE, "recipes": dict(by_name)}, sorted(reader.strange)


def rendered(facts: Mapping[str, Any]) -> str:
    """One recipe a line, so that a diff between releases names the recipes that changed."""

    def compact(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=False)

    lines = [f" {json.dumps(name)}: {compact(recipe)}" for name, recipe in facts["recipes"].items()]
    head = [f"{json.dumps(key)}: {compact(value)}," for key, value in facts.items() if key != "recipes"]
    return "\n".join(["{", *head, '"recipes": {', ",\n".join(lines), "}", "}", ""])


def fetch(release: str, folder: Path) -> Path:
    """The source distribution of a release, downloaded into `folder`; its checksum is the index's."""
    endpoint = os.environ.get("PIP_INDEX_URL") or PYPI_SIMPLE_ENDPOINT
    with PyPISimple(endpoint) as index:
        for package in index.get_project_page("vllm").packages:
            if package.package_type == "sdist" and package.version and Version(package.version) == Version(release):
                target = folder / package.filename
                index.download_package(package, target)
                return target
    raise SystemExit(f"{endpoint} has no source distribution of vLLM {release}")


def main(given: str, target: Path = TARGET) -> None:
    """Write `target`, unless the release has no recipes or it holds a newer one's: releases are added to the catalogue in any
    order. Raises SystemExit where there is no such release or file."""
    path = Path(given)
    with tempfile.TemporaryDirectory() as work:
        if not path.exists():
            release, path = given, fetch(given, Path(work))
        else:
            match = re.search(r"vllm-(\d[\w.]*?)(\.tar\.gz)?$", path.resolve().name)
            if not match:
                raise SystemExit(f"{path}: not a source distribution of vLLM")
            release = match[1]
        facts, strange = document(release, path)
    kept = json.loads(target.read_text(encoding="utf-8"))["release"] if target.is_file() else ""
    if not facts["recipes"]:
        print(f"{release}: no recipes (0.33.0 is the first release with them)")
        return
    if kept and Version(kept) > Version(release):
        print(f"{release}: the recipes of {kept}, which is newer, are kept")
        return
    target.write_text(rendered(facts), encoding="utf-8")
    print(f"{release}: {len(facts['recipes'])} recipes")
    for key in strange:
        print(f"{key} is new in the recipes and was not read: say in tools/recipes.py what it is")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("Name one release or source distribution: python tools/recipes.py 0.33.0")
    main(sys.argv[1])
