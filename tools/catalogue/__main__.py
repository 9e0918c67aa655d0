"""`data/catalogue.json`: add releases of vLLM to it, or try command lines on a release's parser.

    python -m ansible_collections.baremetal.vllm.tools.catalogue add 0.34.0
    python -m ansible_collections.baremetal.vllm.tools.catalogue add --sdist vllm-0.34.0.tar.gz
    python -m ansible_collections.baremetal.vllm.tools.catalogue parse 0.33.0 -- Qwen/Qwen3-8B --max-model-len 32k

`add` reads each release's source distribution (from the package index, or the files given) and writes the file anew. A
release that it already holds is read again. `parse` prints the namespace as JSON, or the error, and ends with the status
that `vllm serve` would end its parsing with.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.tools.catalogue import generate, sources, store
from ansible_collections.baremetal.vllm.tools.catalogue.parser import accepts
from packaging.version import InvalidVersion, Version


def main(words: list[str]) -> int:
    reader = argparse.ArgumentParser(prog="catalogue", description=(__doc__ or "").partition("\n")[0])
    commands = reader.add_subparsers(required=True, dest="command")
    add = commands.add_parser("add", help="read releases and write them into the catalogue")
    add.add_argument("releases", nargs="*", metavar="RELEASE")
    add.add_argument("--sdist", action="append", default=[], type=Path, metavar="FILE", help="instead of fetching it")
    add.add_argument("--file", type=Path, default=store.FILE, help="the catalogue to write (%(default)s)")
    parse = commands.add_parser("parse", help="read a command line with the parser of a release")
    parse.add_argument("release", metavar="RELEASE")
    parse.add_argument("words", nargs="*", metavar="WORD", help="what follows `vllm serve`, after `--`")
    given = reader.parse_args(words)
    try:
        if given.command == "parse":
            return _parse(given.release, given.words)
        if not given.releases and not given.sdist:
            add.error("name a release, or a source distribution with --sdist")
        return _add(given.file, [str(Version(release)) for release in given.releases], given.sdist)
    except (InvalidVersion, LookupError, RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _add(file: Path, releases: list[str], archives: list[Path]) -> int:
    held = store.read(file)
    wanted = [(release, None) for release in releases] + [(sources.release_of(path), path) for path in archives]
    for number, (release, archive) in enumerate(wanted, 1):
        source = sources.unpack(archive, release) if archive else sources.fetch(release)
        started = time.monotonic()
        facts, doubts = generate.facts(source)
        seconds = time.monotonic() - started
        held[release] = facts
        counts = f"{len(facts['options'])} options, {len(facts['configs'])} dataclasses, {len(facts['environment'])} variables"
        print(f"[{number}/{len(wanted)}] {release}: {counts}, {seconds:.1f} s")
        for line in (*_compared(held, release), *doubts):
            print(f"  {line}")
    store.write(held, file)
    return 0


def _compared(held: dict[str, dict[str, Any]], release: str) -> list[str]:
    """What is new, gone and changed against the release before, so that a person can see whether that can be true."""
    order = sorted(held, key=Version)
    if order.index(release) == 0:
        return []
    before = order[order.index(release) - 1]
    old, new = held[before]["options"], held[release]["options"]
    changed = [name for name in new if name in old and old[name] != new[name]]
    lists = (("new", set(new) - set(old)), ("gone", set(old) - set(new)), ("changed", set(changed)))
    return [f"{word} since {before}: {', '.join(sorted(names))}" for word, names in lists if names]


def _parse(release: str, words: list[str]) -> int:
    (result,) = accepts(sources.fetch(release, lambda line: print(line, file=sys.stderr)), [words])
    if result.namespace is None:
        print(result.error, file=sys.stderr)
    else:
        print(json.dumps(result.namespace, indent=1))
    return result.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
