"""Inert stand-ins for everything heavy that vLLM imports, so that its argument parser can be built from its sources alone.

`install(source)` puts a finder in front of Python's own. From then on `vllm` comes from the source tree, the standard
library and a few light packages are the real ones, and any other import yields a module whose every attribute is an inert
class (`inert.py`). A module of vLLM that fails to run keeps what it defined up to then, and answers for the rest like a
stand-in. The parser needs few of those, and the generator names every fact that one of them has reached (`missing`).
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.tools.catalogue.inert import is_stand_in, stand_in

# What the parser really computes with: types of values (pydantic and its parts), YAML files, regular expressions, versions.
REAL = frozenset(
    {
        "_yaml",
        "annotated_types",
        "ansible_collections",
        "packaging",
        "pydantic",
        "pydantic_core",
        "regex",
        "typing_extensions",
        "typing_inspection",
        "yaml",
    }
)
# The options that the wheels on the package index have: vLLM builds them for CUDA.
PLATFORM = "vllm.platforms.cuda.CudaPlatform"

# Newer than whatever version vLLM asks of a package.
VERSION = "999.0.0"


class _Module(types.ModuleType):
    """A module whose missing attributes are stand-ins."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        child = stand_in(name, self.__name__)
        setattr(self, name, child)
        return child


class _Tolerant(importlib.abc.Loader):
    """Runs a module of vLLM; where that fails, the module answers for what is missing with stand-ins."""

    def __init__(self, loader: Any, failures: dict[str, str]) -> None:
        self._loader, self._failures = loader, failures

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        try:
            self._loader.exec_module(module)
        except Exception as error:
            self._failures[module.__name__] = f"{type(error).__name__}: {error}"
            # A package may define attributes of its own on demand; those keep precedence.
            vars(module).pop("__getattr__", None)
            module.__class__ = _Module
        if module.__name__ == "vllm.platforms":
            # Which platform this is, vLLM finds out by trying imports; here every import succeeds.
            vars(module)["resolve_current_platform_cls_qualname"] = lambda: PLATFORM


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, source: Path) -> None:
        self._source = str(source)
        self.failures: dict[str, str] = {}

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        top = name.partition(".")[0]
        if top in REAL or top in sys.stdlib_module_names:
            return None
        if top == "vllm":
            spec = importlib.machinery.PathFinder.find_spec(name, [self._source] if name == "vllm" else path)
            if spec is not None and spec.loader is not None:
                spec.loader = _Tolerant(spec.loader, self.failures)
                return spec
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> types.ModuleType:
        module = _Module(spec.name)
        vars(module).update(__version__=VERSION, __file__="/nonexistent")
        return module

    def exec_module(self, module: types.ModuleType) -> None: ...


def install(source: Path) -> dict[str, str]:
    """Let imports of this process find vLLM in `source`; returns the modules that fail from now on, with the error."""
    finder = _Finder(source)
    sys.meta_path.insert(0, finder)
    installed = importlib.metadata.version

    def version(distribution_name: str) -> str:
        try:
            return installed(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            return VERSION

    importlib.metadata.version = version
    return finder.failures


def missing(hint: Any) -> list[str]:
    """What a type hint takes from modules of vLLM that did not run: of its choices or keys nothing can be said."""
    if is_stand_in(hint):
        kind = hint if isinstance(hint, type) else type(hint)
        return [f"{kind.__module__}.{kind.__qualname__}"] if kind.__module__.startswith("vllm") else []
    return [name for part in typing.get_args(hint) for name in missing(part)]
