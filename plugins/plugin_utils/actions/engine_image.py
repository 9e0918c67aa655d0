"""Images of engines as the action engine has them built and mounted."""

from __future__ import annotations

import time
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import images
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import LockError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.base import Action, lost
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.follow import ticking
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import image_units, store
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.pack import lock_text
from ansible_collections.baremetal.vllm.plugins.plugin_utils.places import TEMPLATES
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Arguments, Result


def mount(action: Action, asked: Arguments) -> Result:
    """Send the image that the look chose unless it lies on the host, and have it mounted; with the seconds that sending took."""
    source, seconds = asked["source"], 0.0
    image = store.Image(**{**source["image"], "file": Path(source["image"]["file"])})
    title = f"{action.host}: vLLM {asked['release']}, image {image.digest[:12]}"
    remote = ""
    if source["send"]:
        started = time.monotonic()
        with ticking(f"{title}: 1 of 2, send {image.size / 1e9:.2f} GB"):
            remote = _send(action, image)
        seconds = time.monotonic() - started
    with ticking(f"{title}: {'2 of 2' if remote else '1 of 1'}, check and mount it"):
        units = image_units.render(TEMPLATES, image.release, asked["path"], image.digest, bool(source.get("selinux")))
        answer = action.ask_host("engine", {**asked, "bundle": remote, "units": units})
    answer.setdefault("seconds", {})["send"] = round(seconds, 1)
    return answer


def _send(action: Action, image: store.Image) -> str:
    try:
        remote: str = action._connection._shell.join_path(action._make_tmp_path(), images.FILE)
        action._transfer_file(str(image.file), remote)
    except (AnsibleError, OSError) as error:
        raise AnsibleActionFail(
            f"vLLM {image.release}: the image {image.digest[:12]} of {image.size / 1e9:.2f} GB did not reach the host,"
            f" and nothing of it is used there: {error}. It was to arrive below ansible_remote_tmp: see that there is room"
        ) from error
    return remote


def build(action: Action, asked: Arguments, packed: Path, lock_sha256: str) -> Result:
    """Have a host build an image from what `pack` has packed, and bring it into the store.

    Returns the module's answer with `path` and `digest`; changed where it is another image than the one that was there.
    """
    source = asked["source"]
    title = f"{action.host}: image of vLLM {asked['release']}"
    shell = action._connection._shell
    folder = action._make_tmp_path()
    remote, made = shell.join_path(folder, packed.name), shell.join_path(folder, images.FILE)
    with ticking(f"{title}: 1 of 3, send {packed.stat().st_size / 1e9:.2f} GB"):
        action._transfer_file(str(packed), remote)
    with ticking(f"{title}: 2 of 3, build, compile, prove it"):
        arguments = {key: value for key, value in asked.items() if key != "images"}
        answer = action.ask_host("engine", {**arguments, "bundle": remote, "lock_sha256": lock_sha256, "output": made})
    if lost(answer):
        return answer
    told = answer["image"]
    directory = store.directory_of(asked)
    directory.mkdir(parents=True, exist_ok=True)
    arrived = directory / f".{told['digest']}.partial"
    image = store.Image(
        **{
            key: told[key]
            for key in ("release", "accelerator", "arch", "python", "interpreter", "lock_sha256", "digest", "tool")
        },
        build=asked.get("rocm") or "",
        glibc=source["glibc"],
        size=told["bytes"],
        file=arrived,
    )
    before = [
        each.digest
        for each in store.find(directory, image.release, image.accelerator, image.arch)
        if each.name == image.name
    ]
    try:
        with ticking(f"{title}: 3 of 3, fetch {image.size / 1e9:.2f} GB"):
            action._connection.fetch_file(made, str(arrived))
        place = store.keep(directory, image, lock_text(packed))
    except (store.ImageError, LockError, OSError, AnsibleError) as error:
        raise AnsibleActionFail(
            f"the image of vLLM {image.release} was built and not kept in {directory}: {error}"
        ) from error
    finally:
        arrived.unlink(missing_ok=True)
    return {**answer, "path": str(place), "digest": image.digest, "changed": before != [image.digest]}
