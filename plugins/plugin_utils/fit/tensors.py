"""How many bytes of weights a model has and what they are for, from the names, shapes and types of its tensors.

Only headers are read. A safetensors file begins with 8 bytes (little endian) that give the length of a JSON header:
`{"name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, "__metadata__": {…}}`
(https://huggingface.co/docs/safetensors, format). Without the files, the index (`model.safetensors.index.json`) has the
names and the sum.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

# Bits of one element; a type that is not here makes the file unreadable, as it does for vLLM.
BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
FLOATS = ("F16", "BF16", "F32", "F64")
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
# The format's own limit for a header (safetensors: MAX_HEADER_SIZE).
_MOST_HEADER = 100_000_000
_MOST_INDEX = 500_000_000

_EMBEDDING = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings|tok_embeddings|embed_in|embedding)\.weight$")
_HEAD = re.compile(r"(^|\.)(lm_head|embed_out)\.weight$|^output\.weight$")
_LAYER = re.compile(r"(^|\.)(layers|h|blocks|layer|block)\.(\d+)\.")
_EXPERT = re.compile(r"\.experts\.|\.experts_")
# Encoders of pictures and sounds, and what joins them to the language model.
_OTHER = re.compile(r"(^|\.)(vision|visual|audio|vit|image|img|multi_modal|mm_|projector|siglip|embed_(vision|audio))")
# Layers that predict further tokens, and the parts of a model that speak, which `vllm serve` leaves out.
_EXTRA = re.compile(r"(^|\.)mtp\b|(^|\.)mtp_|nextn|^(talker|token2wav|code2wav|code_predictor)\.")


class UnreadableWeights(Exception):
    """A file of the model is not what its name says; the message is for people."""


@dataclass(frozen=True)
class WeightsPart:
    """Tensors of one purpose: `floats` elements that vLLM casts to the engine's dtype, `packed` bytes that stay as
    they are (quantised values, their scales, integers)."""

    floats: int = 0
    packed: int = 0

    def size(self, itemsize: int) -> int:
        """Bytes in a GPU's memory, of a dtype with `itemsize` bytes."""
        return self.floats * itemsize + self.packed

    def __add__(self, other: WeightsPart) -> WeightsPart:
        return WeightsPart(self.floats + other.floats, self.packed + other.packed)


@dataclass(frozen=True)
class WeightsSize:
    """`stored`: bytes of all tensors on disk; the parts add up to the tensors that are loaded. `experts` are the routed
    experts, `other` the encoders of pictures and sounds, `spare` what is left out unless speculative decoding uses it.
    `exact`: from the tensors' own shapes, else worked out from the sum in the index and sizes in config.json."""

    stored: int
    layers: WeightsPart
    experts: WeightsPart = WeightsPart()
    embedding: WeightsPart = WeightsPart()
    head: WeightsPart = WeightsPart()
    other: WeightsPart = WeightsPart()
    spare: WeightsPart = WeightsPart()
    parameters: int | None = None
    by_dtype: tuple[tuple[str, int], ...] = ()
    exact: bool = True


def read_headers(files: list[Path]) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Name, type and shape of every tensor in the files; raises Unreadable."""
    for file in files:
        for name, tensor in _header(file).items():
            if name == "__metadata__":
                continue
            if not isinstance(tensor, Mapping) or tensor.get("dtype") not in BITS:
                raise UnreadableWeights(f"{file.name}: {name!r} has no type known to safetensors")
            shape = tensor.get("shape")
            if not isinstance(shape, list) or not all(map(_is_length, shape)):
                raise UnreadableWeights(f"{file.name}: {name!r} has no shape")
            yield name, tensor["dtype"], tuple(shape)


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40


def _header(file: Path) -> dict[str, object]:
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(_MOST_HEADER, file.stat().st_size):
                raise UnreadableWeights(f"{file.name} is not a safetensors file")
            header = json.loads(stream.read(length))
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableWeights(f"{file.name} cannot be read as safetensors ({error})") from error
    if not isinstance(header, dict):
        raise UnreadableWeights(f"{file.name} is not a safetensors file")
    return header


def weights_of(tensors: Iterator[tuple[str, str, tuple[int, ...]]], layers: int | None, quantised: bool) -> WeightsSize:
    """Add up tensors by purpose. `layers`: how many the language model has; what comes after them is spare."""
    parts: dict[str, list[int]] = {}
    by_dtype: dict[str, int] = {}
    elements = 0
    for name, dtype, shape in tensors:
        count = math.prod(shape)
        size = -(-count * BITS[dtype] // 8)
        by_dtype[dtype] = by_dtype.get(dtype, 0) + size
        # Scales beside quantised values keep their own 32 bits; elsewhere all floats become the engine's dtype.
        cast = dtype in ("F16", "BF16") if quantised else dtype in FLOATS
        part = parts.setdefault(purpose(name, layers), [0, 0])
        part[0 if cast else 1] += count if cast else size
        elements += count
    made = {name: WeightsPart(*parts.get(name, (0, 0))) for name in PURPOSES}
    return WeightsSize(
        stored=sum(by_dtype.values()),
        layers=made["layers"],
        experts=made["experts"],
        embedding=made["embedding"],
        head=made["head"],
        other=made["other"],
        spare=made["spare"],
        parameters=None if quantised else elements,
        by_dtype=tuple(sorted(by_dtype.items())),
    )


PURPOSES = ("layers", "experts", "embedding", "head", "other", "spare")


def purpose(name: str, layers: int | None) -> str:
    """What a tensor of this name is for; see `WeightsSize`."""
    layer = _LAYER.search(name)
    if _EXTRA.search(name):
        return "spare"
    if _OTHER.search(name):
        return "other"
    if layer and layers is not None and int(layer[3]) >= layers:
        return "spare"
    if _EXPERT.search(name):
        return "experts"
    if layer is None and _EMBEDDING.search(name):
        return "embedding"
    return "head" if layer is None and _HEAD.search(name) else "layers"


class _Index(TypedDict):
    weight_map: dict[str, object]


class Index(_Index, total=False):
    """An index, model.safetensors.index.json: the file of each tensor, and `metadata`, whose total_size is in bytes."""

    metadata: object


def read_index(directory: Path) -> tuple[Index, str] | None:
    """The index of a model in several files, and its name; None where there is none. Raises Unreadable."""
    for name in INDEXES:
        file = directory / name
        if not file.is_file():
            continue
        try:
            if file.stat().st_size > _MOST_INDEX:
                raise UnreadableWeights(f"{name} is too large to be an index")
            index = json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise UnreadableWeights(f"{name} cannot be read ({error})") from error
        if not isinstance(index, dict) or not isinstance(index.get("weight_map"), dict) or not index["weight_map"]:
            raise UnreadableWeights(f"{name} has no weight_map")
        return cast(Index, index), name
    return None
