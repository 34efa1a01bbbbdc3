"""What must the outside do after a message has been handled?"""

from corral.protocol.events import AnyEvent
from corral.protocol.orders import AnyOrder
from corral.protocol.replies import AnyReply


class Effects:
    """Records first, in one transaction; then the sends and the reply. `sends` name the node each order is for."""

    __slots__ = ("blobs", "problems", "records", "reply", "sends")

    def __init__(self) -> None:
        self.records: list[AnyEvent] = []
        self.sends: list[tuple[str, AnyOrder]] = []
        self.reply: AnyReply | None = None
        self.problems: list[str] = []  #: rules that have failed: mistakes of the program, for its log
        self.blobs: dict[str, bytes] = {}  #: scripts and environments of jobs that the engine itself has submitted

    def __bool__(self) -> bool:
        return bool(self.records or self.sends or self.reply is not None)
