"""A plan of a fleet that is installed from a bundle (`vllm_bundle`): what it has takes the place of the control node's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle import use
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.faults import faults
from ansible_collections.baremetal.vllm.plugins.plugin_utils.bundle.manifest import Bundle, BundleError, Part, read
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import Entry
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.source import Source

_KEY = "vllm_bundle"
# In the place of a digest that nobody has, where something else refuses the plan.
_NONE = "0" * 64


@dataclass(frozen=True)
class Carried:
    """The bundle that a fleet is installed from; `bundle` None where the directory is none to use, and the plan is refused."""

    directory: Path
    bundle: Bundle | None

    def declared(self, hosts: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
        """The variables of hosts, with the bundle's engines in the place of whatever they name."""
        places = {f"vllm_engine_{key}": value for key, value in use.engine_places(self.directory).items()}
        return {name: {**declared, **places} for name, declared in hosts.items()}

    def digests(self, entries: Iterable[Entry]) -> dict[str, str]:
        """The digest of every directory that is to be pushed, as the bundle has it: the directory itself need not be here."""
        found = {}
        for __, source in sources(entries):
            if source.push_from:
                part = self._part(source)
                found[source.push_from] = part.about["digest"] if part else _NONE
        return found

    def check(self, entries: Iterable[Entry], problems: Problems) -> None:
        """Refuse models and adapters that the bundle lacks."""
        for key, source in sources(entries) if self.bundle else ():
            if source.origin == "host" or not source.model or self._part(source):
                continue
            name = source.push_from or f"{source.model} at {source.revision}"
            remedy = f"Write the bundle anew where they are: {use.write_command(self.directory)}"
            problems.add(key, f"{name} is not in the bundle {self.directory}", remedy)

    def gaps(self, missing: Mapping[str, str], hosts: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
        """By host that its engine is not in the bundle; `missing` by host, as `engine.at_hand` tells."""
        return {
            host: f"the bundle {self.directory} has no engine {hosts[host].get('vllm_version')} for "
            f"{hosts[host].get('vllm_accelerator')}. Write it anew where it is: {use.write_command(self.directory)}"
            for host in missing
        }

    def locate(self, source: Source, file: str = "config.json") -> Path | None:
        """Where in the bundle a model lies that has this file; None where there is none."""
        part = self._part(source)
        place = self.directory / part.path if part else None
        return place if place and (place / file).is_file() else None

    def _part(self, source: Source) -> Part | None:
        if self.bundle is None:
            return None
        if source.origin == "pushed":
            return self.bundle.part("pushed", **{"from": source.push_from})
        return self.bundle.part("hub", model=source.model, revision=source.revision)


def sources(entries: Iterable[Entry]) -> Iterator[tuple[str, Source]]:
    """Every model and adapter of the menu by its key in the inventory."""
    for entry in entries:
        yield f"vllm_models.{entry.name}", entry.source
        for name, source in entry.adapters.items():
            yield f"vllm_models.{entry.name}.adapters.{name}", source


def open_bundle(given: str | None, problems: Problems) -> Carried | None:
    """The bundle that `vllm_bundle` names, None where it names none. What is wrong with it is a problem each."""
    if not given:
        return None
    directory = use.directory_of(given)
    again = f"Write it again: {use.write_command(directory)}"
    try:
        bundle = read(directory)
    except BundleError as error:
        problems.add(_KEY, str(error), again)
        return Carried(directory, None)
    wrong = faults(directory, bundle, content=False)
    for line in wrong:
        problems.add(_KEY, f"{directory}: {line}", again)
    return Carried(directory, None if wrong else bundle)
