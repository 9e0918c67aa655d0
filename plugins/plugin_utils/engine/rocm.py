"""What an operator asks of an engine for ROCm, judged before anything is fetched or any host is touched. Control node only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.amd.model import WantedRocm
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import lock
from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problem, Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.text.urls import without_users
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd import builds
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd.releases import releases
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.suits import unsuited
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments

# The variables of a host that are read here, beside vllm_accelerator and vllm_version.
KEYS = (
    "vllm_engine_source",
    "vllm_engine_rocm",
    "vllm_engine_index_url",
    "vllm_engine_index_urls",
    "vllm_engine_lock",
    "vllm_engine_python",
)


def of_host(release: str, declared: Values) -> list[Problem]:
    """What is wrong with a host's `vllm_engine_*` where its accelerator is rocm. Keys are the variables' names."""
    named, lock_path = _texts(declared.get("vllm_engine_index_urls")), str(declared.get("vllm_engine_lock") or "")
    index = declared.get("vllm_engine_source") == "index"
    rocm = str(declared.get("vllm_engine_rocm") or "")
    found = list(_build("vllm_engine_rocm", release, rocm, named if index else ()))
    python = str(declared.get("vllm_engine_python") or "auto")
    if re.match(r"\d", python):
        found += _python("vllm_engine_python", python)
    if not index:
        return found
    found += _indexes("vllm_engine_index_urls", release, named, rocm)
    default = str(declared.get("vllm_engine_index_url") or "")
    if default and builds.misplaced(default, release):
        # It stands in the package index's place, and holds little of what that has.
        found += _indexes("vllm_engine_index_url", release, [default], rocm)
    if lock_path:
        found += _lock(Path(lock_path), release, rocm)
    return found


def check_host(release: str, declared: Values, software: WantedRocm | None, problems: Problems) -> None:
    """Judge a host for ROCm while the fleet is planned. `software`: what it asks of AMD's packages, None where nothing.

    A build that brings no libraries of its own finds the host's, and was made with one release of them (vLLM's installation page,
    0.33.0: the ROCm 7.2 wheels "use a system ROCm installation"); another one may do, so that is told and not refused.
    """
    for problem in of_host(release, declared):
        problems.add(f"{HOSTS}.{problem.key}", problem.reason, problem.remedy)
    if software is None or problems.problems:
        return
    named = _texts(declared.get("vllm_engine_index_urls")) if declared.get("vllm_engine_source") == "index" else ()
    build = builds.chosen(release, str(declared.get("vllm_engine_rocm") or ""), named)
    if build.rocm and not build.bundled and numbers(software.version)[:2] != numbers(build.rocm)[:2]:
        same = [known for known in releases() if numbers(known)[:2] == numbers(build.rocm)[:2]]
        problems.warn(
            f"{HOSTS}.rocm_version",
            f"{build.name} of vLLM {release} was built with ROCm {build.rocm}, and the host gets {software.version}",
            f"Write rocm_version: {same[-1]}" if same else "Watch its first start",
        )


def of_wheelhouse(asked: Arguments) -> list[Problem]:
    """What is wrong with the arguments of M(baremetal.vllm.wheelhouse) for rocm. Keys are the playbook's variables."""
    release, named, rocm = asked["release"], asked["index_urls"], asked["rocm"] or ""
    found = list(_build("wheelhouse_rocm", release, rocm, named))
    found += _indexes("wheelhouse_index_urls", release, named, rocm)
    if asked["python_version"]:
        found += _python("wheelhouse_python_version", asked["python_version"])
    if asked["arch"] != builds.arch():
        reason = f"vLLM's builds for ROCm are for {builds.arch()} alone"
        found.append(Problem("wheelhouse_arch", reason, f"Leave it out, or write {builds.arch()}"))
    if asked["glibc"] and not found:
        build = builds.chosen(release, rocm, named)
        if numbers(asked["glibc"]) < numbers(build.glibc):
            reason = f"{build.name} of vLLM {release} needs glibc {build.glibc}, and {asked['glibc']} is older"
            found.append(Problem("wheelhouse_glibc", reason, _older(build, asked["glibc"], "wheelhouse_rocm")))
    return found


def beyond(build: builds.Build, glibc: str, arch: str) -> str:
    """Why a host cannot run a build, with the remedy; "" where it can. `glibc` as the host has it, "" unknown."""
    if arch != builds.arch():
        return f"vLLM's builds for ROCm are for {builds.arch()} alone, and this host is {arch}"
    if glibc and numbers(glibc)[:2] < numbers(build.glibc):
        reason = f"{build.name} of vLLM {build.release} needs glibc {build.glibc}, and this host has {glibc}"
        return f"{reason}. {_older(build, glibc, 'vllm_engine_rocm')}"
    return ""


def unresolved(key: str, build: builds.Build, indexes: Sequence[str]) -> str:
    """What to do where uv found no such build: what it says about it names neither variable nor remedy."""
    known = ", ".join(one.name for one in builds.builds(build.release)) or "none"
    where = without_users(" and ".join(indexes))
    return (
        f"{key}: {where} has no vllm {build.version} for Python {builds.python()}, or not all that goes with it, or cannot be"
        f" reached. The package index is not asked for it instead, because it has vLLM for CUDA alone. Builds of vLLM"
        f" {build.release} for ROCm: {known}. A mirror is named with release and build: https://MIRROR/{build.release}/{build.name}"
    )


def _older(build: builds.Build, glibc: str, key: str) -> str:
    others = [one.name for one in builds.builds(build.release) if numbers(one.glibc) <= numbers(glibc)]
    return f"Write {key}: {others[0]}" if others else "Use hosts with a newer distribution"


def _build(key: str, release: str, rocm: str, named: Sequence[str]) -> Iterator[Problem]:
    try:
        builds.chosen(release, rocm, named)
    except builds.NoBuildError as error:
        known = [one.name for one in builds.builds(release)]
        own = f"name an index that holds builds of your own ({key.rpartition('_')[0]}_index_urls) and which one ({key}: rocm71)"
        remedy = f"Write {key}: {known[0]}, or leave it out" if known else f"Plan a later release, or {own}"
        yield Problem(key, str(error), remedy)


def _indexes(key: str, release: str, urls: Sequence[str], rocm: str) -> Iterator[Problem]:
    for url in urls:
        why = builds.misplaced(url, release)
        if not why:
            continue
        known = [one for one in builds.builds(release) if rocm in ("", one.name)]
        remedy = f"Write release and build: {known[0].index}" if known else "Leave it out"
        if key.endswith("_url"):
            remedy += f", and that in {key}s: this one stands in the package index's place"
        yield Problem(key, f"{without_users(url)} {why}", remedy)


def _python(key: str, given: str) -> Iterator[Problem]:
    wanted = builds.python()
    if numbers(given)[:2] != numbers(wanted):
        reason = f"vLLM's builds for ROCm are for Python {wanted} alone, and {given} is asked for"
        yield Problem(
            key, reason, f"Leave it out, or write {wanted}; a host that has none gets it from uv or the wheelhouse"
        )


def _lock(path: Path, release: str, rocm: str) -> Iterator[Problem]:
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except FileNotFoundError:
        # It is made by the first run.
        return
    except (OSError, ValueError, RuntimeError) as error:
        yield Problem("vllm_engine_lock", f"{path} cannot be read: {error}", "Name a file that can be, or none")
        return
    try:
        why = unsuited(lock.parse_lock(text), release, "rocm", rocm)
    except lock.LockError as error:
        why = str(error)
    if why:
        yield Problem("vllm_engine_lock", f"{path} is no lock for ROCm: {why}", MADE_ANEW)


MADE_ANEW = "Remove that file, and the next run makes it from vllm_engine_index_urls; or name one made for this release"


def _texts(given: Any) -> list[str]:
    return [str(one) for one in given] if isinstance(given, (list, tuple)) else []
