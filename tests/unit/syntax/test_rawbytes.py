from hypothesis import given, strategies

from corral.syntax.rawbytes import MARK, carried, may_be_carried, restored


@given(strategies.binary())
def test_any_bytes_come_back(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    if MARK in data:  # those characters are taken for bytes
        return
    assert restored(carried(text)) == text
    assert restored(carried(text)).encode("utf-8", "surrogateescape") == data
    carried(text).encode()  # can be sent


def test_what_is_carried_bears_the_mark() -> None:
    for byte in range(0x80, 0x100):
        one = carried(bytes([byte]).decode("utf-8", "surrogateescape"))
        assert may_be_carried(f"a{one}".encode())
    assert not may_be_carried(b"\xf4\x90 \x8f")
