"""The units of a host that check and mount an engine's image, from their templates. On the control node."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.engine import images
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import MARK
from ansible_collections.baremetal.vllm.plugins.plugin_utils.templates import environment

_PLACE = Path("etc/systemd/system")
# Nothing in an image needs a device or another user's rights.
_OPTIONS = ("loop", "ro", "nodev", "nosuid")
# Of every file in it: systemd executes bin_t and goes over into unconfined_service_t (module_utils/host/labels.py).
_CONTEXT = "context=system_u:object_r:bin_t:s0"


def render(templates: Path, release: str, path: str, digest: str, selinux: bool) -> dict[str, str]:
    """By name the texts of both units; `path` is the release's directory, `selinux` whether that is on."""
    check, mount = images.check_unit(release), images.mount_unit(path)
    # In a unit's file a percent sign begins a specifier (systemd.unit(5)); no path of ours has one.
    values = {
        "mark": MARK,
        "release": release,
        "digest": digest,
        "file": str(images.file_of(digest)),
        "path": path,
        "check": check,
        "kind": images.KIND,
        "options": [*_OPTIONS, *([_CONTEXT] if selinux else [])],
    }
    loaded = environment(templates / _PLACE)
    return {
        check: loaded.get_template("image-vllm-release.service.j2").render(values),
        mount: loaded.get_template("opt-vllm-release.mount.j2").render(values),
    }
