from hypothesis import given, strategies

from corral.syntax.rawbytes import MARK, carried, restored


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
        assert MARK in one.encode()
