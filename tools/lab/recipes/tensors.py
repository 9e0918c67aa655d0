"""Tensors of models: drawn at random, and written as safetensors."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shapes = dict[str, tuple[int, ...]]

SEED = 20
# Of transformers' `initializer_range`.
SPREAD = 0.02
# 16 bits that numpy has no type for are kept as whole numbers.
_DTYPES = {"float32": "F32", "uint16": "BF16"}


def linear(name: str, outputs: int, inputs: int, *, bias: bool = True) -> Shapes:
    """Shapes of one linear layer as torch names and lays them out: rows are outputs."""
    return {f"{name}.weight": (outputs, inputs), **({f"{name}.bias": (outputs,)} if bias else {})}


def below(prefix: str, shapes: Shapes) -> Shapes:
    """The same shapes with a prefix before each name."""
    return {f"{prefix}{name}": shape for name, shape in shapes.items()}


def draw(shapes: Shapes, spread: float = SPREAD) -> dict[str, Array]:
    """Draw float32 tensors as transformers starts a model: biases 0, weights of norms (the flat ones) 1, others normal."""
    random = np.random.default_rng(SEED)
    return {name: _start(name, shape, random, spread) for name, shape in shapes.items()}


def _start(name: str, shape: tuple[int, ...], random: np.random.Generator, spread: float) -> Array:
    if len(shape) == 1:
        return np.full(shape, 0.0 if name.endswith(".bias") else 1.0, dtype=np.float32)
    return (random.standard_normal(shape, dtype=np.float32) * spread).astype(np.float32)


def bfloat16(values: Array) -> Array:
    """Round finite float32 to bfloat16, to the nearest and from the middle to the even one; its 16 bits as uint16."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_safetensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write float32 tensors, and those of `bfloat16`, into one file (https://huggingface.co/docs/safetensors#format).

    Raises KeyError: for other types.
    """
    # vLLM and transformers ask what framework wrote a file; this one means torch's layout.
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in sorted(tensors.items()):
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": _DTYPES[tensor.dtype.name], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, tensor in sorted(tensors.items()):
            file.write(np.ascontiguousarray(tensor).data)
