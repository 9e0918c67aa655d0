"""What a bundle of a plan holds: engines as they lie on the control node, weights, compile caches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.images import KIND
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import LockError
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.module_utils.warm import cache
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import EngineFacts, HostFacts, parts
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.manifest import FileEntry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.manifest import (
    IMAGES,
    WARM,
    WEIGHTS,
    WHEELHOUSES,
    Part,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import forms, prepare, store
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.at_hand import ARCHES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.sources import (
    default_wheelhouse,
    wheelhouse_command,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import FleetPlan
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm.service import compiled_for
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm.store import WarmStore, of_service
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.fingerprint import entries, fingerprint

# What a service's parts lack while no host is asked.
_NO_HOST, _NO_ENGINE = HostFacts("", "", ""), EngineFacts("", "")


@dataclass(frozen=True)
class WantedPart:
    """A part as it is to lie in the bundle; `source` is its directory on the control node, "" of a hub's model, whose files
    nobody knows before it was fetched."""

    part: Part
    source: str = ""


def engine_wishes(plan: FleetPlan, variables: Mapping[str, Mapping[str, object]]) -> list[Arguments]:
    """Every engine of the plan once, as `engine.forms` and `engine.prepare` take it; `variables` by host (ENGINE_KEYS)."""
    wishes = []
    for host, planned in plan.hosts.items():
        if planned.engine is None:
            continue
        of = variables.get(host, {})
        wish = {
            "release": planned.engine.release,
            "accelerator": planned.engine.accelerator,
            **{key: str(of.get(f"vllm_engine_{key}") or "") for key in ("form", "images", "wheelhouse", "rocm")},
        }
        if wish not in wishes:
            wishes.append(wish)
    return wishes


def engines(wish: Arguments, problems: Problems) -> Iterator[WantedPart]:
    """The images of an engine, or where there are none its wheelhouses, of each architecture. What lacks is a problem."""
    found = 0
    for arch in ARCHES:
        images = [] if wish["form"] == forms.PACKAGES else forms.images_for(wish, arch)
        for image in images:
            found += 1
            yield _image(image)
        if images or wish["form"] == forms.IMAGE:
            continue
        try:
            houses = prepare.acceptable({**wish, "source": "wheelhouse"}, arch)[0]
        except (LockError, OSError, UnicodeDecodeError) as error:
            problems.add("vllm_engine_wheelhouse", str(error).rstrip("."), "Prepare the wheelhouse anew")
            found += 1
            continue
        for house, manifest in houses.items():
            found += 1
            names = [prepare.MANIFEST, prepare.LOCK, *manifest["files"]]
            about = {key: str(manifest[key]) for key in ("release", "accelerator", "arch", "python")}
            about["build"] = str(wish["rocm"])
            yield WantedPart(Part("wheelhouse", _named(Path(house), about), about, entries(house, names)), house)
    if not found:
        _lacking(wish, problems)


def _named(house: Path, about: Mapping[str, str]) -> str:
    """Where a wheelhouse lies in the bundle: under the name by which it is found there, whatever it is called here."""
    stem = f"{about['release']}-{about['accelerator']}"
    name = house.name if house.name.startswith(stem) else f"{stem}-py{about['python']}-{about['arch']}"
    return f"{WHEELHOUSES}/{name}"


def _image(image: store.Image) -> WantedPart:
    place = image.file.parent
    names = [store.MANIFEST, prepare.LOCK, f"{image.digest}.{KIND}", f"{image.digest}.cdx.json"]
    about = {key: str(getattr(image, key)) for key in ("release", "accelerator", "arch", "python", "build")}
    return WantedPart(Part("image", f"{IMAGES}/{image.name}", about, entries(str(place), names)), str(place))


def _lacking(wish: Arguments, problems: Problems) -> None:
    release, accelerator = wish["release"], wish["accelerator"]
    images, house = store.directory_of(wish), Path(wish["wheelhouse"] or default_wheelhouse()).expanduser()
    image = f"an image in {images}" if wish["form"] != forms.PACKAGES else ""
    wheels = f"a wheelhouse in {house}" if wish["form"] != forms.IMAGE else ""
    commands = [store.command(release, accelerator)] if image else []
    if wheels:
        commands.append(wheelhouse_command(release, accelerator, rocm=wish["rocm"], directory=house))
    problems.add(
        f"vLLM {release} for {accelerator}",
        f"there is neither {image} nor {wheels}" if image and wheels else f"there is not {image or wheels}",
        f"Make one: {', or '.join(commands)}",
    )


def weights(plan: FleetPlan, problems: Problems) -> Iterator[WantedPart]:
    """Every model and adapter of the plan once; what lies on hosts already is nobody's to bring."""
    items = {(item.path, item.pushed_from): item for planned in plan.hosts.values() for item in planned.weights}
    taken: set[str] = set()
    for item in items.values():
        if item.source == "hub":
            folder = f"models--{item.repo.replace('/', '--')}"
            path = f"{WEIGHTS}/hub/{folder}/{item.revision}"
            yield WantedPart(Part("hub", path, {"model": item.repo, "revision": item.revision}, ()))
        elif item.source == "pushed":
            try:
                digest, whole = fingerprint(item.pushed_from)
            except ValueError as error:
                problems.add(item.pushed_from, str(error), "Name a directory of the control node that holds the model")
                continue
            # No name in a bundle is hidden.
            stem = item.pushed_from.rstrip("/").rpartition("/")[2].lstrip(".") or "model"
            path = f"{WEIGHTS}/pushed/{stem}/{digest[:16]}"
            while path in taken:
                # The same model in two directories of the control node, which the plan tells apart.
                path += "-again"
            taken.add(path)
            yield WantedPart(
                Part("pushed", path, {"from": item.pushed_from, "digest": digest}, whole.files), item.pushed_from
            )


def caches(plan: FleetPlan, kept: WarmStore, problems: Problems) -> Iterator[WantedPart]:
    """The compile caches that the control node keeps of the plan's services. One that is not whole is told, and left out."""
    seen = set()
    for __, service in plan.endpoints:
        told = compiled_for(service)
        planned = of_service(parts(told, _NO_HOST, _NO_ENGINE)) if told else None
        for found in kept.fitting(planned) if planned else ():
            if found.key in seen:
                continue
            seen.add(found.key)
            try:
                kept.checked(found.key)
            except cache.CacheError as error:
                problems.warn("compile caches", str(error), "It is left out")
                continue
            place = str(kept.directory / found.key)
            about = {
                "key": found.key,
                "model": found.model,
                "release": service.release,
                "accelerator": service.accelerator,
            }
            listed = FileEntry(cache.ARCHIVE, found.size, found.digest)
            files = (listed, *entries(place, [cache.MANIFEST]))
            yield WantedPart(Part("cache", f"{WARM}/{found.key}", about, files), place)
