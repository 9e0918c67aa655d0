"""Resolving an engine's versions: vLLM's, a compiler of torch's CUDA, FlashInfer's compiled kernels. Control node only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import kernels, lock
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.kernels import INDEX, NONE
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import without_users
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import EngineRequest, Target
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.tools import ToolError

_KEY = "vllm_engine_kernels_index (wheelhouse_kernels_index)"

# As tools.uv_compile is called.
Compile = Callable[[Target, Path, Path, Sequence[str], str], None]


def resolve(
    target: Target,
    asked: EngineRequest,
    directory: Path,
    output: Path,
    arguments: Sequence[str],
    compile_: Compile,
    say: Callable[[str], None],
) -> None:
    """Write the lock of a target to `output`; `directory` takes the files that uv reads.

    Raises ToolError where uv fails, where kernels of a named index cannot be had, or where they do not fit. FlashInfer's own
    index may be out of reach: `say` then tells what that costs.
    """
    source, overrides = directory / ".requirements.in", directory / ".overrides.in"
    source.write_text("\n".join(asked.requirements) + "\n")
    overrides.write_text("\n".join(asked.overrides) + "\n")
    options = [*arguments, "--override", str(overrides)]
    compile_(target, source, output, options, f"resolving {target.name}")
    if not kernels.wanted(target.release, target.accelerator):
        return
    toolkit = kernels.toolkit(lock.parse_lock(output.read_text(encoding="utf-8")))
    if toolkit:
        source.write_text("\n".join([*asked.requirements, *toolkit]) + "\n")
        compile_(target, source, output, options, f"resolving {target.name} with a compiler of its CUDA")
    pins = lock.parse_lock(output.read_text(encoding="utf-8"))
    brought = find_kernels(target, pins, directory, compile_, say)
    output.write_text(lock.render_lock((*(pin for pin in pins if pin.name not in {b.name for b in brought}), *brought)))
    check(lock.parse_lock(output.read_text(encoding="utf-8")), target.release, target.accelerator)


def check(pins: Sequence[lock.Pin], release: str, accelerator: str) -> None:
    """Raise ToolError where a lock's kernels do not go with its FlashInfer or its CUDA."""
    wrong = kernels.mismatches(kernels.read(pins)) if kernels.wanted(release, accelerator) else []
    if wrong:
        raise ToolError(
            f"{'; '.join(wrong)}. Resolve the lock anew (wheelhouse_update: true; where hosts ask an index, remove the lock), or"
            f" correct it and {_KEY}"
        )


def find_kernels(
    target: Target, pins: Sequence[lock.Pin], directory: Path, compile_: Compile, say: Callable[[str], None]
) -> tuple[lock.Pin, ...]:
    """Return pins of FlashInfer's compiled kernels that a lock lacks, at the version of its FlashInfer and for its CUDA.

    Raises ToolError: where a named index lacks them, or brings something else with them.
    """
    held = kernels.read(pins)
    if target.kernels_index == NONE or not held.flashinfer:
        return ()
    base = (target.kernels_index or INDEX).rstrip("/")
    version = kernels.public(held.flashinfer)
    tried: list[str] = []

    def look(name: str, version: str, index: str) -> tuple[lock.Pin, ...]:
        source, found = directory / ".kernels.in", directory / ".kernels.lock"
        source.write_text(f"{name}=={version}\n")
        found.unlink(missing_ok=True)
        # Nothing but kernels comes from this index, whatever else it has, and nothing of theirs from another one.
        try:
            alone = replace(target, indexes=())
            compile_(alone, source, found, ["--default-index", index], f"looking for {name} {version}")
            return lock.parse_lock(found.read_text(encoding="utf-8"))
        except (ToolError, lock.LockError) as error:
            tried.append(f"{name} {version} at {index}: {_reason(str(error))}")
            return ()

    cubin = () if held.cubin else look(kernels.CUBIN, version, base)
    jit_cache: tuple[lock.Pin, ...] = ()
    for label in () if held.jit_cache else kernels.labels(held.cuda):
        jit_cache = jit_cache or look(kernels.JIT_CACHE, f"{version}+{label}", f"{base}/{label}")
    brought = (*cubin, *jit_cache)
    stray = sorted(pin.name for pin in brought if not kernels.is_kernel(pin.name))
    if stray:
        raise ToolError(
            f"{_KEY}: {without_users(base)} brings {', '.join(stray)} with FlashInfer's kernels, which is none of them"
        )
    missing = [
        name
        for name, has in ((kernels.CUBIN, held.cubin or cubin), (kernels.JIT_CACHE, held.jit_cache or jit_cache))
        if not has
    ]
    if missing:
        text = f"{' and '.join(missing)} of FlashInfer {version} for CUDA {held.cuda or 'unknown'} cannot be had from {base}"
        where = f"({'; '.join(tried)})"
        text, where = without_users(text), without_users(where)
        if target.kernels_index:
            raise ToolError(
                f"{_KEY}: {text} {where}. Mirror {INDEX} with its directories (cu130/ and so on) there, correct the address,"
                f" or write {NONE}: kernels are then compiled at the first start, or done without"
            )
        after = kernels.lacking(kernels.read((*pins, *brought)))
        cost = (
            f"{kernels.LOSS_OF_SAMPLING} {kernels.LOSS}"
            if after
            else "kernels that are not compiled yet are compiled at the first start, which takes minutes"
        )
        say(f"{text} {where}: {cost}. Name a mirror in {_KEY}, or write {NONE} there")
    return brought


def _reason(text: str) -> str:
    """What a tool said, on one line: of a chain of causes the last one."""
    lines = [line.strip(" ╰─▶│\t") for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if line.lower().startswith(("cause:", "caused by:"))]
    return " ".join(causes[-1:] or lines[1:] or lines)[:240]
