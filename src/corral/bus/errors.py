"""What can go wrong between two programs on the bus?

CorralError
└── BusError
    ├── ConnectionLost            the connection broke, or was never there
    │   └── CredentialsRefused        the server does not accept the token
    ├── NoReply                   nobody answered a request in time
    ├── PayloadTooLarge           more than the server takes in one message
    ├── BadSubject                a name that cannot stand in a subject
    ├── BadAddress                not the URL of a server
    └── ServerFailed              the NATS server could not be started
"""

from corral.errors import CorralError


class BusError(CorralError):
    """The message bus failed: {reason}"""


class ConnectionLost(BusError):
    """No connection to the message bus: {reason}"""


class CredentialsRefused(ConnectionLost):
    """The message bus does not accept these credentials: {reason}"""


class NoReply(BusError):
    """No answer from {whom} in {seconds:g} s"""


class PayloadTooLarge(BusError):
    """A message of {size} bytes is more than the {limit} the message bus takes"""


class BadSubject(BusError):
    """Not a usable name on the message bus: {name!r}"""


class BadAddress(BusError):
    """Not the address of a message bus: {url!r} (one is nats://host:4222)"""


class ServerFailed(BusError):
    """The NATS server did not start: {reason}"""
