"""Message <-> bytes: msgpack on the bus and in the store, JSON for people."""

import msgspec

from corral.protocol.events import AnyEvent
from corral.protocol.orders import AnyOrder
from corral.protocol.reports import AnyReport
from corral.protocol.requests import AnyRequest

#: Written before every event of the log; a later version must still read earlier ones.
EVENT_VERSION = 1

_encoder = msgspec.msgpack.Encoder()
_events: msgspec.msgpack.Decoder[AnyEvent] = msgspec.msgpack.Decoder(AnyEvent)
_orders: msgspec.msgpack.Decoder[AnyOrder] = msgspec.msgpack.Decoder(AnyOrder)
_reports = msgspec.msgpack.Decoder(list[AnyReport])
_requests: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)

encode = _encoder.encode


def decode_event(data: bytes) -> AnyEvent:
    return _events.decode(data)


def decode_order(data: bytes) -> AnyOrder:
    return _orders.decode(data)


def encode_reports(reports: list[AnyReport]) -> bytes:
    """Reports travel in batches: one bus message for what an agent has to say at once."""
    return _encoder.encode(reports)


def decode_reports(data: bytes) -> list[AnyReport]:
    return _reports.decode(data)


def decode_request(data: bytes) -> AnyRequest:
    """From the API's JSON. Raises msgspec.ValidationError naming the field."""
    return _requests.decode(data)
