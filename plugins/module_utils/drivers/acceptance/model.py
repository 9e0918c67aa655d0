"""What is asked of an acceptance and what was seen on the host; the JSON form is `asdict` of these."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import User
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts


@dataclass(frozen=True)
class WantedTest:
    """`level` is 0 (GPU health alone) to 4; `parameters` as `dcgmi diag --parameters` takes them.

    `again` is hardware, driver or always: what makes an earlier record void. `drain` stops the model units for the run;
    `test` False only asks for the record.
    """

    level: int = 3
    parameters: str = ""
    again: str = "hardware"
    drain: bool = False
    test: bool = True


@dataclass(frozen=True)
class DiagnosticRun:
    """A diagnostic on the host. `state` is "" (none), running or ended; `status` its exit status, `result` systemd's word.

    `started` is a UNIX time, `seconds` how long it has run or took; `stopped` are the model units that were stopped for
    it; `output` is what it printed, once it has ended.
    """

    state: str = ""
    level: int = 0
    parameters: str = ""
    started: float = 0.0
    seconds: int = 0
    status: int = 0
    result: str = ""
    stopped: tuple[str, ...] = ()
    output: str = ""


@dataclass(frozen=True)
class AcceptanceSight:
    """`dcgm` is the version of dcgmi, "" where there is none; `units` the model units that run or start; `users` other
    processes on the GPUs; `record` the text of the record's file, "" without one."""

    facts: Facts
    dcgm: str = ""
    record: str = ""
    units: tuple[str, ...] = ()
    users: tuple[User, ...] = ()
    run: DiagnosticRun = field(default_factory=DiagnosticRun)
