"""What is Caddy answered when it asks where a service leads?"""

import ipaddress
import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from corral.gateway import pointers
from corral.gateway.pointing import weighted
from corral.protocol.routes import Target


def question(name: str, kind: int) -> bytes:
    labels = b"".join(bytes((len(word),)) + word.encode() for word in name.split("."))
    return struct.pack("!HHHHHH", 77, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def head(answer: bytes) -> tuple[int, int, int]:
    """Id, code, number of answers."""
    number, flags, _, count, _, _ = struct.unpack_from("!HHHHHH", answer)
    return number, flags & 15, count


def services(answer: bytes, length: int) -> list[tuple[str, int]]:
    """The names and ports in it."""
    found, at = [], length
    for _ in range(head(answer)[2]):
        size = struct.unpack_from("!H", answer, at + 10)[0]
        data = answer[at + 12 : at + 12 + size]
        found.append((data[7 : 7 + data[6]].decode(), struct.unpack_from("!H", data, 4)[0]))
        at += 12 + size
    assert at == len(answer)
    return found


def test_a_service_is_answered_with_the_names_and_ports_of_its_replicas(tmp_path: Path) -> None:
    packed = [(ipaddress.ip_address(one).packed, port) for one, port in (("127.0.0.1", 9001), ("10.0.0.2", 9002))]
    (tmp_path / "abc").write_bytes(pointers.service_records(packed))
    asked = question("abc.s", pointers.SRV)
    answer = pointers.answer(asked, str(tmp_path))
    assert head(answer) == (77, 0, 2)
    assert services(answer, len(asked)) == [("7f000001", 9001), ("0a000002", 9002)]


def test_the_names_of_addresses_say_what_they_are(tmp_path: Path) -> None:
    assert pointers.answer(question("7f000001.i", pointers.A), str(tmp_path))[-4:] == bytes((127, 0, 0, 1))
    assert head(pointers.answer(question("7f000001.i", pointers.AAAA), str(tmp_path))) == (77, 0, 0)
    six = ipaddress.ip_address("fd00::1").packed
    assert pointers.answer(question(f"{six.hex()}.i", pointers.AAAA), str(tmp_path))[-16:] == six


def test_a_service_that_leads_nowhere_is_no_name_and_none_leads_out_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(pointers.service_records([(b"\x7f\0\0\1", 1)]))
    for name in ("abc.s", "../secret.s"):
        assert head(pointers.answer(question(name, pointers.SRV), str(tmp_path / "in")))[1] == 3


@given(st.integers(0, 500), st.booleans())
def test_however_many_replicas_there_are_each_answer_is_small_and_each_replica_in_one(count: int, six: bool) -> None:
    targets = [((index + 1).to_bytes(16 if six else 4, "big"), 1000 + index) for index in range(count)]
    pieces = pointers.pieces_of(pointers.service_records(targets))
    assert sum(number for number, _ in pieces) == count
    assert all(len(data) <= pointers.PIECE_BYTES for _, data in pieces)
    numbers = [number for number, _ in pieces]
    assert not numbers or max(numbers) - min(numbers) <= 1


def test_a_replica_stands_there_as_often_as_its_weight_says() -> None:
    heavy, light, none = Target("a", 1, 90), Target("b", 1, 10), Target("c", 1, 0)
    found = weighted((heavy, light, none))
    assert (found.count(heavy), found.count(light), found.count(none)) == (9, 1, 0)
    assert weighted((Target("a", 1, 5), Target("b", 1, 5))) == [Target("a", 1, 5), Target("b", 1, 5)]
    assert weighted((none,)) == []
