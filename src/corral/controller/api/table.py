"""How do records become the rows that were asked for? Each field is one function; only those wanted are called."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from corral.protocol.replies import JobRows, Rejected

T = TypeVar("T")

Getter = Callable[[T, Any], Any]


class Attribute:
    """A getter of what is an attribute of the record itself: many at once cost a third."""

    def __init__(self, name: str) -> None:
        self.value = attrgetter(name)

    def __call__(self, record: Any, context: Any) -> Any:
        return self.value(record)


class UnknownField(Exception):
    """A query names a field that there is not."""

    def __init__(self, field: str, known: Iterable[str]) -> None:
        super().__init__(field)
        self.reply = Rejected(error=f"fields: no such field {field!r}", detail=f"Known are {', '.join(known)}.")


class Table(Generic[T]):
    """Rows of one kind of record. A getter takes the record and a context with what else it needs."""

    def __init__(self, getters: Mapping[str, Getter[T]]) -> None:
        self.getters = dict(getters)

    def check(self, fields: Sequence[str]) -> tuple[str, ...]:
        """The fields to show: those asked for, or all."""
        for field in fields:
            if field not in self.getters:
                raise UnknownField(field, self.getters)
        return tuple(fields) or tuple(self.getters)

    def rows(self, records: Iterable[T], fields: Sequence[str], context: Any) -> JobRows:
        chosen = self.check(fields)
        found = list(records)
        columns = [self._column(self.getters[field], found, context) for field in chosen]
        return JobRows(fields=chosen, rows=list(map(list, zip(*columns, strict=True))))

    @staticmethod
    def _column(get: Getter[T], records: list[T], context: Any) -> Iterable[Any]:
        if isinstance(get, Attribute):
            return map(get.value, records)
        return [get(record, context) for record in records]
