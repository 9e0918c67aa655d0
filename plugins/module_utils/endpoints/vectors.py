"""Arithmetic on embeddings as plain lists."""

from __future__ import annotations

import math
from collections.abc import Sequence

Vector = Sequence[float]


def norm(vector: Vector) -> float:
    """Euclidean length; infinite for a vector with a value that is not finite."""
    return math.sqrt(math.fsum(value * value for value in vector)) if all(map(math.isfinite, vector)) else math.inf


def cosine(one: Vector, other: Vector) -> float:
    """-1 to 1; 0 where a vector has no direction."""
    scale = norm(one) * norm(other)
    return math.fsum(a * b for a, b in zip(one, other)) / scale if 0 < scale < math.inf else 0.0


def nearest(vector: Vector, candidates: Sequence[Vector]) -> int:
    """Index of the candidate at the smallest distance."""
    return min(range(len(candidates)), key=lambda number: math.dist(vector, candidates[number]))
