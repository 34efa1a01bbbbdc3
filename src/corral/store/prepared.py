"""How does a statement that every commit carries out go to the database without being compiled, or looked up, each time?"""

from typing import Any

import sqlalchemy as sa


class Prepared:
    """Its text in the database's own words, made once. For columns whose values the driver takes as they are."""

    def __init__(self, statement: sa.sql.ClauseElement, dialect: sa.Dialect) -> None:
        compiled = statement.compile(
            dialect=dialect, compile_kwargs={"literal_binds": isinstance(statement, sa.Select)}
        )
        assert isinstance(compiled, sa.sql.compiler.SQLCompiler)
        self._text = compiled.string
        self._names = compiled.positiontup  #: None: the driver takes parameters by name

    def put(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
        """Once for each row."""
        names = self._names
        connection.exec_driver_sql(
            self._text, rows if names is None else [tuple([row[name] for name in names]) for row in rows]
        )

    def scalar(self, connection: sa.Connection) -> Any:
        return connection.exec_driver_sql(self._text).scalar()
