"""The proof of an engine's kernels, on a stand-in for FlashInfer that builds as FlashInfer does and links for real.

Stand-ins: FlashInfer (its `gen_jit_spec` runs nvcc of CUDA_HOME, then links with FlashInfer's own flags), nvcc (a shell script over
the C++ compiler), CUDA's runtime library (an empty one, under the name that pip's package has).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import kernel_proof

CORE = """
import os, subprocess
class Spec:
    def __init__(self, name, sources):
        self.sources, self.name = sources, name
        self.is_aot = bool(os.path.exists(os.path.join(os.path.dirname(__file__), "compiled")))
    def build(self, verbose):
        home, scratch = os.environ["CUDA_HOME"], os.environ["FLASHINFER_WORKSPACE_BASE"]
        made = os.path.join(scratch, self.name)
        subprocess.run([home + "/bin/nvcc", "-c", str(self.sources[0]), "-o", made + ".o"], check=True)
        flags = ["-shared", f"-L{home}/lib64", f"-L{home}/lib64/stubs", "-lcudart", "-lcuda"]
        subprocess.run(["c++", made + ".o", *flags, "-o", made + ".so"], check=True)
def gen_jit_spec(name, sources):
    assert os.environ["FLASHINFER_CUDA_ARCH_LIST"]
    return Spec(name, sources)
"""
NVCC = """#!/bin/sh
[ "$1" != --version ] || exec echo "Cuda compilation tools, release {release}, V{release}.88"
{says}
exec c++ -x c++ -fPIC -c /dev/null -o "$4"
"""


def lay(
    engine: Path,
    *,
    nvcc: str = "",
    compiled: bool = False,
    runtime: bool = True,
    cuda: str = "13.0",
    release: str = "13.0",
) -> Path:
    """An engine with the stand-ins; `nvcc` is what its nvcc does first, `cuda` that of its torch, `release` that of its nvcc."""
    site = engine / f"lib/python3.{sys.version_info[1]}/site-packages"
    jit = site / "flashinfer" / "jit"
    jit.mkdir(parents=True)
    (site / "flashinfer" / "__init__.py").touch()
    (jit / "__init__.py").touch()
    (jit / "core.py").write_text(CORE)
    (jit / "env.py").write_text("FLASHINFER_CUBIN_DIR = '/var/cache/none'\n")
    (jit / "sampling.py").write_text(
        "from .core import Spec\ndef gen_sampling_module():\n    return Spec('sampling', [])\n"
    )
    if compiled:
        (jit / "compiled").touch()
    for name, version in (
        ("flashinfer_python", "0.7.2.post1"),
        *([("torch", "2.11.0"), ("nvidia_cuda_runtime", f"{cuda}.96")] if cuda else []),
        *([("flashinfer_jit_cache", "0.7.2.post1+cu130")] * compiled),
    ):
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    packages = site / "nvidia" / "cu13"
    for directory in ("bin", "include", "lib", "nvvm"):
        (packages / directory).mkdir(parents=True)
    if nvcc:
        (packages / "bin" / "nvcc").write_text(NVCC.format(says=nvcc, release=release))
        (packages / "bin" / "nvcc").chmod(0o755)
    if runtime:
        empty = ["c++", "-shared", "-x", "c++", os.devnull, "-o", str(packages / "lib" / "libcudart.so.13")]
        subprocess.run(empty, check=True)
    python = engine / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return engine


@pytest.fixture(autouse=True)
def host_without_cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No nvcc of this machine's own, whatever it has."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in ("c++", "cc", "sh", "ld", "as", "env"):
        found = next((p for p in (Path("/usr/bin") / name, Path("/bin") / name) if p.exists()), None)
        if found:
            (bin_ / name).symlink_to(found)
    monkeypatch.setattr(kernel_proof, "SYSTEM_PATH", str(bin_))
    monkeypatch.setattr(kernel_proof, "DEFAULT_HOME", str(tmp_path / "usr-local-cuda"))
    # What a shell of root has is not what a unit has.
    monkeypatch.setenv("CUDA_HOME", "/nonexistent")


def proved(engine: Path, tmp_path: Path) -> dict[str, Any]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return kernel_proof.prove(engine, scratch)


def test_the_locks_own_compiler_is_laid_out_and_proved(tmp_path: Path) -> None:
    engine = lay(tmp_path / "0.33.0", nvcc=":")
    record = proved(engine, tmp_path)
    assert record == {
        "flashinfer": "0.7.2.post1",
        "cubin": "",
        "jit_cache": "",
        "compiler": str(engine / "cuda"),
        "cuobjdump": False,
        "why": "",
    }
    # The directory stays where it is, and may be looked at from elsewhere: no link leads out of the engine.
    links = [path for path in (engine / "cuda").rglob("*") if path.is_symlink()]
    assert links
    assert all(not os.path.isabs(os.readlink(path)) and path.exists() for path in links)


@pytest.mark.parametrize(
    ("nvcc", "runtime", "said"),
    [
        ("", True, "There is no nvcc"),
        (
            'echo "x.h:41:8: error: #error \\"CUDA compiler and headers are incompatible\\"" >&2; exit 1',
            True,
            "are incompatible",
        ),
        (":", False, "cannot find -lcudart"),
        ("kill -9 $$", True, "cannot compile FlashInfer's kernels"),
    ],
)
def test_a_compiler_that_does_not_compile_is_none(tmp_path: Path, nvcc: str, runtime: bool, said: str) -> None:
    record = proved(lay(tmp_path / "0.33.0", nvcc=nvcc, runtime=runtime), tmp_path)
    assert (record["jit_cache"], record["compiler"]) == ("", "")
    assert said in record["why"]
    assert "VLLM_USE_FLASHINFER_SAMPLER=0" in record["why"]
    assert "vllm_engine_kernels_index" in record["why"]
    assert record["why"].endswith("an engine in use is not rebuilt")


# As 13.2.51 to 13.4.92 and 13.5.37 told them of the same cubin.
@pytest.mark.parametrize(
    ("line", "usable"),
    [
        ("STT_FUNC         STB_GLOBAL STO_ENTRY      _Z5probePf", True),
        ("FUNC          GLOBAL  DEFAULT    ENTRY                                _Z5probePf", False),
    ],
)
def test_a_cuobjdump_is_one_whose_words_deepgemm_reads(tmp_path: Path, line: str, usable: bool) -> None:
    engine = lay(tmp_path / "0.33.0", nvcc=":")
    tool = next(engine.rglob("bin/nvcc")).with_name("cuobjdump")
    tool.write_text(f'#!/bin/sh\ntest -e "$2" && echo "{line}"\n')
    tool.chmod(0o755)
    assert proved(engine, tmp_path)["cuobjdump"] is usable


@pytest.mark.parametrize(
    ("cuda", "release", "taken"),
    [("13.0", "13.0", True), ("13.0", "13.2", True), ("13.0", "12.9", False), ("", "13.0", False), ("13.0", "", False)],
)
def test_the_hosts_own_compiler_comes_after_the_engines_where_it_is_of_its_cuda(
    tmp_path: Path, cuda: str, release: str, taken: bool
) -> None:
    engine = lay(tmp_path / "0.33.0", nvcc="exit 1", cuda=cuda)
    host = lay(tmp_path / "elsewhere", nvcc=":", release=release)
    (tmp_path / "usr-local-cuda").symlink_to(kernel_proof.lay_toolkit(host) or "")
    record = proved(engine, tmp_path)
    assert record["compiler"] == (str(tmp_path / "usr-local-cuda") if taken else "")
    assert kernel_proof.look(engine)["compiler"] == record["compiler"]
    assert ("/usr-local-cuda/bin/nvcc is of " in record["why"]) is not taken


def test_a_toolkit_without_its_nvcc_is_gone(tmp_path: Path) -> None:
    home = kernel_proof.lay_toolkit(lay(tmp_path / "0.33.0", nvcc=":"))
    assert home is not None
    assert not kernel_proof.gone(str(home))
    next((tmp_path / "0.33.0").rglob("nvidia/cu13/bin/nvcc")).unlink()
    assert kernel_proof.gone(str(home))
    assert kernel_proof.gone(str(tmp_path / "none"))


def test_compiled_kernels_do_without_a_compiler_and_deepgemm_does_not(tmp_path: Path) -> None:
    record = proved(lay(tmp_path / "0.33.0", compiled=True), tmp_path)
    assert (record["jit_cache"], record["compiler"]) == ("0.7.2.post1+cu130", "")
    assert "VLLM_USE_DEEP_GEMM=0" in record["why"]
    assert "VLLM_USE_FLASHINFER_SAMPLER" not in record["why"]
    assert record["why"].endswith("an engine in use is not rebuilt")


def test_kernels_that_flashinfer_does_not_take_are_none(tmp_path: Path) -> None:
    engine = lay(tmp_path / "0.33.0", compiled=True)
    # As 0.7.2 passes over those of another version or another kind of GPU: they lie there, and nothing loads them.
    next(engine.rglob("compiled")).unlink()
    record = proved(engine, tmp_path)
    assert record["jit_cache"] == ""
    assert record["why"]


def test_a_flashinfer_that_refuses_to_be_imported_is_told(tmp_path: Path) -> None:
    engine = lay(tmp_path / "0.33.0")
    init = next(engine.rglob("flashinfer/__init__.py"))
    init.write_text(
        "raise RuntimeError('flashinfer-cubin version (0.6.8) does not match flashinfer version (0.6.9)')\n"
    )
    assert "flashinfer-cubin version (0.6.8) does not match" in proved(engine, tmp_path)["why"]


def test_an_engine_without_flashinfer_has_nothing_to_prove(tmp_path: Path) -> None:
    (tmp_path / "0.33.0").mkdir()
    assert proved(tmp_path / "0.33.0", tmp_path)["why"] == ""


def test_an_engine_from_before_is_looked_at(tmp_path: Path) -> None:
    engine = lay(tmp_path / "0.33.0", nvcc=":", compiled=True)
    found = {"flashinfer": "0.7.2.post1", "cubin": "", "jit_cache": "0.7.2.post1+cu130", "compiler": ""}
    assert kernel_proof.look(engine) == found
