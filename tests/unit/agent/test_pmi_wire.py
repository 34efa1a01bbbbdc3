import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.agent.pmi_wire import BadRequest, Decoder, line, message

INIT_1 = b"cmd=init pmi_version=1 pmi_subversion=1\n"
INIT_2 = b"cmd=init pmi_version=2 pmi_subversion=0\n"


def decoder(init: bytes) -> Decoder:
    one = Decoder()
    one.feed(init)
    return one


def test_the_first_line_says_the_version() -> None:
    assert decoder(INIT_1).version == 1
    assert decoder(INIT_2).version == 2


def test_lines_of_pmi_1_may_come_in_pieces() -> None:
    one = decoder(INIT_1)
    assert one.feed(b"cmd=put kvsname=3.0 key=k val") == []
    assert one.feed(b"ue=a=b\ncmd=barrier_in\n") == [
        {"cmd": "put", "kvsname": "3.0", "key": "k", "value": "a=b"},
        {"cmd": "barrier_in"},
    ]


def test_a_spawn_of_pmi_1_is_one_request() -> None:
    text = b"mcmd=spawn\nnprocs=2\nexecname=/bin/true\ntotspawns=1\nspawnssofar=1\nargcnt=0\nendcmd\n"
    (request,) = decoder(INIT_1).feed(text)
    assert request["mcmd"] == "spawn"
    assert request["totspawns"] == request["spawnssofar"] == "1"


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50))
def test_a_value_of_pmi_2_comes_back_whatever_is_in_it(value: str) -> None:
    (request,) = decoder(INIT_2).feed(message("kvs-put", {"key": "k", "value": value}))
    assert request == {"cmd": "kvs-put", "key": "k", "value": value}


def test_answers_are_written_as_slurms() -> None:
    assert line("my_kvsname", rc=0, kvsname="3.0") == b"cmd=my_kvsname rc=0 kvsname=3.0\n"
    assert message("kvs-put-response", {"rc": 0}) == b"26    cmd=kvs-put-response;rc=0;"


@pytest.mark.parametrize(
    ("init", "data"),
    [
        (b"", b"cmd=get_maxes\n"),
        (b"", b"GET / HTTP/1.1\n"),
        (INIT_2, b"abcdefcmd="),
        (INIT_2, b"999999cmd="),
        (INIT_1, b"x" * 70_000),
        (INIT_1, b"mcmd=spawn\n" + b"y" * 70_000),
    ],
)
def test_what_is_not_the_protocol_is_refused(init: bytes, data: bytes) -> None:
    with pytest.raises(BadRequest):
        decoder(init).feed(data)
