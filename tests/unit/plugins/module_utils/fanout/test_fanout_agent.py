"""Agents as real processes on loopback: whole transfers, and each fault that one of them can meet."""

from __future__ import annotations

import json
import socket
import ssl
import stat
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout import manifest as mf
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout import wire
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.order import Bounds
from ansible_collections.baremetal.vllm.plugins.module_utils.fanout.tls import Credential
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fanout import certificate
from fanout_members import Run, noise, until

MIB = 1 << 20
QUICK = Bounds(silence=2, wait=1, window=0.5, give_up=30, lease=120)
# Sends so slowly that something can happen meanwhile: 8 MiB last four seconds.
LEISURE = Bounds(silence=2, wait=1, window=60, give_up=30, lease=120, rate=2 * MIB)


def test_content_goes_through_a_chain_for_one_copy_and_gets_its_name_when_it_is_whole(run: Run) -> None:
    data = noise(9 * MIB + 17)
    chain = [run.source(data), *(run.member(name) for name in "abc")]
    for member in chain:
        member.start()
    for at, member in enumerate(chain[1:], 1):
        member.asks(*reversed(chain[:at]))
    for member in chain[1:]:
        assert member.whole()["received"] == len(data)
    sent = [(member.end(), member.status["sent"]) for member in chain]
    text = len(mf.read((chain[1].target.parent / ".content.manifest.json").read_bytes(), run.digest).text)
    # Each gave one copy and the manifest to the next, and the last one nothing.
    assert sent == [(0, len(data) + text)] * 3 + [(0, 0)]
    for member in chain[1:]:
        assert member.target.read_bytes() == data
        assert stat.S_IMODE(member.target.stat().st_mode) == 0o644
        assert sorted(path.name for path in member.target.parent.iterdir()) == [".content.manifest.json", "content"]


def test_a_directory_arrives_with_all_its_files_and_modes_that_engines_can_read(run: Run) -> None:
    files = {"config.json": b"{}", "deep/er/a": noise(MIB + 5), "deep/b": b"", "zz": noise(3 * MIB, 2), ".hidden": b"h"}
    source, receiver = run.source(files).start(), run.member("a").start()
    receiver.asks(source)
    receiver.whole()
    found = {str(p.relative_to(receiver.target)): p.read_bytes() for p in receiver.target.rglob("*") if p.is_file()}
    assert found == files
    folders = [receiver.target, *(path for path in receiver.target.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o755}


def test_content_without_a_byte_arrives_too(run: Run) -> None:
    source, receiver = run.source(b"").start(), run.member("a").start()
    receiver.asks(source)
    receiver.whole()
    assert receiver.target.read_bytes() == b""


def test_a_member_is_asked_before_it_has_anything_itself(run: Run) -> None:
    source = run.source(noise(3 * MIB)).start()
    first, second = run.member("a", QUICK).start(), run.member("b", QUICK).start()
    second.asks(first)
    until("it waits at its neighbour", lambda: first.status["receivers"] == ["b"])
    first.asks(source)
    assert second.whole()["complaints"] == []


def test_a_member_that_was_killed_goes_on_from_what_it_had(run: Run) -> None:
    source, receiver = run.source(noise(8 * MIB), LEISURE).start(), run.member("a", QUICK).start()
    receiver.asks(source)
    until("a part is there", lambda: receiver.status["chunks"] >= 3)
    receiver.kill()
    before = source.status["sent"]
    receiver.start()
    assert not receiver.target.exists()
    receiver.asks(source)
    told = receiver.whole()
    assert told["received"] <= 5 * MIB
    assert told["received"] + told["had"] == 8 * MIB
    until("the source tells of it", lambda: source.status["sent"] > before)
    assert mf.describe(receiver.target).digest == run.digest


def test_what_an_earlier_run_left_is_believed_only_where_it_is_right(run: Run) -> None:
    source, receiver = run.source(noise(8 * MIB), LEISURE).start(), run.member("a", QUICK).start()
    receiver.asks(source)
    until("a part is there", lambda: receiver.status["chunks"] >= 3)
    receiver.kill()
    with (receiver.target.parent / ".content.fanout" / "content").open("r+b") as stream:
        stream.seek(MIB + 5)
        stream.write(b"flipped")
    receiver.start()
    receiver.asks(source)
    receiver.whole()
    assert mf.describe(receiver.target).digest == run.digest


def test_others_go_past_a_member_that_dies_midway(run: Run) -> None:
    data = noise(8 * MIB)
    source = run.source(data, LEISURE)
    first, second, third = (run.member(name, QUICK) for name in "abc")
    for member in (source, first, second, third):
        member.start()
    first.asks(source)
    second.asks(first, source)
    third.asks(second, first, source)
    until("a part is there", lambda: second.status["chunks"] >= 3)
    first.kill()
    for member in (second, third):
        member.whole()
        assert member.target.read_bytes() == data
    source.end()
    # One copy went to the one that died, one to those behind it; a question may have been under way to both.
    assert source.status["sent"] <= 2 * len(data) + 2 * MIB


def test_others_go_past_a_member_that_falls_silent(run: Run) -> None:
    source, first, second = run.source(noise(8 * MIB), LEISURE), run.member("a", QUICK), run.member("b", QUICK)
    for member in (source, first, second):
        member.start()
    first.asks(source)
    second.asks(first, source)
    until("a part is there", lambda: second.status["chunks"] >= 2)
    first.pause()
    assert "a" in dict(second.whole()["complaints"])


def test_a_liar_is_dropped_and_named_and_its_chunk_fetched_elsewhere(run: Run) -> None:
    data = noise(4 * MIB)
    source, liar, receiver = run.source(data), run.member("liar"), run.member("a")
    liar.target.write_bytes(data)
    lie = (
        "from ansible_collections.baremetal.vllm.plugins.module_utils.fanout import store\n"
        "def load(self, index, room, true=store.Store.load):\n"
        "    found = true(self, index, room)\n"
        "    if index == 2: room[7] ^= 1\n"
        "    return found\n"
        "store.Store.load = load\n"
    )
    source.start()
    liar.start(lie)
    receiver.start().asks(liar, source)
    told = receiver.whole()
    assert told["liars"] == ["liar"]
    assert dict(told["complaints"])["liar"] == "wrong bytes for chunk 2"
    assert receiver.target.read_bytes() == data


def test_a_copy_that_is_damaged_on_its_disk_is_not_given_on(run: Run) -> None:
    data = noise(4 * MIB)
    source, other, receiver = run.source(data), run.member("b"), run.member("a")
    other.target.write_bytes(data)
    source.start()
    other.start()
    with source.target.open("r+b") as stream:
        stream.seek(2 * MIB)
        stream.write(b"rotten")
    receiver.start().asks(source, other)
    told = receiver.whole()
    assert told["liars"] == []
    assert receiver.target.read_bytes() == data
    until("it names the chunk", lambda: source.status["damaged"] == [2])


@pytest.mark.parametrize("kind", ["none", "another", "signed by the run's"])
def test_nobody_without_the_run_s_certificate_gets_a_byte(run: Run, tmp_path: Path, kind: str) -> None:
    source = run.source(noise(MIB)).start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if kind != "none":
        (tmp_path / "foreign.pem").write_text(certificate.make() if kind == "another" else signed_by(run.credential))
        context.load_cert_chain(tmp_path / "foreign.pem")
    # Where it fails is TLS's to decide; that it fails, ours.
    with (
        socket.create_connection(("127.0.0.1", source.status["port"]), timeout=10) as plain,
        pytest.raises(OSError),  # noqa: PT011
    ):
        ask(context.wrap_socket(plain), run.digest)
    assert source.end() == 0
    assert source.status["sent"] == 0


def test_a_member_takes_nothing_from_a_stranger(run: Run) -> None:
    source, stranger = run.source(noise(MIB)), run.member("stranger", credential=certificate.make())
    stranger.target.write_bytes(source.target.read_bytes())
    receiver = run.member("a")
    for member in (source, stranger, receiver):
        member.start()
    receiver.asks(stranger, source)
    assert "stranger" in dict(receiver.whole()["complaints"])
    assert stranger.end() == 0
    assert stranger.status["sent"] == 0


def test_questions_out_of_bounds_end_the_connection_and_not_the_agent(run: Run, tmp_path: Path) -> None:
    source = run.source(noise(MIB)).start()
    (tmp_path / "own.pem").write_text(run.credential)
    member = Credential(tmp_path / "own.pem")
    for said in (b"GET / HTTP/1.1\r\n\r\n" * 4, b"BVF1" + bytes.fromhex(run.digest) + b"\1a" + b"\x09" * 5):
        with socket.create_connection(("127.0.0.1", source.status["port"]), timeout=10) as plain:
            connection = member.connect(plain)
            connection.sendall(said)
            with pytest.raises(ConnectionError):
                wire.receive(connection)
    with socket.create_connection(("127.0.0.1", source.status["port"]), timeout=10) as plain:
        connection = member.connect(plain)
        wire.greet(connection, wire.Greeting(run.digest, "a"))
        wire.send(connection, wire.Frame(wire.CHUNK, 4_000_000_000))
        with pytest.raises(ConnectionError):
            wire.receive(connection)
    receiver = run.member("b").start()
    receiver.asks(source)
    receiver.whole()


def test_no_more_receivers_are_served_at_once_than_the_bound(run: Run) -> None:
    data = noise(6 * MIB)
    one = Bounds(**{**vars(LEISURE), "receivers": 1})
    source, first, second = run.source(data, one), run.member("a", QUICK), run.member("b", QUICK)
    for member in (source, first, second):
        member.start()
    first.asks(source)
    until("the place is taken", lambda: source.status["receivers"] == ["a"])
    # Whoever finds it busy goes to the next, which has it a little later.
    second.asks(source, first)
    assert dict(second.whole()["complaints"])["source"] == "sends to as many as it may"
    source.end()
    text = len((first.target.parent / ".content.manifest.json").read_bytes())
    assert source.status["sent"] == len(data) + text


def test_a_disk_that_fills_up_ends_it_with_a_sentence_and_the_next_run_goes_on(run: Run) -> None:
    source, receiver = run.source(noise(6 * MIB)).start(), run.member("a", QUICK)
    full = (
        "import os\n"
        "written = [0]\n"
        "def pwrite(stream, data, offset, true=os.pwrite):\n"
        "    written[0] += len(data)\n"
        "    if written[0] > 3 << 20: raise OSError(28, 'No space left on device')\n"
        "    return true(stream, data, offset)\n"
        "os.pwrite = pwrite\n"
    )
    receiver.start(full)
    receiver.asks(source)
    assert receiver.over() == 1
    assert receiver.status["state"] == "failed"
    assert "is full: make room, and run again; what came is kept" in receiver.status["problem"]
    assert not receiver.target.exists()
    receiver.start()
    receiver.asks(source)
    assert receiver.whole()["had"] > 0


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(run: Run) -> None:
    source, receiver = run.source(noise(2 * MIB)).start(), run.member("a", QUICK)
    small = "import os\nos.statvfs = lambda path: os.statvfs_result((4096, 4096, 9, 9, 9, 9, 9, 9, 0, 255))"
    receiver.start(small)
    receiver.asks(source)
    assert receiver.over() == 1
    assert "the disk is too small" in receiver.status["problem"]
    assert str(receiver.target.parent) in receiver.status["problem"]


def test_two_runs_at_once_the_second_is_refused_and_the_first_one_ends_well(run: Run) -> None:
    source, receiver = run.source(noise(6 * MIB), LEISURE).start(), run.member("a", QUICK).start()
    receiver.asks(source)
    second = run.member("second")
    order = json.loads(second.folder.order.read_text())
    second.folder.order.write_text(json.dumps({**order, "target": str(receiver.target)}))
    second.start()
    assert second.over() == 1
    assert "another run brings" in second.status["problem"]
    receiver.whole()
    assert mf.describe(receiver.target).digest == run.digest


def test_other_content_at_its_place_is_refused_by_name(run: Run) -> None:
    run.source(noise(MIB))
    receiver = run.member("a")
    receiver.target.write_bytes(b"somebody's")
    receiver.start()
    assert receiver.over() == 1
    assert f"{receiver.target} is there and is other content" in receiver.status["problem"]
    assert receiver.target.read_bytes() == b"somebody's"


def test_a_run_whose_control_node_is_gone_leaves_nothing_open(run: Run) -> None:
    source = run.source(noise(MIB), Bounds(lease=0.5)).start()
    receiver = run.member("a", Bounds(lease=0.5)).start()
    port = source.status["port"]
    assert source.over() == 0
    assert receiver.over() == 1
    assert "the control node was not heard of" in receiver.status["problem"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_member_whom_nobody_can_give_anything_gives_up_and_says_whom_it_asked(run: Run) -> None:
    run.source(noise(MIB))
    dead = run.member("dead").start()
    receiver = run.member("a", Bounds(give_up=0.5, silence=2)).start()
    receiver.asks(dead)
    dead.kill()
    assert receiver.over() == 1
    assert "no chunk came for 0.5 s" in receiver.status["problem"]


def test_new_neighbours_are_taken_up_while_it_runs(run: Run) -> None:
    source, dead = run.source(noise(MIB)).start(), run.member("dead").start()
    receiver = run.member("a", QUICK).start()
    receiver.asks(dead)
    until("it waits there", lambda: dead.status["receivers"] == ["a"])
    dead.kill()
    receiver.asks(source)
    receiver.whole()


def test_a_neighbour_that_is_stuck_is_left_for_one_that_has_more(run: Run) -> None:
    source, stuck = run.source(noise(MIB)).start(), run.member("stuck").start()
    receiver = run.member("a", QUICK).start()
    receiver.asks(stuck, source)
    assert dict(receiver.whole()["complaints"]) == {"stuck": "slower than source"}


def test_the_key_lies_on_no_disk_once_the_agent_has_it(run: Run) -> None:
    source = run.source(noise(MIB)).start()
    assert not source.folder.credential.exists()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (source.folder.order, source.folder.status)} == {0o600}
    with open(f"/proc/{source.status['pid']}/cmdline", encoding="utf-8") as stream:
        assert "PRIVATE" not in stream.read()


def test_two_that_come_after_each_other_do_not_wait_for_each_other(run: Run) -> None:
    """Whose list names one that comes after it asks it, and goes on at once where it has nothing."""
    source, first, second = run.source(noise(2 * MIB)), run.member("a", QUICK), run.member("b", QUICK)
    for member in (source, first, second):
        member.start()
    source.kill()
    first.asks(source, later=[second])
    second.asks(first)
    until("it is without its source", lambda: "source" in dict(first.status["complaints"]))
    source.start()
    first.asks(source, later=[second])
    second.whole()


def ask(connection: socket.socket, digest: str) -> None:
    """Ask for the first chunk and read the answer."""
    wire.greet(connection, wire.Greeting(digest, "stranger"))
    wire.send(connection, wire.Frame(wire.CHUNK, 0))
    wire.receive(connection)


def signed_by(credential: str) -> str:
    """A certificate of its own key that the run's key signed."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    issuer = x509.load_pem_x509_certificate(credential.encode())
    secret = serialization.load_pem_private_key(credential.encode(), None)
    assert isinstance(secret, ec.EllipticCurvePrivateKey)
    own = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(own.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(secret, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (own.private_bytes(*form) + made.public_bytes(serialization.Encoding.PEM)).decode()


def test_bytes_that_go_on_are_as_good_as_a_word_of_the_control_node(run: Run) -> None:
    # Six seconds of content at that rate, and half of that without the control node.
    source = run.source(noise(6 * MIB), Bounds(rate=MIB)).start()
    receiver = run.member("a", Bounds(lease=3))
    receiver.asks(source)
    receiver.start()
    # It has all, is asked by nobody, and ends: not as one that failed.
    assert receiver.over() == 0
    assert (receiver.status["state"], receiver.status["problem"]) == ("ended", "")
    assert mf.describe(receiver.target).digest == run.digest
