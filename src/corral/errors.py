"""What can go wrong, as one tree. A class's docstring is its message; braces are filled from the keywords it is raised with.

    CorralError
    ├── StoreUnavailable      what must be durable cannot be written
    ├── Unreachable           no controller answers
    └── Refused               the controller said no, and why
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any


class CorralError(Exception):
    """Something went wrong."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        super().__init__((type(self).__doc__ or "").format(**fields))

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(name) from None


class StoreUnavailable(CorralError):
    """The store cannot be written: {reason}"""


class Unreachable(CorralError):
    """No cluster answers at {endpoint} ({reason}). Start one with `corral up`, or name another in CORRAL_ENDPOINT."""


class Refused(CorralError):
    """{error}"""
