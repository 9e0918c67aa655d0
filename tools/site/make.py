"""Make the documentation site: ``make.py DIRECTORY`` (``make site``). A warning of any step is an error.

The sources are laid out below DIRECTORY and built by Sphinx into DIRECTORY/html: README.md as the first page, the guides
of docs/, playbooks from their own comments, and modules, roles and filters by antsibull-docs from the published collection.
Needs the environment of `make gates` on PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import pages

ROOT = HERE.parents[1]


def reference(target: Path, into: Path) -> None:
    """Pages of modules, roles and filters, from the artifact as somebody installs it. Raises CalledProcessError."""
    collections = target / "collections"
    shutil.rmtree(collections, ignore_errors=True)
    run("ansible-galaxy", "collection", "build", "--force", "--output-path", target / "dist", ROOT)
    (artifact,) = (target / "dist").glob("*.tar.gz")
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(collections)}
    install = (
        "ansible-galaxy",
        "collection",
        "install",
        "--offline",
        "--no-deps",
        "--force",
        "--collections-path",
        collections,
    )
    run(*install, artifact, environment=environment)
    into.mkdir(parents=True)
    options = ("--use-current", "--squash-hierarchy", "--fail-on-error", "--no-breadcrumbs", "--dest-dir", into)
    run("antsibull-docs", "collection", *options, "baremetal.vllm", environment=environment)
    for page in into.glob("*.rst"):
        page.write_text(pages.without_contents(page.read_text(encoding="utf-8")), encoding="utf-8")


def run(*command: str | Path, environment: dict[str, str] | None = None) -> None:
    subprocess.run(
        list(map(str, command)),
        check=True,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
    )


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    target = Path(sys.argv[1]).resolve()
    sources = target / "sources"
    shutil.rmtree(sources, ignore_errors=True)
    shutil.rmtree(target / "dist", ignore_errors=True)
    sources.mkdir(parents=True)
    reference(target, sources / "reference")
    repository = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["repository"]
    problems = pages.write(ROOT, sources, repository)
    if problems:
        print("\n".join(problems))
        return 1
    (sources / "ansible.inv").write_bytes(pages.ansible_inventory((sources / "reference").glob("*.rst")))
    (sources / "static").mkdir()
    for file, place in (("conf.py", "conf.py"), ("site.css", "static/site.css")):
        shutil.copy(HERE / file, sources / place)
    shutil.copy(ROOT / "galaxy.yml", sources)
    build = (
        "sphinx-build",
        "--fail-on-warning",
        "--keep-going",
        "--quiet",
        "--fresh-env",
        "--jobs",
        "2",
        "--builder",
        "html",
    )
    run(*build, sources, target / "html")
    print(f"{target / 'html' / 'index.html'} written")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
