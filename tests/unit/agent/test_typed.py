import os

from corral.agent.typed import TypedInput
from corral.protocol import streams as frames


def typed(offset: int, data: bytes, node: int = 0, writer: int = 7) -> frames.Frame:
    return frames.Frame(frames.pack(frames.TYPED, node, rank=writer, offset=offset, data=data))


class Tasks:
    def __init__(self, count: int) -> None:
        self.ends = [os.pipe() for _ in range(count)]
        for read_end, write_end in self.ends:
            os.set_blocking(read_end, False)
            os.set_blocking(write_end, False)
        self.closed: set[int] = set()
        pipes = [(rank, write_end) for rank, (_, write_end) in enumerate(self.ends)]
        self.input = TypedInput(pipes, lambda fd: fd not in self.closed)

    def heard(self, rank: int) -> bytes:
        try:
            return os.read(self.ends[rank][0], 1 << 20)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        for ends in self.ends:
            for fd in ends:
                os.close(fd)


def test_a_piece_goes_to_every_task_once_however_often_it_is_said() -> None:
    tasks = Tasks(2)
    assert tasks.input.take(typed(0, b"ab")) == 2
    assert tasks.input.take(typed(0, b"ab")) == 2
    assert tasks.input.take(typed(2, b"c")) == 3
    assert [tasks.heard(0), tasks.heard(1)] == [b"abc", b"abc"]
    tasks.close()


def test_a_piece_for_one_task_is_heard_by_no_other() -> None:
    tasks = Tasks(2)
    assert tasks.input.take(typed(0, b"x", node=2)) == 1
    assert [tasks.heard(0), tasks.heard(1)] == [b"", b"x"]
    tasks.close()


def test_a_full_pipe_gets_the_piece_when_it_has_room_and_the_other_not_twice() -> None:
    tasks = Tasks(2)
    full = 0
    try:
        while True:
            full += os.write(tasks.ends[1][1], bytes(4096))
    except BlockingIOError:
        pass
    assert tasks.input.take(typed(0, b"ab")) == 0
    assert len(tasks.heard(1)) == full
    assert tasks.input.take(typed(0, b"ab")) == 2
    assert [tasks.heard(0), tasks.heard(1)] == [b"ab", b"ab"]
    tasks.close()


def test_a_task_that_is_gone_holds_nobody_up() -> None:
    tasks = Tasks(2)
    tasks.closed.add(tasks.ends[0][1])
    assert tasks.input.take(typed(0, b"ab")) == 2
    tasks.close()
