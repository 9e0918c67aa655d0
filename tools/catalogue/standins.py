"""Inert stand-ins for everything heavy that vLLM imports, so that its argument parser can be built from its sources alone.

`install(source)` puts a finder in front of Python's own. From then on `vllm` comes from the source tree, the standard
library and a few light packages are the real ones, and any other import yields a module whose every attribute is an
inert class: it can be called, subclassed, subscripted, compared and used as a decorator or an annotation, and does
nothing. A module of vLLM that fails to run keeps what it defined up to then, and answers for the rest like a stand-in:
the parser needs few of them, and `describe.py` refuses any fact that a stand-in has reached.
"""

from __future__ import annotations

import abc
import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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


class _Attributes(abc.ABCMeta):
    """Class of the stand-in classes: unknown attributes of a class are further stand-ins."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        child = stand_in(name, cls.__module__)
        setattr(cls, name, child)
        return child

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if "stand_in" not in vars(cls):
            return super().__call__(*args, **kwargs)
        return args[0] if _decorates(args, kwargs) else object.__new__(cls)

    def __instancecheck__(cls, instance: Any) -> bool:
        return "stand_in" not in vars(cls) and super().__instancecheck__(instance)

    def __getitem__(cls, key: Any) -> Any:
        return cls

    def __or__(cls, other: Any) -> Any:  # type: ignore[override]
        return typing.Union[cls, other]

    def __ror__(cls, other: Any) -> Any:  # type: ignore[override]
        return typing.Union[other, cls]

    def __iter__(cls) -> Iterator[Any]:
        return iter(())

    def __len__(cls) -> int:
        return 0

    def __bool__(cls) -> bool:
        return True

    def __contains__(cls, item: Any) -> bool:
        return False

    def __fspath__(cls) -> str:
        return "/nonexistent"


class StandIn(metaclass=_Attributes):
    """What every stand-in class derives from. Its subclasses in vLLM are ordinary classes again."""

    stand_in = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __init_subclass__(cls, **kwargs: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return stand_in(name, type(self).__module__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args[0] if _decorates(args, kwargs) else StandIn()

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __contains__(self, item: Any) -> bool:
        return False

    def __getitem__(self, key: Any) -> Any:
        return StandIn()

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *args: Any) -> None: ...

    def __fspath__(self) -> str:
        return "/nonexistent"


def _decorates(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return len(args) == 1 and not kwargs and isinstance(args[0], (types.FunctionType, type))


def _arithmetic() -> None:
    """Numbers, comparisons and operators of stand-ins: nothing is greater than anything, and sums stay stand-ins."""
    for kind in (_Attributes, StandIn):
        for name in ("lt", "le", "gt", "ge"):
            setattr(kind, f"__{name}__", lambda self, other: False)
        for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "lshift", "rshift"):
            setattr(kind, f"__{name}__", lambda self, other: self)
            setattr(kind, f"__r{name}__", lambda self, other: self)
        for name in ("neg", "pos", "invert", "abs"):
            setattr(kind, f"__{name}__", lambda self: self)
        for name, value in (("int", 0), ("index", 0), ("float", 0.0)):
            setattr(kind, f"__{name}__", lambda self, value=value: value)


_arithmetic()
StandIn.__or__ = StandIn.__ror__ = lambda self, other: self  # type: ignore[attr-defined]


def stand_in(name: str, module: str) -> type:
    """A new inert class of that name."""
    return _Attributes(name, (StandIn,), {"stand_in": True, "__module__": module, "__qualname__": name})


def is_stand_in(value: Any) -> bool:
    kind = value if isinstance(value, type) else type(value)
    return isinstance(kind, _Attributes)


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

    def version(name: str) -> str:
        try:
            return installed(name)
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
