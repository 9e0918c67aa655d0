"""Which files of a hub repository an engine needs, and how sizes are written for people."""

from __future__ import annotations

from collections.abc import Sequence

# Checkpoints that repeat the safetensors in another format, or belong to training or another runtime.
DUPLICATES = (".bin", ".pt", ".pth", ".h5", ".msgpack", ".ot", ".ckpt", ".gguf")
OTHER_RUNTIMES = (".onnx", ".onnx_data", ".mlmodel", ".tflite", ".pb", ".pdparams", ".mlpackage")
TRAINING = ("training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state.pth")
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".mp4", ".mov", ".pdf", ".md")
FOLDERS = ("original/", "onnx/", "openvino/", "coreml/", "metal/", "runs/", "figures/", "assets/")


def needed_files(paths: Sequence[str]) -> list[str]:
    """The files to fetch out of all files of a repository, in the same order.

    What is not known to be useless is kept: a missing file costs a failed start, a superfluous one only space.
    """
    kept = [path for path in paths if not _is_aside(path)]
    if any(path.endswith(".safetensors") for path in kept):
        kept = [path for path in kept if not path.endswith(DUPLICATES)]
    elif any(path.endswith(".bin") for path in kept):
        # Old repositories have only pytorch_model*.bin; formats of other libraries are still left out.
        kept = [path for path in kept if not path.endswith((".h5", ".msgpack", ".ot", ".gguf"))]
    return kept


def _is_aside(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return (
        path.startswith(".")
        or "/." in path
        or path.startswith(FOLDERS)
        or name in TRAINING
        or name.lower().endswith(PICTURES)
        or name.endswith(OTHER_RUNTIMES)
    )


def in_units(size: float) -> str:
    """Bytes as people write them on disks and networks: 1 GB is 10^9 bytes."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size:.0f} bytes"
