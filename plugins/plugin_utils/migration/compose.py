"""Services of a compose file as containers: extends, env files, interpolation, entrypoint and command, GPUs, ports, volumes.

Source: the Compose specification (compose-spec: 05-services.md, 12-interpolation.md, deploy.md).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Optional

from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.docker import (
    Container,
    defaults_in,
    gpus_of,
    mount_of,
    port_of,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.start import Mount, Start
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.starts import of_container
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.yamltext import UnreadableYaml, load_all
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.expand import text_in
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.state import ShellState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import ShellError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Piece, Variable, Word, word_of

Read = Callable[[str], Optional[str]]
_DEEP = 8


def of_compose(document: Values, read: Read) -> Iterator[Start]:
    """Starts of vLLM in the services of a compose file. `read`: a file beside it.

    Raises ShellError: as `starts.of_text` does; Unreadable: where a file beside it is no YAML.
    """
    variables = env_file(read(".env") or "")
    services = document.get("services")
    for name, service in services.items() if isinstance(services, Mapping) else ():
        if isinstance(service, Mapping):
            notes: list[str] = []
            whole = _extended(service, document, read, notes, 0)
            yield from of_container(_Service(str(name), whole, variables, read, notes).container())


def _extended(service: Values, document: Values, read: Read, notes: list[str], depth: int) -> dict[str, object]:
    """A service with what it extends; mappings are joined, lists appended, all else replaced."""
    given = service.get("extends")
    if not given or depth > _DEEP:
        return dict(service)
    name = given.get("service") if isinstance(given, Mapping) else given
    file = given.get("file") if isinstance(given, Mapping) else None
    source: Any = document
    if file:
        text = read(str(file))
        try:
            source = next(iter(load_all(text)), {}) if text is not None else None
        except UnreadableYaml as error:
            raise UnreadableYaml(f"extends: {file}: {error}") from error
        if source is None:
            notes.append(f"extends: {file} is not beside the file: what the service {name} says there is not here")
    services = source.get("services") if isinstance(source, Mapping) else None
    base = services.get(name) if isinstance(services, Mapping) else None
    if not isinstance(base, Mapping):
        if source:
            notes.append(f"extends: there is no service {name}{f' in {file}' if file else ''}")
        return dict(service)
    return _joined(_extended(base, source, read, notes, depth + 1), service)


def _joined(base: Values, service: Values) -> dict[str, object]:
    found = dict(base)
    for key, value in service.items():
        before = found.get(key)
        if key == "extends":
            continue
        if key == "environment" and before:
            found[key] = {**_pairs(before), **_pairs(value)}
        elif key in ("command", "entrypoint"):
            found[key] = value
        elif isinstance(before, Mapping) and isinstance(value, Mapping):
            found[key] = _joined(before, value)
        elif isinstance(before, list) and isinstance(value, list):
            found[key] = [*before, *value]
        else:
            found[key] = value
    return found


def _pairs(environment: Any) -> dict[str, object]:
    if isinstance(environment, Mapping):
        return {str(name): value for name, value in environment.items()}
    items = environment if isinstance(environment, (list, tuple)) else []
    return {name: value if sign else None for name, sign, value in (str(item).partition("=") for item in items)}


def env_file(text: str) -> dict[str, str]:
    """`NAME=value` lines of an env file; quotes around a value are taken off, comments and all else are passed over."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = re.fullmatch(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*", line)
        if match is None:
            continue
        value = match[2]
        quoted = re.match(r"(['\"])(.*)\1\s*(?:#.*)?$", value)
        found[match[1]] = quoted[2] if quoted else re.sub(r"\s+#.*$", "", value)
    return found


class _Service:
    def __init__(self, name: str, service: Values, variables: Mapping[str, str], read: Read, notes: list[str]) -> None:
        self.name, self.service, self.read, self.notes = name, service, read, notes
        self.state = ShellState()
        for key, value in variables.items():
            self.state.variables[key] = Variable(((Piece(value),),))

    def container(self) -> Container:
        service = self.service
        entrypoint, command = service.get("entrypoint"), service.get("command")
        directory = service.get("working_dir")
        env = self._environment()
        container = Container(
            self._noted("image", service.get("image", "")),
            None if entrypoint is None else self._words(entrypoint),
            self._words(command),
            env,
            self._gpus(),
            [self._port(port) for port in _list(service.get("ports"))],
            [mount for volume in _list(service.get("volumes")) for mount in self._mount(volume)],
            self.notes,
            directory=None if directory is None else str(directory),
        )
        replicas = self._at("deploy", "replicas")
        if isinstance(replicas, int) and replicas > 1:
            container.notes.append(f"The service {self.name} has {replicas} replicas: an entry has one engine a host")
        if service.get("network_mode") == "host":
            container.ports = []
        return container

    def _field(self, value: Any) -> tuple[Piece, ...]:
        """A value with `${NAME:-default}` put in; `$$` is a dollar."""
        text = "" if value is None else str(value)
        hidden = text.replace("\\", "\0").replace("`", "\1").replace("$$", "\2").replace("$(", "\3")
        try:
            field = text_in(hidden, self.state, 0)
        except ShellError:
            return (Piece(text),)
        return tuple(piece._replace(text=_shown(piece.text)) for piece in field)

    def _text(self, value: Any) -> Word:
        return word_of(tuple(piece._replace(quoted=False) for piece in self._field(value)), 0)

    def _words(self, command: Any) -> list[Word]:
        if isinstance(command, (list, tuple)):
            return [self._text(_scalar(item)) for item in command]
        if not isinstance(command, str):
            return []
        # Each piece that is not certain is one mark while the text is split, and itself afterwards.
        field = self._field(command)
        marks = {chr(0xE000 + index): piece for index, piece in enumerate(field) if piece.gap is not None}
        text = "".join(chr(0xE000 + index) if piece.gap else piece.text for index, piece in enumerate(field))
        try:
            parts = shlex.split(text)
        except ValueError as error:
            raise UnreadableYaml(
                f"the command of the service {self.name} cannot be split into words ({error})"
            ) from error
        return [word_of(tuple(marks.get(char, Piece(char)) for char in part), 0) for part in parts]

    def _environment(self) -> dict[str, Word]:
        found: dict[str, Word] = {}
        for item in _list(self.service.get("env_file")):
            path = str(item.get("path") if isinstance(item, Mapping) else item)
            text = self.read(path)
            if text is None:
                self.notes.append(f"Further variables stand in {path}: they are not here")
            else:
                found.update({name: Word(value) for name, value in env_file(text).items()})
        for name, value in _pairs(self.service.get("environment")).items():
            word = self._text(_scalar(value))
            if value is None or any(not gap.taken for gap in word.gaps):
                self.notes.append(f"{name} comes from the environment of whoever starts it: left out")
            else:
                found[name] = word
        return found

    def _at(self, *keys: str) -> Any:
        inner: Any = self.service
        for key in keys:
            inner = inner.get(key) if isinstance(inner, Mapping) else None
        return inner

    def _gpus(self) -> str:
        """`gpus`, `deploy.resources.reservations.devices`, or CDI names among `devices`."""
        given = self.service.get("gpus")
        if isinstance(given, (str, int)):
            return gpus_of(self._text(given).text)
        asked = [*_list(given), *_list(self._at("deploy", "resources", "reservations", "devices"))]
        ids, count = [], ""
        for one in asked:
            if not isinstance(one, Mapping):
                continue
            ids += [self._text(item).text.rpartition("gpu=")[2] for item in _list(one.get("device_ids"))]
            if one.get("count") is not None:
                number = self._text(one["count"]).text
                count = f"count={number}" if number.isdigit() else "all"
        cdi = [
            str(item).partition("=")[2] for item in _list(self.service.get("devices")) if "nvidia.com/gpu=" in str(item)
        ]
        return ",".join(ids or cdi) or count

    def _port(self, port: Any) -> tuple[str, str]:
        if isinstance(port, Mapping):
            return self._noted("ports", port.get("published", "")), self._noted("ports", port.get("target", ""))
        return port_of(self._noted("ports", port))

    def _mount(self, volume: Any) -> list[Mount]:
        if isinstance(volume, Mapping):
            source, target = (self._text(volume.get(key, "")).text for key in ("source", "target"))
            return [Mount(source, target, named=volume.get("type", "volume") != "bind")] if target else []
        return mount_of(self._text(volume).text)

    def _noted(self, place: str, value: Any) -> str:
        """A value of which it is told where a default is taken."""
        word = self._text(value)
        self.notes += defaults_in(place, word)
        return word.text


def _shown(text: str) -> str:
    return text.replace("\0", "\\").replace("\1", "`").replace("\2", "$").replace("\3", "$(")


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _scalar(value: Any) -> Any:
    """YAML's own types as the words that compose makes of them."""
    return str(value).lower() if isinstance(value, bool) else value
