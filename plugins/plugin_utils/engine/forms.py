"""In which form an engine comes onto a host: as packages that are installed there, or as an image that is mounted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import store
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.decide import EngineRefusalError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.store import Image
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Registered

IMAGE, PACKAGES = "image", "packages"
FORMS = (IMAGE, PACKAGES)
# Bytes beside an image that is sent: it lies there twice for a moment, as what arrived and as what was checked.
_SLACK = 64 << 20


@dataclass(frozen=True)
class Chosen:
    """The image to mount, None for packages; `why` not an image, where one lies in the store (a clause, "" otherwise)."""

    image: Image | None = None
    why: str = ""


def images_for(asked: Arguments, arch: str) -> list[Image]:
    """The images in the store of what the task's arguments ask for."""
    build = str(asked.get("rocm") or "")
    return store.find(store.directory_of(asked), asked["release"], asked["accelerator"], arch, build)


def acceptable_locks(form: str, images: Sequence[Image], locks: Collection[str]) -> Collection[str]:
    """The digests of locks that an installation in that form may come from; none at all: any."""
    return [image.lock_sha256 for image in _from(images, locks)] if form == IMAGE else locks


def _from(images: Sequence[Image], locks: Collection[str]) -> list[Image]:
    """Those of the images that were built from one of the locks; none at all: any."""
    return [image for image in images if not locks or image.lock_sha256 in locks]


def choose(asked: Arguments, answer: Registered, images: Sequence[Image], locks: Collection[str]) -> Chosen:
    """The form for a host: what `form` says; without a word an image where one fits, else packages.

    `answer` is what the host says, `locks` are digests of the locks that would do (empty: any).
    Raises EngineRefusalError where an image is asked for and none can be had.
    """
    form, release, accelerator = asked.get("form") or "", asked["release"], asked["accelerator"]
    if form == PACKAGES or (not images and form != IMAGE):
        return Chosen()
    anew = store.command(release, accelerator)
    if not images:
        raise EngineRefusalError(
            f"vllm_engine_form: image, and there is no image of {release} for {accelerator} on {answer['arch']} in"
            f" {store.directory_of(asked)}. Build it: {anew}"
        )
    fitting = _from(images, locks)
    why = ""
    if not fitting:
        others = " or ".join(sorted(image.lock_sha256[:12] for image in images))
        why = (
            f"the image is from another lock ({others}) than the wheelhouse or vllm_engine_lock. Build it anew: {anew}"
        )
    elif answer.get("image_hindrance"):
        why = str(answer["image_hindrance"])
    else:
        reasons = [_unfit(image, answer) for image in fitting]
        if "" in reasons:
            return Chosen(fitting[reasons.index("")])
        why = "; ".join(dict.fromkeys(reasons))
    if form == IMAGE:
        raise EngineRefusalError(f"vllm_engine_form: image, and {why}; or set vllm_engine_form: packages")
    return Chosen(why=why)


def _unfit(image: Image, answer: Registered) -> str:
    """Why a host cannot use an image, "" where it can; what the host was not asked for is no reason."""
    have = answer.get("glibc")
    if have and numbers(have)[:2] < numbers(image.glibc)[:2]:
        return f"the image is for glibc {image.glibc} and newer, this host has {have}"
    if "pythons" in answer and image.interpreter and image.interpreter not in _paths(answer):
        return (
            f"the image asks for {image.interpreter}, which this host lacks: build it from a wheelhouse with a Python of its own"
            " (wheelhouse_python: true, vllm_engine_python: wheelhouse)"
        )
    return ""


def _paths(answer: Registered) -> list[str]:
    return [str(python["path"]) for python in answer["pythons"]]


def check_room(image: Image, answer: Registered) -> bool:
    """Whether the file has to be sent; raises EngineRefusalError where there is no room for it."""
    if image.digest in answer.get("images_held", ()):
        return False
    need, free = 2 * image.size + _SLACK, answer["image_free_bytes"]
    if free < need:
        raise EngineRefusalError(
            f"not enough room in /var/lib/vllm/images: {need / 1e9:.1f} GB are needed while the image of"
            f" {image.size / 1e9:.2f} GB arrives, {free / 1e9:.1f} GB are free"
        )
    return True
