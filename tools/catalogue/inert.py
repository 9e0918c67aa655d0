"""Classes that can be called, subclassed, subscripted, compared, combined and used as decorators, and do nothing."""

from __future__ import annotations

import abc
import types
import typing
from collections.abc import Iterator
from typing import Any


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
        return args[0] if _decorates(args, kwargs) else super().__call__()

    def __instancecheck__(cls, instance: Any) -> bool:
        return "stand_in" not in vars(cls) and super().__instancecheck__(instance)

    def __getitem__(cls, key: Any) -> Any:
        return cls

    def __or__(cls, other: Any) -> Any:
        return typing.Union[cls, other]

    def __ror__(cls, other: Any) -> Any:
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

    def __or__(self, other: Any) -> Any:
        return self

    __ror__ = __or__


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


def stand_in(name: str, module: str) -> type:
    """A new inert class of that name."""
    return _Attributes(name, (StandIn,), {"stand_in": True, "__module__": module, "__qualname__": name})


def is_stand_in(value: Any) -> bool:
    kind = value if isinstance(value, type) else type(value)
    return isinstance(kind, _Attributes)
