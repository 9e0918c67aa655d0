"""Tensors as other programs read them: rounding, and the file's layout."""

from __future__ import annotations

import json
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ansible_collections.baremetal.vllm.tools.lab.recipes.tensors import (
    bfloat16,
    draw,
    linear,
    write_safetensors,
)
from hypothesis import given
from hypothesis import strategies as st

# Beyond it the nearest is infinity, which is no number to reckon with.
GREATEST = 2.0**127


def exact(bits: int) -> Fraction:
    """The number that 16 bits of bfloat16 stand for: the upper half of a float32."""
    (value,) = struct.unpack("<f", struct.pack("<I", bits << 16))
    return Fraction(value)


def rounded(value: float) -> int:
    return int(bfloat16(np.array([value], dtype=np.float32))[0])


@given(st.floats(min_value=0, max_value=GREATEST, width=32), st.booleans())
def test_no_other_bfloat16_is_nearer(value: float, negative: bool) -> None:
    bits = rounded(-value if negative else value)
    assert bits >> 15 == negative
    size = bits & 0x7FFF
    away = abs(exact(size) - Fraction(value))
    neighbours = [abs(exact(other) - Fraction(value)) for other in (size - 1, size + 1) if other >= 0]
    assert all(away < other or (away == other and size % 2 == 0) for other in neighbours)


def test_what_lies_in_the_middle_goes_to_the_even_one() -> None:
    middle = np.array([0x3F808000, 0x3F818000], dtype=np.uint32).view(np.float32)
    assert [hex(bits) for bits in bfloat16(middle)] == ["0x3f80", "0x3f82"]


def test_a_file_says_where_each_tensor_lies(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_safetensors(path, {"b.weight": rows.T, "a.bias": bfloat16(np.array([1.0, -2.0], dtype=np.float32))})
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    assert length % 8 == 0
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    assert header.pop("__metadata__") == {"format": "pt"}
    assert header == {
        "a.bias": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        "b.weight": {"dtype": "F32", "shape": [3, 2], "data_offsets": [4, 28]},
    }
    assert len(body) == 28
    assert struct.unpack("<2H", body[:4]) == (0x3F80, 0xC000)
    # Row by row, whatever order the array had in memory.
    assert struct.unpack("<6f", body[4:]) == (0, 3, 1, 4, 2, 5)


def test_other_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="float64"):
        write_safetensors(tmp_path / "model.safetensors", {"a": np.zeros(2)})


def test_a_model_starts_as_transformers_starts_it() -> None:
    shapes = {**linear("layer", 200, 100), **linear("plain", 2, 3, bias=False), "norm.weight": (4,)}
    assert shapes.keys() == {"layer.weight", "layer.bias", "plain.weight", "norm.weight"}
    drawn = draw(shapes)
    assert {name: tensor.shape for name, tensor in drawn.items()} == shapes
    assert {tensor.dtype.name for tensor in drawn.values()} == {"float32"}
    assert not drawn["layer.bias"].any()
    assert (drawn["norm.weight"] == 1).all()
    assert abs(drawn["layer.weight"].mean()) < 0.001
    assert abs(drawn["layer.weight"].std() - 0.02) < 0.001
    assert all((draw(shapes)[name] == tensor).all() for name, tensor in drawn.items())
