"""Proving on a host that an engine need not fetch or fail to compile FlashInfer's kernels. Standard library only, no GPU needed.

FlashInfer builds as a start would: its own flags, headers and ninja, by its own `gen_jit_spec` (flashinfer/jit/core.py, 0.6.8 and
0.7.2), for an architecture that is named and not looked for. A small source with the headers of its sampler takes 18 s of one
core; the sampler itself takes 138 (measured, 0.7.2.post1, nvcc 13.0.88, sm_90a).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import kernels

# As units have it (plan/service.py): a program that only this shell finds is none.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Where FlashInfer looks when nothing names a compiler (`get_cuda_path` in flashinfer/jit/cpp_ext.py).
DEFAULT_HOME = "/usr/local/cuda"
# Seconds. The slowest machine of a test took 43 with its other core busy.
TIMEOUT = 900
PROBE = "baremetal_vllm_probe"

# Of a lock that is made anew.
_WHEN = "before this engine is in use, else for the next release: an engine in use is not rebuilt"

_ASK = r"""
import importlib.metadata, json, pathlib
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
import flashinfer
from flashinfer.jit import env
from flashinfer.jit.sampling import gen_sampling_module
cubins = pathlib.Path(env.FLASHINFER_CUBIN_DIR).parts
compiled = gen_sampling_module().is_aot
print(json.dumps({
    "flashinfer": version("flashinfer-python"),
    "cubin": version("flashinfer-cubin") if "flashinfer_cubin" in cubins else "",
    "jit_cache": version("flashinfer-jit-cache") if compiled else "",
}))
"""

_COMPILE = r"""
import pathlib, sys
from flashinfer.jit.core import gen_jit_spec
source = pathlib.Path(sys.argv[1]) / "probe.cu"
source.write_text(
    "#include <flashinfer/sampling.cuh>\n"
    "__global__ void probe(float* x) { x[0] += 1.0f; }\n"
    "void run(float* x) { probe<<<1, 1>>>(x); }\n"
)
gen_jit_spec(sys.argv[2], [source]).build(False)
"""


class ProofError(RuntimeError):
    """What FlashInfer said when it failed, in a few lines."""


def lay_toolkit(engine: Path) -> Path | None:
    """Make a toolkit of pip's packages below an engine, and return it; None where the engine has no nvcc.

    FlashInfer links with `-L<home>/lib64 -L<home>/lib64/stubs -lcudart -lcuda`. pip's packages have `lib`, no `libcudart.so`
    without a number, and no stub of the driver's library (tried: nvidia-cuda-runtime 13.0.96); an empty library of its name does,
    since nothing of it is called before the real one is loaded. Raises OSError or CalledProcessError.
    """
    found = sorted(engine.glob("lib/python3*/site-packages/nvidia/cu[0-9]*/bin/nvcc"))
    if not found:
        return None
    packages, home = found[-1].parents[1], engine / kernels.HOME
    shutil.rmtree(home, ignore_errors=True)
    stubs = home / "lib64" / "stubs"
    stubs.mkdir(parents=True)
    for name in ("bin", "include", "nvvm"):
        if (packages / name).is_dir():
            _link(home / name, packages / name)
    _link(home / "lib", home / "lib64")
    for library in sorted((packages / "lib").glob("lib*")):
        _link(home / "lib64" / library.name, library)
        plain = home / "lib64" / re.sub(r"\.so\.[0-9.]+$", ".so", library.name)
        if not os.path.lexists(plain):
            _link(plain, library)
    compiler = shutil.which("cc", path=SYSTEM_PATH) or shutil.which("gcc", path=SYSTEM_PATH)
    if compiler:
        command = [
            compiler,
            "-shared",
            "-Wl,-soname,libcuda.so.1",
            "-o",
            str(stubs / "libcuda.so"),
            "-x",
            "c",
            os.devnull,
        ]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
    return home


def _link(path: Path, target: Path) -> None:
    path.symlink_to(os.path.relpath(target, path.parent))


def _homes(engine: Path, doubts: list[str] | None = None) -> list[str]:
    """Where a compiler may be, the engine's own first. One of the host's counts only where it is of the engine's CUDA: a kernel
    that another major version's nvcc made wants that one's runtime library, which no proof without a GPU loads. Those that are
    passed over are added to `doubts`.
    """
    own = str(engine / kernels.HOME)
    homes = [own] if os.access(os.path.join(own, "bin", "nvcc"), os.X_OK) else []
    cuda = cuda_of(engine)
    for home in _of_host():
        found = _nvcc_version(home)
        if found and cuda and found.partition(".")[0] == cuda.partition(".")[0]:
            homes.append(home)
        elif doubts is not None:
            its = f"CUDA {found}" if found else "an unknown CUDA"
            doubts.append(
                f"{home}/bin/nvcc is of {its}, and the engine of {f'CUDA {cuda}' if cuda else 'an unknown one'}"
            )
    return homes


def _of_host() -> list[str]:
    """Toolkits of the host's own: the one that PATH finds, then where FlashInfer looks."""
    nvcc = shutil.which("nvcc", path=SYSTEM_PATH)
    named = [os.path.dirname(os.path.dirname(os.path.realpath(nvcc)))] if nvcc else []
    listed = dict.fromkeys([*named, DEFAULT_HOME])
    return [home for home in listed if os.access(os.path.join(home, "bin", "nvcc"), os.X_OK)]


def _nvcc_version(home: str) -> str:
    """The CUDA that an nvcc says it is of, such as 12.9; '' where it does not."""
    try:
        done = subprocess.run(
            [os.path.join(home, "bin", "nvcc"), "--version"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\brelease (\d+\.\d+)", done.stdout)
    return found[1] if found else ""


def cuda_of(engine: Path) -> str:
    """Return the CUDA that an engine's torch is built for, such as 13.0; '' where nothing installed tells."""
    return kernels.cuda_of({name: version_of(engine, name.replace("-", "_")) for name in kernels.CUDA_NAMES})


def gone(home: str) -> bool:
    """Tell whether a toolkit that was proved has no nvcc any more. One that this user may not look into is there."""
    try:
        os.stat(os.path.join(home, "bin", "nvcc"))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _run(engine: Path, scratch: Path, code: str, arguments: Sequence[str] = (), home: str = "") -> str:
    environment = {
        "PATH": f"{engine}/bin:{SYSTEM_PATH}",
        "HOME": str(scratch),
        "XDG_CACHE_HOME": str(scratch),
        "FLASHINFER_WORKSPACE_BASE": str(scratch),
        "FLASHINFER_CUDA_ARCH_LIST": "9.0a",
        "LC_ALL": "C.UTF-8",
        **({"CUDA_HOME": home} if home else {}),
    }
    try:
        done = subprocess.run(
            [str(engine / "bin" / "python"), "-c", code, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env=environment,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProofError(f"it took longer than {TIMEOUT} s") from error
    if done.returncode != 0:
        raise ProofError(_cause(done.stdout))
    return done.stdout


def _tells_symbols(home: str, scratch: Path) -> bool:
    """Whether cuobjdump lists the kernel just compiled in the words that DeepGEMM looks for (csrc/jit/kernel_runtime.hpp)."""
    tool = os.path.join(home, "bin", "cuobjdump")
    made = next(scratch.rglob(f"{PROBE}.so"), None)
    if made is None or not os.access(tool, os.X_OK):
        return False
    asked = [tool, "-symbols", str(made)]
    try:
        done = subprocess.run(
            asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return bool(re.search(rb"^STT_FUNC\b.*\bSTO_ENTRY\b", done.stdout, re.MULTILINE))


def _cause(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # A compiler's or linker's own words say more than the exception that follows them.
    telling = [line for line in lines if re.search(r"\berror\b[: \"]|cannot find|not found|No such file", line)]
    return (telling or lines or ["it said nothing"])[-1 if not telling else 0][:300]


def prove(engine: Path, scratch: Path, own: bool = False) -> kernels.KernelRecord:
    """Return what `kernels.environment` takes of an engine. Never raises: an engine without kernels can serve.

    `own`: no compiler counts but the engine's, because it is to be used on other hosts as well.
    """
    record: kernels.KernelRecord = {
        "flashinfer": "",
        "cubin": "",
        "jit_cache": "",
        "compiler": "",
        "cuobjdump": False,
        "why": "",
    }
    record["flashinfer"] = version_of(engine, "flashinfer_python")
    if not record["flashinfer"]:
        return record
    doubts = []
    try:
        lay_toolkit(engine)
    except (OSError, subprocess.CalledProcessError) as error:
        doubts.append(f"the engine's CUDA packages could not be laid out ({error})")
    passed_over: list[str] = []
    homes = [home for home in _homes(engine, passed_over) if not own or home.startswith(f"{engine}/")]
    try:
        record.update(json.loads(_run(engine, scratch, _ASK, home=homes[0] if homes else "").strip().splitlines()[-1]))
    except (ProofError, ValueError, IndexError, OSError) as error:
        doubts.append(f"FlashInfer {record['flashinfer']} does not say which kernels it has: {error}")
    for home in homes:
        try:
            _run(engine, scratch, _COMPILE, [str(scratch), PROBE], home)
            record["compiler"], record["cuobjdump"] = home, _tells_symbols(home, scratch)
            break
        except (ProofError, OSError) as error:
            doubts.append(f"{home}/bin/nvcc cannot compile FlashInfer's kernels: {error}")
    doubts += passed_over
    if not homes and not passed_over:
        doubts.append("there is no nvcc")
    if record["jit_cache"] and not record["compiler"]:
        record["why"] = (
            f"FlashInfer's compiled kernels are there and no compiler is: DeepGEMM is switched off (VLLM_USE_DEEP_GEMM=0), and a"
            f" kernel that is not among the compiled ones ends a start. {_list(doubts)}. See that g++ is installed"
            f" (vllm_engine_packages), and prepare the wheelhouse or lock anew {_WHEN}"
        )
    if not record["jit_cache"] and not record["compiler"]:
        record["why"] = (
            f"FlashInfer {record['flashinfer']} has no compiled kernels and no compiler here, so"
            f" {kernels.LOSS_OF_SAMPLING} {kernels.LOSS}. {_list(doubts)}."
            " See that g++ is installed (vllm_engine_packages), or set vllm_engine_kernels_index and prepare the wheelhouse or"
            f" lock anew {_WHEN}"
        )
    return record


def _list(doubts: Sequence[str]) -> str:
    text = "; ".join(doubts)
    return text[:1].upper() + text[1:]


def version_of(engine: Path, distribution: str) -> str:
    """Return the version of an installed distribution, named as its directory is; '' where it is not there."""
    for path in sorted(engine.glob(f"lib/python3*/site-packages/{distribution}-*.dist-info")):
        return path.name[len(distribution) + 1 : -len(".dist-info")]
    return ""


def look(engine: Path) -> kernels.KernelRecord:
    """Return a record of an engine that was installed before records were kept: what lies there, nothing of it proved."""
    return {
        "flashinfer": version_of(engine, "flashinfer_python"),
        "cubin": version_of(engine, "flashinfer_cubin"),
        "jit_cache": version_of(engine, "flashinfer_jit_cache"),
        # Its unit names no compiler, so only the host's own counts.
        "compiler": next((home for home in _homes(engine) if home != str(engine / kernels.HOME)), ""),
    }
