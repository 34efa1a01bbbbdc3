"""What has each gateway said last?"""

import msgspec

from corral.protocol.requests import ReportLoad


class GatewaySeen(msgspec.Struct):
    """Not recorded: a gateway speaks every second."""

    at: float
    report: ReportLoad
