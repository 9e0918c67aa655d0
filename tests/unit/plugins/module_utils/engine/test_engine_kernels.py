"""FlashInfer's compiled kernels: what a lock says of them, and finding them on an index like FlashInfer's, on loopback."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("ansible.plugins", reason="ansible-test runs what lies here as on a host: without the control node")

from ansible_collections.baremetal.vllm.plugins.action import engine
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import build, kernels, lock
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.kernels import Kernels
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import bundle, prepare, wheels
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.prepare import Options, Preparation
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.resolve import resolve
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import Target, request
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.tools import ToolError, run, uv_binary, uv_compile

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
FLASHINFER = "0.7.2.post1"


def pins(**versions: str) -> tuple[lock.Pin, ...]:
    return tuple(lock.Pin(name.replace("_", "-"), version, ("a" * 64,)) for name, version in versions.items())


# As uv resolved them from the package index on 2026-11-29, of each lock only what matters here.
LOCK_0_21 = pins(
    torch="2.11.0",
    cuda_toolkit="13.0.2",
    nvidia_cuda_runtime="13.0.96",
    flashinfer_python="0.6.8.post1",
    flashinfer_cubin="0.6.8.post1",
)
LOCK_0_33 = pins(
    torch="2.14.0",
    cuda_toolkit="13.0.3.0",
    nvidia_cuda_runtime="13.0.96",
    nvidia_cuda_nvcc="13.5.37",
    flashinfer_python=FLASHINFER,
)


def test_what_locks_of_releases_lack() -> None:
    assert kernels.read(LOCK_0_33) == Kernels(FLASHINFER, "", "", "13.0", "13.5")
    assert kernels.lacking(kernels.read(LOCK_0_21)) == "it has no flashinfer-jit-cache and no nvidia-cuda-nvcc"
    assert kernels.lacking(kernels.read(LOCK_0_33)).endswith("nvidia-cuda-nvcc 13.5 does not go with CUDA 13.0")
    assert kernels.lacking(replace(kernels.read(LOCK_0_33), nvcc="13.0")) == ""
    assert kernels.lacking(replace(kernels.read(LOCK_0_33), jit_cache=f"{FLASHINFER}+cu130")) == ""
    assert kernels.toolkit(LOCK_0_33) == ("cuda-toolkit[nvcc,cccl]==13.0.3.0", "nvidia-cuda-cuobjdump>=13,<13.5")
    assert kernels.toolkit(pins(torch="2.9.0+cu129")) == kernels.toolkit(pins(cuda_toolkit="12.9.1")) == ()
    assert kernels.read(pins(torch="2.9.0+cu129", nvidia_cuda_runtime_cu12="12.9.79")).cuda == "12.9"


@pytest.mark.parametrize(
    ("cuda", "expected"),
    [
        ("13.0", ["cu130"]),
        ("13.2", ["cu132", "cu131", "cu130"]),
        ("12.9", ["cu129", "cu128", "cu127", "cu126"]),
        ("12.4", []),
        ("", []),
        ("thirteen", []),
    ],
)
def test_a_build_for_an_older_cuda_of_the_same_major_version_does(cuda: str, expected: list[str]) -> None:
    assert kernels.labels(cuda) == expected


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"cubin": FLASHINFER, "jit_cache": f"{FLASHINFER}+cu130"}, []),
        ({"jit_cache": FLASHINFER}, []),
        ({"cubin": "0.6.13"}, ["flashinfer-cubin is 0.6.13 and flashinfer-python 0.7.2.post1"]),
        ({"jit_cache": "0.7.2+cu130"}, ["flashinfer-jit-cache is 0.7.2+cu130 and flashinfer-python 0.7.2.post1"]),
        ({"jit_cache": f"{FLASHINFER}+cu129"}, ["another CUDA than the engine's 13.0 (cu130 goes with it)"]),
        ({"jit_cache": f"{FLASHINFER}+cu134"}, ["another CUDA than the engine's 13.0 (cu130 goes with it)"]),
        ({"jit_cache": "0.7.1+cu129"}, ["flashinfer-jit-cache is 0.7.1+cu129", "another CUDA"]),
    ],
)
def test_what_does_not_go_together(changed: dict[str, str], said: list[str]) -> None:
    told = kernels.mismatches(replace(kernels.read(LOCK_0_33), **changed))
    assert len(told) == len(said)
    assert all(part in sentence for part, sentence in zip(said, told))


@pytest.mark.parametrize(
    ("release", "accelerator", "expected"),
    [
        ("0.33.0", "cuda", True),
        ("0.21.0", "cuda", True),
        ("0.20.2", "cuda", False),
        ("0.9.2", "cuda", False),
        ("0.33.0", "cpu", False),
        ("0.33.0", "rocm", False),
    ],
)
def test_which_releases_sample_with_flashinfer(release: str, accelerator: str, expected: bool) -> None:
    assert kernels.wanted(release, accelerator) is expected


@pytest.mark.parametrize(
    ("release", "accelerator", "record", "expected"),
    [
        ("0.33.0", "cuda", {"compiler": "/c", "cuobjdump": True}, {"CUDA_HOME": "/c"}),
        ("0.33.0", "cuda", {"jit_cache": "1+cu130", "compiler": "/c", "cuobjdump": True}, {"CUDA_HOME": "/c"}),
        ("0.33.0", "cuda", {"compiler": "/c"}, {"CUDA_HOME": "/c", "VLLM_USE_DEEP_GEMM": "0"}),
        ("0.33.0", "cuda", {"jit_cache": "1+cu130", "compiler": ""}, {"VLLM_USE_DEEP_GEMM": "0"}),
        (
            "0.33.0",
            "cuda",
            {"cubin": "1", "jit_cache": "", "compiler": ""},
            {"VLLM_USE_FLASHINFER_SAMPLER": "0", "VLLM_USE_DEEP_GEMM": "0"},
        ),
        ("0.33.0", "cuda", {"flashinfer": ""}, {}),
        ("0.20.2", "cuda", {}, {}),
        ("0.33.0", "cpu", {}, {}),
    ],
)
def test_what_units_are_told(release: str, accelerator: str, record: dict[str, str], expected: dict[str, str]) -> None:
    assert kernels.environment(release, accelerator, {"flashinfer": "1", **record}) == expected
    assert kernels.environment(release, accelerator, {}) == {}


@pytest.mark.parametrize("value", ["flashinfer.ai/whl", "ftp://mirror", 7, ["https://x"], "https://a b", "None"])
def test_an_index_that_is_no_address(value: object) -> None:
    assert "is no address of a package index" in kernels.index_error(value)


@pytest.mark.parametrize("value", [None, "", "none", "https://mirror.example/whl", "file:///srv/whl"])
def test_an_index_that_is_one(value: object) -> None:
    assert kernels.index_error(value) == ""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class Indexes:
    """A package index below `simple/` and FlashInfer's below `whl/`, with wheels of metadata alone."""

    def __init__(self, root: Path, address: str) -> None:
        self.root, self.address = root, address

    def add(self, index: str, name: str, version: str, *requires: str, tag: str = "py3-none-any") -> None:
        directory = self.root / index / name
        directory.mkdir(parents=True, exist_ok=True)
        stem = f"{name.replace('-', '_')}-{version}"
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
            f"Requires-Dist: {r}\n" for r in requires
        )
        extras = sorted({r.split('"')[1] for r in requires if "extra ==" in r})
        text += "".join(f"Provides-Extra: {extra}\n" for extra in extras)
        wheel = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"
        files = {
            f"{stem}.dist-info/METADATA": text.encode(),
            f"{stem}.dist-info/WHEEL": wheel.encode(),
            f"{name.replace('-', '_')}/__init__.py": b"",
        }
        path = wheels.write_wheel(directory, stem, tag, files, 0)
        fragment = f"#sha256={lock.sha256_of(path)}"
        page = directory / "index.html"
        before = page.read_text() if page.exists() else "<!DOCTYPE html>\n"
        page.write_text(before + f'<a href="{path.name.replace("+", "%2B")}{fragment}">{path.name}</a><br>\n')

    def kernels(self, version: str = FLASHINFER, label: str = "cu130") -> None:
        self.add("whl", "flashinfer-cubin", version)
        local = f"{version}+{label}"
        parts = [f"flashinfer-jit-cache-{sm}" for sm in ("sm90a", "sm100a")]
        self.add(f"whl/{label}", "flashinfer-jit-cache", local, *(f"{part}=={local}" for part in parts))
        for part in parts:
            self.add(f"whl/{label}", part, local)


@pytest.fixture
def indexes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Indexes]:
    # uv keeps pages by their address for ten minutes, and an earlier test's server may have had the same port.
    monkeypatch.setenv("UV_NO_CACHE", "1")
    root = tmp_path / "served"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    made = Indexes(root, f"http://127.0.0.1:{server.server_port}")
    # As 0.33.0 has it: whatever else asks for nvcc gets the newest one, of another CUDA than torch's.
    made.add("simple", "vllm", "0.33.0", "torch", f"flashinfer-python=={FLASHINFER}", "nvidia-cuda-nvcc")
    made.add("simple", "vllm", "0.20.2", "torch", f"flashinfer-python=={FLASHINFER}", "nvidia-cuda-nvcc")
    made.add("simple", "torch", "2.14.0", "cuda-toolkit[cudart]==13.0.3")
    toolkit = {
        "cudart": ["nvidia-cuda-runtime==13.0.96"],
        "nvcc": ["nvidia-cuda-nvcc==13.0.88"],
        "cccl": ["nvidia-cuda-cccl==13.0.85"],
    }
    made.add("simple", "cuda-toolkit", "13.0.3", *(f'{r}; extra == "{e}"' for e, rs in toolkit.items() for r in rs))
    made.add("simple", "nvidia-cuda-runtime", "13.0.96")
    made.add("simple", "nvidia-cuda-cccl", "13.0.85")
    made.add("simple", "nvidia-cuda-cuobjdump", "13.5.37")
    made.add("simple", "nvidia-cuda-cuobjdump", "13.4.92")
    for version in ("13.0.88", "13.5.37"):
        made.add("simple", "nvidia-cuda-nvcc", version)
    made.add("simple", "flashinfer-python", FLASHINFER)
    # What the package index had until 0.6.13.
    made.add("simple", "flashinfer-cubin", "0.6.13")
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def resolved(
    indexes: Indexes, tmp_path: Path, index: str | None, release: str = "0.33.0"
) -> tuple[dict[str, str], list[str]]:
    """Versions by name, and what was said. `index` None: FlashInfer's own."""
    target = Target(release, "cuda", PYTHON, kernels_index=index or "")
    output = tmp_path / "out.lock"
    said: list[str] = []
    arguments = ["--default-index", f"{indexes.address}/simple", "--no-cache"]
    resolve(target, request(target), tmp_path, output, arguments, uv_compile, said.append)
    return {pin.name: pin.version for pin in lock.parse_lock(output.read_text())}, said


def test_compiled_kernels_and_one_toolkit_are_locked(indexes: Indexes, tmp_path: Path) -> None:
    indexes.kernels()
    versions, said = resolved(indexes, tmp_path, f"{indexes.address}/whl/")
    assert {name: version for name, version in versions.items() if kernels.is_kernel(name)} == {
        "flashinfer-cubin": FLASHINFER,
        "flashinfer-jit-cache": f"{FLASHINFER}+cu130",
        "flashinfer-jit-cache-sm90a": f"{FLASHINFER}+cu130",
        "flashinfer-jit-cache-sm100a": f"{FLASHINFER}+cu130",
    }
    toolkit = {"nvidia-cuda-nvcc": "13.0.88", "nvidia-cuda-cccl": "13.0.85", "nvidia-cuda-cuobjdump": "13.4.92"}
    assert {name: versions[name] for name in toolkit} == toolkit
    assert said == []


def test_an_older_release_and_another_index_setting_change_nothing(indexes: Indexes, tmp_path: Path) -> None:
    indexes.kernels()
    versions, said = resolved(indexes, tmp_path, f"{indexes.address}/whl", release="0.20.2")
    assert not any(map(kernels.is_kernel, versions))
    assert versions["nvidia-cuda-nvcc"] == "13.5.37"
    versions, said = resolved(indexes, tmp_path, "none")
    assert not any(map(kernels.is_kernel, versions))
    assert (versions["nvidia-cuda-nvcc"], said) == ("13.0.88", [])


@pytest.mark.parametrize(
    ("lay", "said"),
    [
        pytest.param(
            lambda i: None, "flashinfer-cubin and flashinfer-jit-cache of FlashInfer 0.7.2.post1", id="missing"
        ),
        pytest.param(
            lambda i: i.kernels("0.7.1"),
            "flashinfer-cubin and flashinfer-jit-cache of FlashInfer 0.7.2.post1",
            id="version",
        ),
        pytest.param(
            lambda i: i.kernels(label="cu129"),
            "flashinfer-jit-cache of FlashInfer 0.7.2.post1 for CUDA 13.0",
            id="cuda",
        ),
        pytest.param(
            lambda i: i.add("whl", "flashinfer-cubin", FLASHINFER), "flashinfer-jit-cache of FlashInfer", id="half"
        ),
    ],
)
def test_a_named_index_without_the_right_kernels_is_refused(
    indexes: Indexes, tmp_path: Path, lay: object, said: str
) -> None:
    lay(indexes)  # type: ignore[operator]
    with pytest.raises(ToolError) as refused:
        resolved(indexes, tmp_path, f"{indexes.address}/whl")
    text = str(refused.value)
    assert text.startswith("vllm_engine_kernels_index (wheelhouse_kernels_index): ")
    assert said in text
    assert f"at {indexes.address}/whl" in text
    assert "Mirror https://flashinfer.ai/whl" in text


def test_a_mirrors_password_is_not_told(indexes: Indexes, tmp_path: Path) -> None:
    address = indexes.address.replace("://", "://reader:s3cret@")
    with pytest.raises(ToolError) as refused:
        resolved(indexes, tmp_path, f"{address}/whl")
    assert "s3cret" not in str(refused.value)
    assert f"{indexes.address.replace('://', '://***@')}/whl" in str(refused.value)


def test_flashinfers_own_index_may_be_out_of_reach(
    indexes: Indexes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.resolve.INDEX", f"{indexes.address}/gone"
    )
    versions, said = resolved(indexes, tmp_path, None)
    assert not any(map(kernels.is_kernel, versions))
    assert versions["nvidia-cuda-nvcc"] == "13.0.88"
    assert len(said) == 1
    assert "compiled at the first start" in said[0]
    assert "vllm_engine_kernels_index" in said[0]


def distributions(job: build.BuildJob) -> set[str]:
    """What is installed, named as its directory is."""
    return {path.name.partition("-")[0] for path in job.path.glob("lib/python3*/site-packages/*.dist-info")}


def test_a_wheelhouse_has_the_kernels_in_it(indexes: Indexes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indexes.kernels()
    version = run([uv_binary(), "--version"], "asking").split()[1]
    indexes.add("simple", "uv", version, tag="py3-none-manylinux_2_17_x86_64")
    for name, value in {
        "PIP_INDEX_URL": f"{indexes.address}/simple",
        "PIP_CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    target = Target("0.33.0", "cuda", PYTHON, kernels_index=f"{indexes.address}/whl")
    house = tmp_path / "house"
    Preparation(target, house, Options(), lambda line: None).prepare()
    names = {wheels.named(path.name)[0] for path in (house / "wheels").iterdir()}
    assert {"flashinfer-cubin", "flashinfer-jit-cache", "flashinfer-jit-cache-sm90a"} <= names
    assert prepare.fits(target, Options(), house, prepare.read_manifest(house))
    job = build.BuildJob("0.33.0", "cuda", tmp_path / "opt" / "0.33.0", tmp_path / "none", "", sys.executable)
    job.staging.mkdir(parents=True)
    (job.staging / "wheels").symlink_to(house / "wheels")
    (job.staging / "requirements.lock").symlink_to(house / "requirements.lock")
    build.install(job, Path(uv_binary()))
    assert distributions(job) >= {"vllm", "flashinfer_cubin", "flashinfer_jit_cache", "flashinfer_jit_cache_sm90a"}
    elsewhere = replace(target, kernels_index="none")
    assert not prepare.fits(elsewhere, Options(), house, prepare.read_manifest(house))
    assert replace(target, accelerator="cpu").inputs_digest() == replace(elsewhere, accelerator="cpu").inputs_digest()


# Of 0.33.0 for cuda and Python 3.12, as wheelhouses of before FlashInfer's index was asked have it in their manifests.
BEFORE = "3c6466be15f95259c72d365b3e3f7464a6fe051d2b2760014a86511d0b7e0340"


def test_a_wheelhouse_of_before_there_were_kernels_stays_good_unless_an_index_is_named() -> None:
    target = Target("0.33.0", "cuda", "3.12")
    assert target.inputs_digest() == BEFORE
    assert (
        len({replace(target, kernels_index=index).inputs_digest() for index in ("", "none", "https://m.example")}) == 3
    )


def test_a_lock_with_kernels_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = tmp_path / "given.lock"
    given.write_text(lock.render_lock((*LOCK_0_33, *pins(flashinfer_cubin="0.6.13"))))
    target = Target("0.33.0", "cuda", PYTHON)
    with pytest.raises(ToolError, match=r"flashinfer-cubin is 0\.6\.13 and flashinfer-python 0\.7\.2\.post1"):
        Preparation(target, tmp_path / "house", Options(lock=str(given)), lambda line: None).prepare()
    with pytest.raises(ToolError, match=r"wheelhouse_update: true.*vllm_engine_kernels_index"):
        bundle.for_index(target, given, tmp_path / "locks", [])


# Nothing listens there, so uv is refused, as behind a firewall; without retries it says so at once.
DEAD = "http://127.0.0.1:9/whl"


def installed_on_host(indexes: Indexes, tmp_path: Path, held: str, index: str) -> set[str]:
    """What a host has after it installed a lock from the package index; `index` as vllm_engine_kernels_index has it."""
    job = build.BuildJob(
        release="0.33.0",
        accelerator="cuda",
        path=tmp_path / "opt" / "0.33.0",
        bundle=tmp_path / "none",
        lock_sha256="",
        python=sys.executable,
        offline=False,
        default_index=f"{indexes.address}/simple",
        kernels_index=index,
        environment=("UV_HTTP_RETRIES=0",),
    )
    (job.staging / "wheels").mkdir(parents=True)
    (job.staging / "requirements.lock").write_text(held)
    build.install(job, Path(uv_binary()))
    return distributions(job)


def locked_with_kernels(indexes: Indexes, tmp_path: Path) -> str:
    indexes.kernels()
    resolved(indexes, tmp_path, f"{indexes.address}/whl")
    return (tmp_path / "out.lock").read_text()


ENGINE = {"vllm", "torch", "flashinfer_python", "flashinfer_cubin", "flashinfer_jit_cache_sm90a"}


@pytest.mark.parametrize(
    ("flashinfers", "named"),
    [
        pytest.param(DEAD, "ADDRESS/whl", id="from the index that is named"),
        pytest.param("ADDRESS/whl", "", id="from FlashInfer's own"),
    ],
)
def test_a_host_takes_kernels_from_their_index_and_the_rest_from_its_own(
    indexes: Indexes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flashinfers: str, named: str
) -> None:
    monkeypatch.setattr(kernels, "INDEX", flashinfers.replace("ADDRESS", indexes.address))
    held = locked_with_kernels(indexes, tmp_path)
    assert installed_on_host(indexes, tmp_path, held, named.replace("ADDRESS", indexes.address)) >= ENGINE


@pytest.mark.parametrize("index", ["", "none", DEAD])
def test_a_host_that_reaches_its_own_index_alone_takes_kernels_from_there(
    indexes: Indexes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str
) -> None:
    held = locked_with_kernels(indexes, tmp_path)
    for directory in (*(indexes.root / "whl/cu130").iterdir(), indexes.root / "whl/flashinfer-cubin"):
        shutil.copytree(directory, indexes.root / "simple" / directory.name, dirs_exist_ok=True)
    monkeypatch.setattr(kernels, "INDEX", DEAD)
    assert installed_on_host(indexes, tmp_path, held, index) >= ENGINE


def test_a_lock_of_before_flashinfers_index_is_installed_without_it(
    indexes: Indexes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "INDEX", DEAD)
    # As 0.24.0's lock has it: kernels of the package index, and none that are built for one CUDA.
    (wheel,) = (indexes.root / "simple/flashinfer-cubin").glob("*.whl")
    pin = lock.Pin("flashinfer-cubin", "0.6.13", (lock.sha256_of(wheel),))
    assert "flashinfer_cubin" in installed_on_host(indexes, tmp_path, lock.render_lock((pin,)), "")


@pytest.mark.parametrize("index", ["", "none", DEAD])
def test_kernels_that_no_index_has_are_told_with_the_setting(
    indexes: Indexes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str
) -> None:
    monkeypatch.setattr(kernels, "INDEX", DEAD)
    held = locked_with_kernels(indexes, tmp_path)
    with pytest.raises(build.BuildError) as refused:
        installed_on_host(indexes, tmp_path, held, index)
    told = str(refused.value)
    assert "installing FlashInfer's compiled kernels failed" in told
    assert "What to do: name in vllm_engine_kernels_index a mirror" in told
    assert (DEAD in told.partition("What to do")[0]) is (index != "none")


@pytest.mark.parametrize(
    ("index", "reached", "tried"),
    [
        ("", (True,), [[]]),
        ("", (False, True), [[], ["OWN/cu130", "OWN"]]),
        ("", (False, False), [[], ["OWN/cu130", "OWN"]]),
        ("none", (True,), [[]]),
        ("none", (False,), [[]]),
        ("https://m.example", (True,), [["https://m.example/cu130", "https://m.example"]]),
    ],
)
def test_a_wheelhouse_waits_for_flashinfers_index_only_where_nothing_else_has_its_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str, reached: tuple[bool, ...], tried: list[list[str]]
) -> None:
    asked: list[list[str]] = []

    def download(target: Target, directory: Path, arguments: list[str], what: str) -> None:
        asked.append([after for word, after in zip(arguments, arguments[1:]) if word == "--extra-index-url"])
        if not reached[len(asked) - 1]:
            raise ToolError(f"{what} failed")

    monkeypatch.setattr(prepare, "pip_download", download)
    preparation = Preparation(Target("0.33.0", "cuda", PYTHON, kernels_index=index), tmp_path, Options(), print)
    preparation.kernels_at = kernels.index_urls(index, f"{FLASHINFER}+cu130")
    batch = list(pins(flashinfer_jit_cache=f"{FLASHINFER}+cu130"))
    if reached[-1]:
        preparation.fetch_batch(0, batch)
    else:
        with pytest.raises(ToolError, match=r"flashinfer-jit-cache failed\nName in vllm_engine_kernels_index"):
            preparation.fetch_batch(0, batch)
    assert asked == [[url.replace("OWN", kernels.INDEX) for url in urls] for urls in tried]


@pytest.mark.parametrize("index", ["", "none", "https://m.example"])
def test_a_host_knows_whether_an_index_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    packed = tmp_path / "bundle.tar"
    packed.touch()
    arguments = {
        "step": "install",
        "release": "0.33.0",
        "accelerator": "cuda",
        "path": "/opt/vllm/0.33.0",
        "kernels_index": index,
    }
    task = SimpleNamespace(args=arguments, async_val=0, check_mode=False, diff=False, action="")
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/tmp", join_path=lambda *parts: "/".join(parts)))
    action = engine.ActionModule(task, connection, None, None, None, None)
    monkeypatch.setattr(engine, "pack", lambda asked, warn: (packed, "digest"))
    monkeypatch.setattr(action, "_make_tmp_path", lambda: "/tmp/x")
    monkeypatch.setattr(action, "_transfer_file", lambda local, remote: remote)
    monkeypatch.setattr(action, "_execute_module", lambda module_name, module_args, task_vars: {"sent": module_args})
    assert action.run(task_vars={})["sent"]["kernels_index"] == index
