"""Send hostile requests to a gateway: ``door_fuzz.py --address HOST:PORT --key-file FILE --model NAME [--count 1000]``.

None of them may be answered 2xx, and the gateway must go on serving: an honest request before, between and after them
tells. Each carries a marker; the markers go to ``--markers FILE`` as a JSON list, and where ``--engine-log FILE`` names
what the engines logged meanwhile, no marker may stand in it. Exit status 1 where anything of it fails. The same
``--seed`` sends the same requests. Takes less than a minute for a thousand. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from door_fuzz_cases import Case, Maker, Target, cases

TIMEOUT = 20.0
# After the last answer that is expected: time for one that is not.
GRACE = 0.15
# After the first answer, where more were expected.
PATIENCE = 2.0
WORKERS = 24
EVERY = 50


@dataclass(frozen=True)
class Door:
    """Where the gateway listens; `tls` with or without its certificate being checked."""

    address: tuple[str, int]
    tls: ssl.SSLContext | None

    def connect(self) -> socket.socket:
        plain = socket.create_connection(self.address, timeout=TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls.wrap_socket(plain, server_hostname=self.address[0]) if self.tls else plain


@dataclass(frozen=True)
class Outcome:
    """The statuses that came back, and how it ended: answered, closed, silent or refused."""

    case: Case
    statuses: tuple[int, ...]
    end: str
    seconds: float

    @property
    def passed(self) -> int:
        """How many of the answers should not have been 2xx."""
        return max(0, sum(200 <= status < 300 for status in self.statuses) - self.case.honest)

    def told(self) -> str:
        return " ".join(map(str, self.statuses)) or self.end


def responses(data: bytes) -> Iterator[tuple[int, bool]]:
    """(status, whole) of each answer in `data`; interim ones are left out."""
    while data:
        head, ended, rest = data.partition(b"\r\n\r\n")
        words = head.split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            return
        status, lines = int(words[1]), head.lower().split(b"\r\n")[1:]
        fields = dict(line.replace(b" ", b"").split(b":", 1) for line in lines if b":" in line)
        if not ended:
            yield status, False
            return
        if status < 200:
            data = rest
            continue
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            _body, whole, data = rest.partition(b"0\r\n\r\n")
        else:
            length = int(fields.get(b"content-length", b"0"))
            whole, data = rest[:length] if len(rest) >= length else b"", rest[length:]
            if not length:
                whole = b"none"
        yield status, bool(whole)


def converse(connection: socket.socket, case: Case) -> tuple[list[int], str]:
    """Send a case and take what comes: the statuses, and how it ended."""
    data, failed = b"", False
    for piece in case.pieces:
        if isinstance(piece, float):
            time.sleep(piece)
            continue
        try:
            connection.sendall(piece)
        except OSError:
            # The door has turned away before it had all of it; what it said may still be there.
            failed = True
            break
    if case.hang_up and not failed:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
    end = "closed"
    while True:
        found = list(responses(data))
        done = len(found) >= case.answers and all(whole for __, whole in found)
        connection.settimeout(GRACE if done else PATIENCE if found else TIMEOUT)
        try:
            piece = connection.recv(65536)
        except TimeoutError:
            end = "answered" if found else "silent"
            break
        except OSError:
            break
        if not piece:
            break
        data += piece
    return [status for status, __ in responses(data)], end


def play(door: Door, case: Case) -> Outcome:
    """One case on a connection of its own."""
    began = time.monotonic()
    try:
        with door.connect() as connection:
            statuses, end = converse(connection, case)
    except OSError as error:
        statuses, end = [], f"no connection ({error})"
    return Outcome(case, tuple(statuses), end, time.monotonic() - began)


def alive(door: Door, target: Target) -> str:
    """What is wrong with the answer to an honest request; "" for nothing."""
    honest = Maker(target, "", random.Random(0)).honest()
    outcome = play(door, Case("honest", "", [honest], honest=1))
    return "" if outcome.statuses[:1] and 200 <= outcome.statuses[0] < 300 else outcome.told()


def run(door: Door, target: Target, wanted: Sequence[Case]) -> tuple[list[Outcome], list[str]]:
    """Everything, the slow ones beside the rest; the outcomes, and what was wrong with honest requests between them."""
    slow = [case for case in wanted if case.kind == "slow"]
    rest = [case for case in wanted if case.kind != "slow"]
    wrong = []
    with ThreadPoolExecutor(max(1, len(slow))) as drips, ThreadPoolExecutor(WORKERS) as pool:
        waiting = [drips.submit(play, door, case) for case in slow]
        outcomes: list[Outcome] = []
        for start in range(0, len(rest), EVERY):
            outcomes += pool.map(lambda case: play(door, case), rest[start : start + EVERY])
            answer = alive(door, target)
            if answer:
                wrong.append(f"after {len(outcomes)} requests, an honest one got: {answer}")
        outcomes += [future.result() for future in waiting]
    return outcomes, wrong


def table(outcomes: Sequence[Outcome]) -> str:
    """How many of each kind got which answers."""
    lines: list[str] = []
    for kind in sorted({outcome.case.kind for outcome in outcomes}):
        mine = [outcome for outcome in outcomes if outcome.case.kind == kind]
        counts = Counter(outcome.told() for outcome in mine)
        told = ", ".join(f"{count} x {answer}" for answer, count in counts.most_common())
        lines.append(f"{kind:20} {len(mine):5}   {told}")
    return "\n".join(lines)


def reached(log: Path, markers: Sequence[str]) -> list[str]:
    """The markers that stand in the engines' log."""
    text = log.read_text(errors="replace")
    return [marker for marker in markers if marker in text]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--address", required=True, help="HOST:PORT of the gateway")
    parser.add_argument("--key-file", type=Path, help="file with a client's key (otherwise the variable DOOR_KEY)")
    parser.add_argument("--model", required=True, help="a model that the gateway serves")
    parser.add_argument("--path", default="/v1/chat/completions", help="where that model answers")
    parser.add_argument("--tls", choices=["off", "on", "unverified"], default="off")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--markers", type=Path, help="write the list of markers there")
    parser.add_argument("--engine-log", type=Path, help="what the engines logged; read at the end")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    host, __, port = options.address.rpartition(":")
    tls = None if options.tls == "off" else ssl.create_default_context()
    if tls and options.tls == "unverified":
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    door = Door((host.strip("[]"), int(port)), tls)
    key = options.key_file.read_text().strip() if options.key_file else os.environ.get("DOOR_KEY", "")
    target = Target(options.address, key, options.model, options.path)
    wanted = list(cases(target, options.count, options.seed))
    if options.markers:
        options.markers.write_text(json.dumps([case.marker for case in wanted]) + "\n")
    answer = alive(door, target)
    if answer:
        print(f"An honest request to {options.address} got: {answer}. Nothing was tried.", file=sys.stderr)
        return 1
    began = time.monotonic()
    outcomes, wrong = run(door, target, wanted)
    print(table(outcomes))
    print(f"{len(outcomes)} requests in {time.monotonic() - began:.0f} s, seed {options.seed}")
    for outcome in outcomes:
        if outcome.passed:
            first = next(piece for piece in outcome.case.pieces if isinstance(piece, bytes))
            wrong.append(f"{outcome.case.kind} {outcome.case.marker} was answered {outcome.told()}: {first[:300]!r}")
    if options.engine_log:
        markers = reached(options.engine_log, [case.marker for case in wanted])
        wrong += [f"the engines' log holds {marker}" for marker in markers]
    answer = alive(door, target)
    if answer:
        wrong.append(f"at the end, an honest request got: {answer}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
