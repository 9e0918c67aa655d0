"""apt and dnf repositories of small packages, signed with a key made for them; runs on a machine of the lab, as root.

Needs, for apt: dpkg-deb, apt-ftparchive, gpg. For dnf: rpmbuild, rpmsign, createrepo_c, gpg.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

OWNER = "Stand-in repository <stand-in@lab.invalid>"
ENVIRONMENT = {**os.environ, "LC_ALL": "C", "GNUPGHOME": "/root/.gnupg-repository"}


@dataclass(frozen=True)
class Package:
    """A package: what lies below `tree` is what it installs. `arch` as the format calls it (amd64, all, x86_64, noarch).

    `relations` are fields of the format: Depends, Conflicts, Provides of a .deb; Requires, Conflicts, Provides of an .rpm,
    each a comma separated list. `scripts` are shell: postinst and prerm of a .deb, post and preun of an .rpm.
    """

    name: str
    version: str
    arch: str
    tree: Path
    relations: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)


def run(*command: str | Path, cwd: Path | None = None, text: str | None = None) -> str:
    """The standard output of a command; its own words when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        input=text,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr or done.stdout}")
    return done.stdout


def make_key(public: Path) -> None:
    """The key that signs, made once per machine; its public half, in ASCII, goes to `public`."""
    home = Path(ENVIRONMENT["GNUPGHOME"])
    if not home.exists():
        home.mkdir(mode=0o700)
        run("gpg", "--batch", "--passphrase", "", "--quick-gen-key", OWNER, "rsa3072", "sign", "never")
    public.parent.mkdir(parents=True, exist_ok=True)
    public.write_text(run("gpg", "--armor", "--export", OWNER))


def build_deb(package: Package, to: Path) -> None:
    control = {
        "Package": package.name,
        "Version": package.version,
        "Architecture": package.arch,
        "Maintainer": OWNER,
        **package.relations,
        "Description": "stand-in of the lab",
    }
    meta = package.tree / "DEBIAN"
    meta.mkdir(parents=True, exist_ok=True)
    (meta / "control").write_text("".join(f"{name}: {value}\n" for name, value in control.items()))
    for name, text in package.scripts.items():
        (meta / name).write_text(f"#!/bin/sh\nset -e\n{text}")
        (meta / name).chmod(0o755)
    to.mkdir(parents=True, exist_ok=True)
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", package.tree, to)
    shutil.rmtree(package.tree)


def publish_apt(directory: Path) -> None:
    """A flat repository, as NVIDIA's are: indices and their signatures beside the packages."""
    for name in ("Packages", "Release", "InRelease", "Release.gpg"):
        (directory / name).unlink(missing_ok=True)
    (directory / "Packages").write_text(run("apt-ftparchive", "packages", ".", cwd=directory))
    settings = [f"-oAPT::FTPArchive::Release::{name}=NVIDIA" for name in ("Origin", "Label")]
    (directory / "Release").write_text(run("apt-ftparchive", *settings, "release", ".", cwd=directory))
    run("gpg", "--batch", "--yes", "--clearsign", "-o", "InRelease", "Release", cwd=directory)
    run("gpg", "--batch", "--yes", "--armor", "--detach-sign", "-o", "Release.gpg", "Release", cwd=directory)


def build_rpm(package: Package, to: Path) -> None:
    version, __, release = package.version.rpartition("-")
    epoch, __, version = version.rpartition(":")
    paths = [path for path in package.tree.rglob("*") if path.is_symlink() or not path.is_dir()]
    files = [f"/{path.relative_to(package.tree)}" for path in paths]
    relations = [f"{name}: {value}" for name, value in package.relations.items()]
    spec = [
        f"Name: {package.name}",
        f"Version: {version}",
        f"Release: {release}",
        *([f"Epoch: {epoch}"] if epoch else []),
        "Summary: stand-in of the lab",
        "License: MIT",
        "AutoReqProv: no",
        *relations,
        "%description",
        "Stand-in of the lab.",
        "%install",
        f"mkdir -p %{{buildroot}} && cp -a {package.tree}/. %{{buildroot}}",
        *(f"%{name}\n{text}" for name, text in package.scripts.items()),
        "%files",
        *files,
        "",
    ]
    path = package.tree.with_suffix(".spec")
    path.write_text("\n".join(spec))
    settings = {"_rpmdir": to, "_rpmfilename": "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm", "debug_package": "%{nil}"}
    settings |= {"_topdir": package.tree.parent, "_build_id_links": "none", "__os_install_post": "%{nil}"}
    defines = [word for name, value in settings.items() for word in ("--define", f"{name} {value}")]
    to.mkdir(parents=True, exist_ok=True)
    run("rpmbuild", "-bb", "--target", package.arch, *defines, path)
    shutil.rmtree(package.tree)
    path.unlink()


def publish_dnf(directory: Path, modules: str = "") -> None:
    """Signed packages and signed metadata; `modules` is the text of modules.yaml, "" where there are no streams."""
    rpms = sorted(directory.glob("*.rpm"))
    run("rpmsign", "--define", f"_gpg_name {OWNER}", "--define", "__gpg /usr/bin/gpg", "--addsign", *rpms)
    run("createrepo_c", "--quiet", directory)
    if modules:
        text = directory / "modules.yaml"
        text.write_text(modules)
        run("modifyrepo_c", "--mdtype=modules", text, directory / "repodata")
    run("gpg", "--batch", "--yes", "--armor", "--detach-sign", "repomd.xml", cwd=directory / "repodata")


def serve(directory: Path, address: str, port: int) -> None:
    """A unit that serves the directory over HTTP from now on and after each boot."""
    unit = Path("/etc/systemd/system/package-repository.service")
    command = f"/usr/bin/python3 -m http.server --bind {address} --directory {directory} {port}"
    unit.write_text(f"[Service]\nExecStart={command}\n\n[Install]\nWantedBy=multi-user.target\n")
    run("systemctl", "enable", "--now", unit.name)


def names(directory: Path) -> Sequence[str]:
    return sorted(path.name for pattern in ("*.deb", "*.rpm") for path in directory.glob(pattern))
