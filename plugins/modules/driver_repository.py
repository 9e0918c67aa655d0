# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
from __future__ import annotations

DOCUMENTATION = r"""
module: driver_repository
short_description: Bring a host's package sources, pins and module settings for a GPU driver to what is planned
version_added: "0.1.0"
author: The baremetal.vllm contributors (!UNKNOWN)
description:
  - Writes the files it is given as a set, removes others, and has the package manager read its lists anew when one of them
    is a source of packages.
  - A signing key that is fetched is written only when its fingerprint is the expected one.
  - Needs root on the host.
options:
  files:
    description: Files with C(path), C(content) and C(mode).
    type: list
    elements: dict
    default: []
  remove:
    description: Paths of files that must not be there.
    type: list
    elements: path
    default: []
  key:
    description:
      - The key that signs the repository, with C(path), and either C(content) (base64) or C(url) and C(fingerprint).
      - A key that lies there with the expected fingerprint is not fetched again.
    type: dict
  update:
    description: Command that reads the package lists; empty for none.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - baremetal.vllm.proxy
attributes:
  check_mode:
    support: full
    description: Writes nothing, fetches nothing.
  diff_mode:
    support: full
    description: Shows the files before and after.
"""

EXAMPLES = r"""
- name: Keep nouveau out
  baremetal.vllm.driver_repository:
    files:
      - {path: /etc/modprobe.d/nouveau-off.conf, content: "blacklist nouveau\n", mode: "0644"}
"""

RETURN = r"""
written:
  description: Paths that were, or in check mode would be, written or removed.
  returned: always
  type: list
  elements: str
"""

import base64
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.key import fingerprints
from ansible_collections.baremetal.vllm.plugins.module_utils.host import folders, proxy
from ansible_collections.baremetal.vllm.plugins.module_utils.host.hostfile import HostFile


def key_differs(key: dict[str, Any]) -> bool:
    """Whether the key's file is not the expected one."""
    path = Path(key["path"])
    if not path.is_file():
        return True
    found = path.read_bytes()
    if key.get("content"):
        return found != base64.b64decode(key["content"])
    return key["fingerprint"] not in fingerprints(found)


def obtain(module: AnsibleModule, key: dict[str, Any]) -> bytes:
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
    """Write the sources, their key and pins, remove what must go, and read the lists anew; exits with what it wrote."""
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


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "default": []},
            "remove": {"type": "list", "elements": "path", "default": []},
            "key": {"type": "dict", "no_log": False},
            "update": {"type": "list", "elements": "str", "default": []},
            **proxy.ARGUMENTS,
        },
        supports_check_mode=True,
    )
    # Package lists are for everybody, whatever umask sudo has handed on.
    os.umask(0o022)
    proxy.enter(module)
    try:
        converge(module)
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file of this host'}: {error.strerror}")


if __name__ == "__main__":
    main()
