"""A host's package sources, pins and module settings for a GPU driver, written as a set."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TypedDict

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.key import fingerprints
from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile


class SigningKey(TypedDict, total=False):
    """A key of repositories: `path` on the host, its `fingerprint`, and whence it is: `content` in base64, or `url`."""

    path: str
    fingerprint: str
    content: str
    url: str


def key_differs(key: SigningKey) -> bool:
    """Whether the key's file is not the expected one."""
    path = Path(key["path"])
    if not path.is_file():
        return True
    found = path.read_bytes()
    if key.get("content"):
        return found != base64.b64decode(key["content"])
    return key["fingerprint"] not in fingerprints(found)


def obtain(module: AnsibleModule, key: SigningKey) -> bytes:
    """The key itself; ends the module where it cannot be had or is another one."""
    if key.get("content"):
        return base64.b64decode(key["content"])
    try:
        with open_url(key["url"], timeout=30) as answer:
            fetched: bytes = answer.read(1024 * 1024)
    except Exception as error:  # open_url raises what urllib, ssl and socket raise
        module.fail_json(
            msg=f"The signing key {key['url']} could not be fetched: {error}. A host behind a proxy needs vllm_proxy, one without"
            " a way there nvidia_driver_mirror with nvidia_driver_mirror_key (a file on the control node)."
        )
    found = fingerprints(fetched)
    if key["fingerprint"] not in found:
        module.fail_json(
            msg=f"The signing key {key['url']} is not the expected one: its fingerprint is {', '.join(found) or 'unreadable'},"
            f" expected {key['fingerprint']}. Nothing was written."
        )
    return fetched


def converge(module: AnsibleModule) -> None:
    """Write and remove what is asked for and read the package lists anew; ends the module. Raises OSError."""
    asked = module.params
    files = [HostFile(f["path"], f["content"], int(f["mode"], 8)) for f in asked["files"]]
    differing = [file for file in files if file.differs()]
    unwanted = [path for path in asked["remove"] if Path(path).exists()]
    key = asked["key"] if asked["key"] and key_differs(asked["key"]) else None
    written = [*([key["path"]] if key else []), *(file.path for file in differing), *unwanted]
    diff = [
        {"before": file.current() or "", "after": file.content, "before_header": file.path, "after_header": file.path}
        for file in differing
    ]
    diff += [
        {"before": Path(path).read_text(errors="replace"), "after": "", "before_header": path} for path in unwanted
    ]
    if not module.check_mode:
        if key:
            content = obtain(module, key)
            path = Path(key["path"])
            folders.make(path.parent)
            path.write_bytes(content)
            path.chmod(0o644)
        for file in differing:
            file.write()
        for path in unwanted:
            Path(path).unlink()
        if any(path.startswith("/etc/systemd/") for path in written):
            module.run_command(["systemctl", "daemon-reload"])
        if asked["update"]:
            rc, out, err = module.run_command(asked["update"], environ_update={"LC_ALL": "C"}, handle_exceptions=False)
            if rc != 0:
                text = "\n".join((err or out).strip().splitlines()[-6:])
                module.fail_json(
                    msg=f"The package lists could not be read ({' '.join(asked['update'])}):\n{text}", rc=rc
                )
    module.exit_json(changed=bool(written), written=written, diff=diff)
