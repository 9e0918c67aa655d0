# SPDX-License-Identifier: Apache-2.0
# It may be combined with ansible-core, which is under the GNU General Public License, version 3.
from __future__ import annotations

DOCUMENTATION = r"""
module: engine_prune
short_description: Remove vLLM releases that nothing uses any more
version_added: "0.1.0"
author: The baremetal.vllm contributors (!UNKNOWN)
description:
  - Removes installed releases beside the planned ones, unless a unit, a generation that one may go back to, or a
    running process uses them, and Pythons that no release leads to any more.
  - Removes nothing that is not an installation of this collection, or one that was begun.
  - Looks again at the moment of removal - what came into use meanwhile stays.
options:
  path:
    description: The planned release's directory. Others lie beside it.
    type: path
    required: true
  keep:
    description: Further releases to keep.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Says what would be removed.
"""

EXAMPLES = r"""
- name: Remove old releases
  baremetal.vllm.engine_prune:
    path: /opt/vllm/0.33.0
"""

RETURN = r"""
removed:
  description: The releases removed.
  type: list
  elements: str
  returned: always
"""

import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import installed
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.build import unused_pythons
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.prune import prunable


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "keep": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    found = installed.releases(path.parent)
    used = installed.merge(installed.usage(path.parent), installed.used_by_processes(path.parent))
    removed = prunable(found, [path.name, *module.params["keep"], *installed.foreign(path.parent)], used)
    if not module.check_mode:
        for release in removed:
            # The marker goes first: a removal that is cut short leaves nothing that looks finished.
            (path.parent / release / installed.MARKER).unlink(missing_ok=True)
            shutil.rmtree(path.parent / release)
            # Whatever gets this name after it is somebody else's, until a build of ours begins anew.
            (path.parent / f"{installed.BUILDING}{release}").unlink(missing_ok=True)
        for home in unused_pythons(path.parent):
            shutil.rmtree(home)
    text = "\n".join(sorted(found)) + "\n"
    after = "\n".join(sorted(set(found) - set(removed))) + "\n"
    module.exit_json(
        changed=bool(removed),
        removed=removed,
        diff={"before_header": str(path.parent), "after_header": str(path.parent), "before": text, "after": after},
    )


if __name__ == "__main__":
    main()
