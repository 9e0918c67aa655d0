"""Adds what a vLLM release says of its own GPUs to data/support.yml: `python tools/gpu_support.py RELEASE_OR_SDIST...`.

A release (`0.34.0`) is fetched as the catalogue fetches it; a source distribution (`vllm-0.34.0.tar.gz`, or the directory it
unpacks to) is taken as it is. Either is read as text: nothing of it is imported, and of its functions only those that
compare a compute capability with constants are run, alone.
"""

from __future__ import annotations

import ast
import re
import sys
import tarfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

TARGET = Path(__file__).parents[1] / "data" / "support.yml"
HEADER = """\
---
# What vLLM's sources say about GPUs, by release; made by tools/gpu_support.py, which adds a release to it.
#
# quantization  method of --quantization (or of a checkpoint): the least CUDA compute capability times ten
#               (get_min_capability of the method's class, vllm/model_executor/layers/quantization/). Names with a slash
#               are the schemes of compressed-tensors.
# attention     backend of --attention-backend: the capabilities for which its supports_compute_capability says yes, of
#               those in `asked`; backends that are not here say yes to all, or ask something else.
# dtypes        method: the data types of activations that it takes (get_supported_act_dtypes of its class), where those are
#               not bfloat16 and float16.
# drafted       words one of which is part of the model_type of whatever eagle3 drafts for (vllm/config/speculative.py up to
#               0.21.0; since then the model's class is asked, once it is loaded).
# rocm          methods in supported_quantization of vllm/platforms/rocm.py.
#
# A value holds from its release on, until the next; null: the release has no such method or backend, or says nothing.
"""
# Capabilities of all GPUs that vLLM was ever built for.
ASKED = [
    (7, 0),
    (7, 2),
    (7, 5),
    (8, 0),
    (8, 6),
    (8, 7),
    (8, 9),
    (9, 0),
    (10, 0),
    (10, 1),
    (10, 3),
    (11, 0),
    (12, 0),
    (12, 1),
]
METHODS = "vllm/model_executor/layers/quantization/__init__.py"
SCHEMES = {
    "compressed-tensors/wNa16": "compressed_tensors_wNa16.py",
    "compressed-tensors/w8a8-int": "compressed_tensors_w8a8_int8.py",
    "compressed-tensors/w8a16-fp": "compressed_tensors_w8a16_fp8.py",
}
SCHEME_FOLDER = "vllm/model_executor/layers/quantization/compressed_tensors/schemes"


class DeviceCapability(NamedTuple):
    """As vllm/platforms/interface.py has it."""

    major: int
    minor: int


class Sources:
    """The Python files of one release, read on demand."""

    def __init__(self, given: str) -> None:
        path = Path(given)
        if not path.exists():
            from ansible_collections.baremetal.vllm.tools.catalogue.sources import fetch

            self.release, path = given, fetch(given)
        else:
            match = re.search(r"vllm-(\d[\w.]*?)(\.tar\.gz)?$", path.name)
            if not match:
                raise SystemExit(f"{path}: not a source distribution of vLLM")
            self.release = match[1]
        self._texts = dict(self._read(path))
        self._trees: dict[str, ast.Module] = {}

    def _read(self, path: Path) -> Iterator[tuple[str, str]]:
        if path.is_dir():
            for file in path.glob("vllm/**/*.py"):
                yield str(file.relative_to(path)), file.read_text(encoding="utf-8")
            return
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.partition("/")[2]
                if member.isfile() and name.startswith("vllm/") and name.endswith(".py"):
                    stream = archive.extractfile(member)
                    yield name, stream.read().decode() if stream else ""

    def tree(self, name: str) -> ast.Module | None:
        if name not in self._trees and name in self._texts:
            self._trees[name] = ast.parse(self._texts[name])
        return self._trees.get(name)

    def module(self, dotted: str) -> str:
        """The file of a module, dotted from `vllm`."""
        base = dotted.replace(".", "/")
        return f"{base}.py" if f"{base}.py" in self._texts else f"{base}/__init__.py"


def imports(tree: ast.AST, package: str) -> dict[str, str]:
    """Imported name to the dotted module it comes from."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            found.update({alias.asname or alias.name: module for alias in node.names})
    return found


def method_of(sources: Sources, module: str, owner: str, wanted: str, depth: int = 4) -> ast.FunctionDef | None:
    """The function `wanted` of a class or of the nearest of its bases."""
    file = sources.module(module)
    tree = sources.tree(file)
    if tree is None or depth == 0:
        return None
    package = module if file.endswith("__init__.py") else module.rpartition(".")[0]
    known = imports(tree, package)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == owner:
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name == wanted:
                    return item
            for base in node.bases:
                name = base.id if isinstance(base, ast.Name) else ""
                found = method_of(sources, known.get(name, module), name, wanted, depth - 1) if name else None
                if found:
                    return found
            return None
    return method_of(sources, known[owner], owner, wanted, depth - 1) if owner in known else None


def constant(function: ast.FunctionDef | None) -> int | None:
    """The number that a function returns, whatever it is given."""
    returns = [node for node in ast.walk(function) if isinstance(node, ast.Return)] if function else []
    value = returns[0].value if len(returns) == 1 else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, int) else None


def quantization(sources: Sources) -> dict[str, int | None]:
    """Method to its least capability."""
    tree = sources.tree(METHODS)
    if tree is None:
        raise SystemExit(f"{sources.release}: no {METHODS}")
    package = "vllm.model_executor.layers.quantization"
    known, found = imports(tree, package), {}
    listed: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict) and len(node.keys) > 5:
            for key, value in zip(node.keys, node.values):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Name) and value.id in known:
                    function = method_of(sources, known[value.id], value.id, "get_min_capability")
                    found[str(key.value)] = constant(function)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
            items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            listed += [str(item.value) for item in items if isinstance(item, ast.Constant)]
    # Short names for quantisation while loading, which the dictionary gets in a loop.
    if "OnlineQuantizationConfig" in known:
        owner = "OnlineQuantizationConfig"
        least = constant(method_of(sources, known[owner], owner, "get_min_capability"))
        found.update({name: least for name in listed if name not in found})
    for name, file in SCHEMES.items():
        scheme = sources.tree(f"{SCHEME_FOLDER}/{file}")
        functions = [n for n in ast.walk(scheme) if isinstance(n, ast.FunctionDef)] if scheme else []
        least_of = [constant(f) for f in functions if f.name == "get_min_capability"]
        found[name] = least_of[0] if len(least_of) == 1 else None
    return {name: value if value and value > 0 else None for name, value in found.items()}


def dtypes(sources: Sources) -> dict[str, list[str] | None]:
    """Method to the data types of activations that it takes; without those that take the usual two, or ask something else."""
    tree = sources.tree(METHODS)
    known = imports(tree, "vllm.model_executor.layers.quantization") if tree else {}
    found: dict[str, list[str] | None] = {}
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Dict) and len(node.keys) > 5:
            for key, value in zip(node.keys, node.values):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Name) and value.id in known:
                    function = method_of(sources, known[value.id], value.id, "get_supported_act_dtypes")
                    types = attributes(function)
                    if types and types != ["bfloat16", "float16"]:
                        found[str(key.value)] = types
    return found


def attributes(function: ast.FunctionDef | None) -> list[str]:
    """The names of torch's types in the lists that a function returns, all of them; [] where it returns anything else."""
    returns = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)] if function else []
    lists = [value for value in returns if isinstance(value, ast.List)]
    if len(lists) != len(returns):
        return []
    names = {item.attr for value in lists for item in value.elts if isinstance(item, ast.Attribute)}
    return sorted("float16" if name == "half" else name for name in names)


def drafted(sources: Sources) -> list[str] | None:
    """What eagle3 drafts for, by parts of model types; None where no such list is."""
    for file in ("vllm/config/speculative.py", "vllm/config/__init__.py", "vllm/config.py"):
        tree = sources.tree(file)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.List):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
                if {"eagle3_target_supported", "aux_hidden_states_supported"} & set(names):
                    return sorted(str(item.value) for item in node.value.elts if isinstance(item, ast.Constant))
            # Before there was a list: `"llama" not in ….model_type`.
            if isinstance(node, ast.BoolOp) and "'eagle3'" in ast.unparse(node):
                word = re.search(r"'(\w+)' not in [\w.]+model_type", ast.unparse(node))
                if word:
                    return [word[1]]
    return None


def attention(sources: Sources) -> dict[str, list[int] | None]:
    """Backend to the capabilities it says yes to; without those that say yes to all or ask something else."""
    tree = None
    for file in ("vllm/v1/attention/backends/registry.py", "vllm/attention/backends/registry.py"):
        tree = tree or sources.tree(file)
    found: dict[str, list[int] | None] = {}
    for node in ast.walk(tree) if tree else ():
        if not isinstance(node, ast.ClassDef) or not re.fullmatch(
            r"_?(Attention)?Backend(Enum)?|AttentionBackendEnum", node.name
        ):
            continue
        for item in node.body:
            if not isinstance(item, ast.Assign) or not isinstance(item.value, ast.Constant) or not item.value.value:
                continue
            target, path = item.targets[0], str(item.value.value)
            module, __, owner = path.rpartition(".")
            function = method_of(sources, module, owner, "supports_compute_capability")
            said = ask(function)
            if isinstance(target, ast.Name) and said is not None and len(said) < len(ASKED):
                found[target.id] = said
    return found


def ask(function: ast.FunctionDef | None) -> list[int] | None:
    """The capabilities, times ten, for which the function returns true; None where it needs to know anything else."""
    if function is None:
        return None
    function.decorator_list, function.returns = [], None
    for argument in function.args.args:
        argument.annotation = None
    scope: dict[str, Any] = {"DeviceCapability": DeviceCapability, "__builtins__": {}}
    exec(compile(ast.Module([function], []), "capability", "exec"), scope)
    try:
        return [a * 10 + b for a, b in ASKED if scope[function.name](None, DeviceCapability(a, b))]
    except (NameError, AttributeError, TypeError, ImportError):
        return None


def rocm(sources: Sources) -> list[str] | None:
    tree = sources.tree("vllm/platforms/rocm.py")
    for node in ast.walk(tree) if tree else ():
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.value, ast.List):
            continue
        if isinstance(node.target, ast.Name) and node.target.id == "supported_quantization":
            return sorted(str(item.value) for item in node.value.elts if isinstance(item, ast.Constant))
    return None


def order(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release))


def expand(states: Mapping[str, Any], releases: list[str]) -> dict[str, Any]:
    """A value for each release, from changes only."""
    found, value = {}, None
    for release in releases:
        value = states.get(release, value)
        found[release] = value
    return found


def shrink(values: Mapping[str, Any]) -> dict[str, Any]:
    """Changes only, from a value for each release."""
    kept: dict[str, Any] = {}
    last: Any = None
    for release in sorted(values, key=order):
        if values[release] != last:
            kept[release] = last = values[release]
    return kept


def merge(document: dict[str, Any], sources: Sources) -> dict[str, Any]:
    """The document with one more release, or with that release read anew."""
    known = document.get("releases", [])
    releases = sorted({*known, sources.release}, key=order)
    merged: dict[str, Any] = {"releases": releases, "asked": [a * 10 + b for a, b in ASKED]}
    read: dict[str, Mapping[str, Any]] = {
        "quantization": quantization(sources),
        "dtypes": dtypes(sources),
        "attention": attention(sources),
    }
    for section, facts in read.items():
        states = {name: expand(old, known) for name, old in (document.get(section) or {}).items()}
        for name in {*states, *facts}:
            states.setdefault(name, dict.fromkeys(known))[sources.release] = facts.get(name)
        merged[section] = {name: shrink(states[name]) for name in sorted(states) if shrink(states[name])}
    methods = expand(document.get("rocm", {}), known)
    methods[sources.release] = rocm(sources)
    merged["rocm"] = shrink(methods)
    words = expand(document.get("drafted") or {}, known)
    words[sources.release] = drafted(sources)
    merged["drafted"] = shrink(words)
    return merged


def write(document: Mapping[str, Any]) -> None:
    lines = [HEADER.rstrip("\n")]
    for section, content in document.items():
        lines.append(f"{section}:")
        if isinstance(content, list):
            lines += flow(content, "  ")
            continue
        for name, value in content.items():
            states = value if isinstance(value, Mapping) else {}
            if section == "dtypes":
                had = {
                    release: "null" if state is None else f"[{', '.join(state)}]" for release, state in states.items()
                }
                lines.append(f"  {name}: {{{', '.join(f'{release}: {types}' for release, types in had.items())}}}")
            elif any(isinstance(state, list) for state in states.values()):
                lines.append(f"  {name}:")
                for release, state in states.items():
                    lines.append(f"    {release}:{' null' if state is None else ''}")
                    lines += flow(state, "      ") if state is not None else []
            elif value is None:
                lines.append(f"  {name}: null")
            elif isinstance(value, list):
                lines += [f"  {name}:", *flow(value, "    ")]
            else:
                inner = ", ".join(
                    f"{release}: {'null' if state is None else state}" for release, state in states.items()
                )
                lines.append(f"  {name}: {{{inner}}}")
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


def flow(items: Sequence[Any], indent: str) -> list[str]:
    """A list in brackets, over as many lines as it needs."""
    return textwrap.wrap(
        f"[{', '.join(map(str, items))}]",
        120,
        initial_indent=indent,
        subsequent_indent=f"{indent} ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def main(given: list[str]) -> None:
    document = yaml.safe_load(TARGET.read_text(encoding="utf-8")) if TARGET.exists() else {}
    for release in given:
        sources = Sources(release)
        document = merge(document, sources)
        print(
            f"{sources.release}: {len(quantization(sources))} methods, {len(attention(sources))} backends with a limit"
        )
    write(document)


if __name__ == "__main__":
    main(sys.argv[1:])
