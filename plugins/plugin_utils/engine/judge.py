"""What is to be done about one engine, from what its host has. On the control node.

It reads wheelhouses and locks that lie there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import forms, prepare, pythons, rocm, sources
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.decide import (
    EngineRefusalError,
    EngineVerdict,
    check_place,
    check_systemd,
    decide,
    room_needed,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.manifest import Manifest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.store import Image
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Registered, Result

# What decides where an engine for ROCm comes from; the module on the host has no use for it.
ROCM = ("source", "rocm", "index_url", "index_urls", "lock", "python")


@dataclass(frozen=True)
class Considered:
    """What is to be done, and what it could be done with: wheelhouses by path, images of the store, and the digests of the locks
    that would do (empty: any)."""

    verdict: EngineVerdict
    houses: Mapping[str, Manifest]
    images: Sequence[Image]
    locks: Sequence[str]


def consider(asked: Arguments, answer: Registered) -> Considered:
    """Decide whether a host's engine is to be installed; `asked` and `answer` as `judge` takes them.

    Raises RefusalError, LockError, NoBuildError.
    """
    release, accelerator, form = asked["release"], asked["accelerator"], asked.get("form") or ""
    check_systemd(answer.get("systemd"))
    check_place(asked["path"], answer)
    houses, locks = prepare.acceptable(asked, answer["arch"])
    images = forms.images_for(asked, answer["arch"])
    verdict = decide(
        release,
        accelerator,
        answer["installed"].get(release, {}),
        release in answer["installed"],
        forms.acceptable_locks(form, images, locks),
        answer["used"].get(release, []),
        form,
        answer.get("images", {}).get(release),
    )
    if verdict.install and form == forms.IMAGE:
        # Refused before anything is done for it.
        forms.choose(asked, answer, images, locks)
    return Considered(verdict, houses, images, locks)


def judge(asked: Arguments, answer: Registered) -> Result:
    """Decide from a host's answer: install, reason and, where it is to be installed, source; perhaps more missing_packages.

    `asked` are the task's arguments, `answer` is what the module found.
    Raises RefusalError, NoPythonError, LockError, NoBuildError.
    """
    considered = consider(asked, answer)
    judged: Result = {"install": considered.verdict.install, "reason": considered.verdict.reason}
    if not considered.verdict.install:
        return judged
    chosen = forms.choose(asked, answer, considered.images, considered.locks)
    if chosen.image is None:
        return {**judged, "packages_because": chosen.why, **_packages(asked, answer, considered.houses)}
    send = forms.check_room(chosen.image, answer)
    _check_family(asked, answer)
    judged["source"] = {"image": {**asdict(chosen.image), "file": str(chosen.image.file)}, "send": send}
    return {**judged, **_with_headers(asked, answer, chosen.image.interpreter, chosen.image.python)}


def needed_image(asked: Arguments, answer: Registered, considered: Considered) -> Result | None:
    """The image that a host's engine comes from or would come from: `digest`, `size` in bytes (0 where it is not known), and
    whether the host has it whole (`held`); None where that is no image. The three are `consider`'s.

    Raises EngineRefusalError: where an image is asked for and none can be had.
    """
    if considered.verdict.install:
        image = forms.choose(asked, answer, considered.images, considered.locks).image
        if image is None:
            return None
        return {"digest": image.digest, "size": image.size, "held": image.digest in answer.get("images_held", ())}
    mounted = answer.get("images", {}).get(asked["release"])
    return None if mounted is None else {"digest": mounted["digest"], "size": 0, "held": not mounted["problem"]}


def _packages(asked: Arguments, answer: Registered, houses: Mapping[str, Manifest]) -> Result:
    """From what an engine is installed on the host: `source`, and perhaps more missing_packages."""
    release, accelerator = asked["release"], asked["accelerator"]
    offline = asked.get("source", "wheelhouse") == "wheelhouse"
    if accelerator == "rocm":
        check_rocm(asked, answer)
    found = [pythons.HostPython(**python) for python in answer["pythons"]]
    wanted = str(asked.get("python") or "auto")
    if offline:
        if not houses:
            directory = Path(asked.get("wheelhouse") or sources.default_wheelhouse()).expanduser()
            named = f"{release}-{asked.get('rocm') or accelerator}"
            command = sources.wheelhouse_command(
                release, accelerator, rocm=asked.get("rocm") or "", arch=answer["arch"], directory=directory
            )
            raise EngineRefusalError(
                f"no finished wheelhouse {named}-py*-{answer['arch']} in {directory}. Prepare it:"
                f" {command}, or set vllm_engine_source: index"
            )
        offers = [
            pythons.PythonOffer(path, manifest["python"], manifest["python_archive"])
            for path, manifest in houses.items()
        ]
        choice = pythons.choose_offline(wanted, found, offers)
        manifest = houses[choice.wheelhouse]
        glibc = manifest["glibc"]
        _check_glibc(answer["glibc"], glibc)
        need = room_needed(manifest)
    else:
        choice = pythons.choose_online(wanted, found, sources.PYTHONS[accelerator])
        # An index gives a host whatever fits it.
        need, glibc = sources.ROOM[accelerator], answer["glibc"]
    if answer["free_bytes"] < need:
        raise EngineRefusalError(
            f"not enough room in {Path(asked['path']).parent}: {need / 1e9:.1f} GB are needed while it is"
            f" installed, {answer['free_bytes'] / 1e9:.1f} GB are free"
        )
    _check_family(asked, answer)
    source = {
        "wheelhouse": choice.wheelhouse,
        "lock": asked.get("lock") or "",
        "python": choice.python,
        "minor": choice.minor,
        "arch": answer["arch"],
        "glibc": glibc,
        "need_bytes": need,
    }
    return {"source": source, **_with_headers(asked, answer, choice.python, choice.minor)}


def _check_family(asked: Arguments, answer: Registered) -> None:
    if asked.get("packages") and not answer["family"]:
        raise EngineRefusalError(
            "this distribution is not known here: name the system packages that the engine needs in"
            " vllm_engine_packages, under its ID in /etc/os-release (an empty list where an image has them)"
        )


def _with_headers(asked: Arguments, answer: Registered, python: str, minor: str) -> Result:
    """`missing_packages` with the C headers of the host's Python that an engine uses, where they are not there."""
    found = [pythons.HostPython(**each) for each in answer["pythons"]]
    used = next((each for each in found if each.path == python), None)
    if used is not None and not used.headers and asked.get("packages", {}).get(answer["family"]):
        return {"missing_packages": [*answer["missing_packages"], _headers(answer["family"], minor)]}
    return {}


def check_rocm(asked: Arguments, answer: Registered) -> None:
    """Refuse what can be no engine for ROCm here, whoever wrote the task; the plan has told most of it before."""
    wrong = [
        str(problem)
        for problem in rocm.of_host(asked["release"], {f"vllm_engine_{key}": asked.get(key) for key in ROCM})
    ]
    if asked.get("source") == "index" and not wrong:
        build = sources.build_for(asked["release"], "rocm", asked.get("index_urls") or (), asked.get("rocm") or "")
        wrong = [why] if build and (why := rocm.beyond(build, answer["glibc"], answer["arch"])) else []
    if wrong:
        raise EngineRefusalError("; ".join(wrong))


def _check_glibc(have: str, need: str) -> None:
    if have and numbers(have)[:2] < numbers(need)[:2]:
        raise EngineRefusalError(
            f"the wheels are for glibc {need} and newer, this host has {have}: prepare them with"
            f" wheelhouse_glibc={have}"
        )


def _headers(family: str, minor: str) -> str:
    """Return the package with the C headers of a distribution's Python: torch and triton compile against them."""
    return f"python{minor}-dev" if family == "debian" else f"python{minor}-devel"
