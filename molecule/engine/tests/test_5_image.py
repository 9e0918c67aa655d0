"""The engine of the offline host as an image: mounted in the place of its packages, checked, and refused with one byte changed.

The image is made of the engine that test_1 has installed, so that none is built anew; playbooks/image.yml is not run here.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from test_1_offline import ENGINE, HOST, MENU, USER
from testlab import ROOT, STATE, Run, ask, host, playbook, show

UNIT, MOUNT = "vllm-offline-embedding.service", "opt-vllm-0.32.0.mount"
PORT = int(MENU["offline-embedding"]["port"])

pytestmark = pytest.mark.skipif(not Path("/dev/loop-control").exists(), reason="this computer has no loop devices")


def site(images: Path, *arguments: str, **more: Any) -> Run:
    inventory = str(ROOT / "molecule" / "engine" / "inventory")
    named = {"vllm_engine_form": "image", "vllm_engine_images": str(images), **more}
    return playbook("site", "-i", inventory, "--limit", HOST, *arguments, vllm_models=MENU, **named)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one image, as playbooks/image.yml would leave it."""
    target, store = host(HOST), tmp_path_factory.mktemp("images")
    place = store / "0.32.0-cpu-py3.11-x86_64"
    place.mkdir()
    made = f"/home/{USER}/engine.squashfs"
    target.check_output(
        "mksquashfs %s %s -noappend -no-progress -all-root -comp zstd -Xcompression-level 1", ENGINE, made
    )
    target.check_output("chmod 644 %s", made)
    words = ["scp", "-q", "-F", str(STATE / "ssh" / "config"), f"{USER}@{HOST}:{made}", str(place / "new")]
    subprocess.run(words, check=True)
    target.check_output("rm %s", made)
    digest = hashlib.sha256((place / "new").read_bytes()).hexdigest()
    marker = json.loads(target.file(f"{ENGINE}/.complete.json").content_string)
    said = {
        "release": "0.32.0",
        "accelerator": "cpu",
        "build": "",
        "arch": "x86_64",
        "python": "3.11",
        "interpreter": "/usr/bin/python3.11",
        "glibc": "2.34",
        "lock_sha256": marker["lock_sha256"],
        "digest": digest,
        "size": (place / "new").stat().st_size,
        "tool": "mksquashfs",
    }
    (place / "new").rename(place / f"{digest}.squashfs")
    (place / "image.json").write_text(json.dumps(said))
    return store


def answers() -> None:
    status, answer = ask(HOST, PORT, "/v1/embeddings", {"model": "offline-embedding", "input": "ready"})
    assert (status, len(answer["data"])) == (200, 1)


def test_what_runs_from_packages_is_not_pulled_away(images: Path) -> None:
    refused = site(images)
    assert refused.rc != 0
    assert "as packages instead of as image" in " ".join(refused.text.split())
    answers()


def test_the_image_takes_the_place_of_the_packages_and_serves(images: Path) -> None:
    target = host(HOST)
    target.check_output("systemctl stop %s", UNIT)
    assert site(images).rc == 0
    assert target.check_output("findmnt -no FSTYPE %s", ENGINE) == "squashfs"
    assert {"ro", "nodev", "nosuid"} <= set(target.check_output("findmnt -no OPTIONS %s", ENGINE).split(","))
    assert not target.file("/opt/vllm/.staging-0.32.0").exists
    answers()
    assert site(images).changed == 0


def test_one_changed_byte_is_never_served_and_is_cured(images: Path) -> None:
    target = host(HOST)
    file = target.check_output("ls /var/lib/vllm/images/*/engine.squashfs")
    target.check_output("systemctl stop %s %s", UNIT, MOUNT)
    target.check_output("printf '\\377' | dd of=%s bs=1 seek=100000000 conv=notrunc status=none", file)
    assert target.run("systemctl start %s", UNIT).rc != 0
    assert show(target, MOUNT, "ActiveState")["ActiveState"] != "active"
    assert f"{file} is not what it was" in target.check_output(
        "journalctl --no-pager -o cat -u image-vllm-0.32.0.service"
    )
    assert site(images).rc == 0
    assert show(target, MOUNT, "ActiveState")["ActiveState"] == "active"
    answers()
