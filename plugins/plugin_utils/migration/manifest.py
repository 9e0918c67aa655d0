"""Containers of Kubernetes manifests: pods, and whatever has a pod's template in it.

Source: Kubernetes API reference, Container v1 core: `command` replaces the image's entrypoint, `args` its arguments; `$(NAME)`
in them is a variable of `env`, `$$(NAME)` is not. GPUs are counted (`nvidia.com/gpu`), never named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.docker import Container
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.entry import SECRET_VARIABLES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.start import Mount, Start
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.starts import of_container
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Gap, Word

_GPUS = ("nvidia.com/gpu", "amd.com/gpu", "nvidia.com/gpu.shared")


def of_manifest(document: Any) -> Iterator[Start]:
    """Starts of vLLM in one document of a manifest."""
    for pod in _pods(document):
        replicas = _replicas(document)
        for given in _items(pod.get("containers")):
            container = _container(given, pod)
            if replicas > 1:
                container.notes.append(f"The manifest has {replicas} replicas: an entry has one engine a host")
            yield from of_container(container)


def _pods(node: Any) -> Iterator[Values]:
    """Every mapping with `containers`, however deep: templates of Deployments, CronJobs, LeaderWorkerSets, lists of them."""
    if isinstance(node, Mapping):
        if isinstance(node.get("containers"), list):
            yield node
            return
        for value in node.values():
            yield from _pods(value)
    elif isinstance(node, list):
        for item in node:
            yield from _pods(item)


def _replicas(document: Any) -> int:
    spec = document.get("spec") if isinstance(document, Mapping) else None
    count = spec.get("replicas") if isinstance(spec, Mapping) else None
    return count if isinstance(count, int) else 1


def _container(given: Values, pod: Values) -> Container:
    notes: list[str] = []
    env = _environment(given, notes)
    command, args, directory = given.get("command"), given.get("args"), given.get("workingDir")
    hosts = [
        (str(port["hostPort"]), str(port.get("containerPort", "")))
        for port in _items(given.get("ports"))
        if port.get("hostPort")
    ]
    return Container(
        str(given.get("image", "")),
        [_word(item, env) for item in command] if isinstance(command, list) else None,
        [_word(item, env) for item in args] if isinstance(args, list) else [],
        env,
        _gpus(given),
        hosts,
        _mounts(given, pod),
        notes,
        directory=None if directory is None else str(directory),
    )


def _items(value: Any) -> list[Values]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _environment(given: Values, notes: list[str]) -> dict[str, Word]:
    env: dict[str, Word] = {}
    for item in _items(given.get("env")):
        name = str(item.get("name"))
        if "valueFrom" in item:
            vault = SECRET_VARIABLES.get(name)
            todo = f": put it into a vault as {vault}" if vault else ": left out"
            notes.append(f"{name} comes from the cluster (valueFrom){todo}")
            env.pop(name, None)
        else:
            env[name] = _word(item.get("value", ""), env)
    for item in _items(given.get("envFrom")):
        source = next((value.get("name") for value in item.values() if isinstance(value, Mapping)), "envFrom")
        notes.append(f"Further variables stand in {source} of the cluster (envFrom): they are not here")
    return env


def _word(value: Any, env: Mapping[str, Word]) -> Word:
    gaps: list[Gap] = []

    def put(match: re.Match[str]) -> str:
        if match[0].startswith("$$"):
            return match[0][1:]
        known = env.get(match[1])
        if known is None:
            gaps.append(Gap(match[0], "a variable of the cluster"))
            return match[0]
        gaps.extend(known.gaps)
        return known.text

    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Word(re.sub(r"\$?\$\(([A-Za-z_]\w*)\)", put, text), tuple(gaps))


def _gpus(given: Values) -> str:
    resources = given.get("resources")
    for kind in ("limits", "requests"):
        asked = resources.get(kind) if isinstance(resources, Mapping) else None
        for name in _GPUS:
            if isinstance(asked, Mapping) and str(asked.get(name, "")).strip():
                return f"count={asked[name]}" if str(asked[name]).isdigit() else str(asked[name])
    return ""


def _mounts(given: Values, pod: Values) -> list[Mount]:
    sources = {volume.get("name"): volume for volume in _items(pod.get("volumes"))}
    found = []
    for mount in _items(given.get("volumeMounts")):
        volume = sources.get(mount.get("name"), {})
        host = volume.get("hostPath")
        path = host.get("path") if isinstance(host, Mapping) else None
        inner = str(mount.get("subPath") or "")
        source = f"{path}/{inner}".rstrip("/") if path else str(mount.get("name"))
        found.append(Mount(source, str(mount.get("mountPath", "")), named=path is None))
    return found
