"""How do the tables live: looked at every so often, sorted and narrowed as the user says, and a job ended if so wished?"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Footer, Static, TabbedContent, TabPane

from corral.cli.top.rows import GPUS, JOBS, NODES, Column, Lines, Row, View, gpu_rows, job_text, lines, summary
from corral.cli.top.screens import JobScreen, Question, Word
from corral.cli.top.source import Seen, Source
from corral.errors import CorralError

_TABLES: dict[str, tuple[Column, ...]] = {"jobs": JOBS, "nodes": NODES, "gpus": GPUS}
_KEYS: dict[str, Callable[[Row], str]] = {
    "jobs": lambda row: str(row["id"]), "nodes": lambda row: row["name"],
    "gpus": lambda row: f"{row['node']}/{row['type']}/{row['index']}",
}  # fmt: skip


class Top(App[None]):
    """Jobs, nodes and GPUs."""

    TITLE = "corral top"
    ENABLE_COMMAND_PALETTE = False
    CSS = "#head { height: 1; padding: 0 1; } #foot { height: 1; padding: 0 1; color: $text-muted; } TabPane { padding: 0; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "show('jobs')", "jobs"), Binding("2", "show('nodes')", "nodes"), Binding("3", "show('gpus')", "GPUs"),
        Binding("s", "sort", "sort"), Binding("r", "reverse", "reverse"), Binding("u", "user", "user"),
        Binding("m", "mine", "mine"), Binding("slash", "text", "find"), Binding("enter", "open", "job", priority=False),
        Binding("x", "cancel", "cancel"), Binding("q", "quit", "quit"),
    ]  # fmt: skip

    def __init__(self, source: Source, interval: float = 2.0, user: str = "") -> None:
        super().__init__()
        self._source, self._interval = source, interval
        self.seen = Seen([], [])
        self.views = {name: View(user=user) for name in _TABLES}
        self._shown: dict[str, Lines] = {}
        # Held, and not looked for: another screen may stand before them.
        self._head = Static("...", id="head", markup=False)
        self._foot = Static("", id="foot", markup=False)
        self._tabs = TabbedContent(initial="jobs")
        self._tables: dict[str, DataTable[str]] = {
            name: DataTable(id=f"{name}-table", cursor_type="row", zebra_stripes=True) for name in _TABLES
        }

    def compose(self) -> ComposeResult:
        yield self._head
        with self._tabs:
            for name, title in (("jobs", "Jobs"), ("nodes", "Nodes"), ("gpus", "GPUs")):
                with TabPane(title, id=name):
                    yield self._tables[name]
        yield self._foot
        yield Footer()

    def on_mount(self) -> None:
        for name, columns in _TABLES.items():
            table = self._table(name)
            for number, column in enumerate(columns):
                table.add_column(column.title, key=str(number))
        self._table("jobs").focus()
        self.look()
        self.set_interval(self._interval, self.look)

    # ------------------------------------------------------------------ looking

    @work(thread=True, exclusive=True, group="look")
    def look(self) -> None:
        try:
            seen = self._source.look()
        except (CorralError, OSError) as error:
            self.call_from_thread(self._say, f"no answer: {error}")
            return
        self.call_from_thread(self._show, seen)

    def _say(self, text: str) -> None:
        self._head.update(text)

    def _show(self, seen: Seen) -> None:
        if not self._head.is_attached:
            return  # it ends
        self.seen = seen
        self._say(summary(seen.jobs, seen.nodes))
        self._fill(self._current)

    @property
    def _current(self) -> str:
        return self._tabs.active or "jobs"

    def _table(self, name: str) -> DataTable[str]:
        return self._tables[name]

    def _fill(self, name: str) -> None:
        """What has changed of it; the cursor stays on its line, by name."""
        rows = {"jobs": self.seen.jobs, "nodes": self.seen.nodes}.get(name)
        if rows is None:
            rows = gpu_rows(self.seen.nodes, self.seen.jobs)
        new, old, table = (
            lines(_TABLES[name], rows, self.views[name], _KEYS[name]),
            self._shown.get(name),
            self._table(name),
        )
        if old is not None and old.keys == new.keys:
            for at, (was, now) in enumerate(zip(old.cells, new.cells, strict=True)):
                for column, (before, after) in enumerate(zip(was, now, strict=True)):
                    if before != after:
                        table.update_cell_at(Coordinate(at, column), after, update_width=True)
        else:
            chosen = self._chosen_key(name)
            scroll = table.scroll_y
            table.clear()
            for key, cells in zip(new.keys, new.cells, strict=True):
                table.add_row(*cells, key=key)
            if chosen in new.keys:
                table.move_cursor(row=new.keys.index(chosen), scroll=False)
            table.scroll_to(y=scroll, animate=False)
        self._shown[name] = new
        self._tell(name)

    def _tell(self, name: str) -> None:
        view, shown = self.views[name], self._shown[name]
        words = [f"{len(shown.keys)} of {shown.total}" if shown.total > len(shown.keys) else str(shown.total)]
        if view.sort >= 0:
            words.append(f"by {_TABLES[name][view.sort].title}")
        if view.reverse:
            words.append("reversed")
        if view.user and name != "nodes":
            words.append(f"of {view.user}")
        if view.text:
            words.append(f"with {view.text!r}")
        self._foot.update(" · ".join(words))

    def _chosen_key(self, name: str) -> str:
        old, at = self._shown.get(name), self._table(name).cursor_row
        return old.keys[at] if old is not None and 0 <= at < len(old.keys) else ""

    def on_tabbed_content_tab_activated(self) -> None:
        name = self._current
        self._fill(name)
        self._table(name).focus()

    # ------------------------------------------------------------------ what the user says

    def action_show(self, name: str) -> None:
        self._tabs.active = name

    def _change(self, **fields: object) -> None:
        name = self._current
        self.views[name] = self.views[name]._replace(**fields)  # type: ignore[arg-type]
        self._fill(name)

    def action_sort(self) -> None:
        """By the next column, and after the last as it comes."""
        at = self.views[self._current].sort + 1
        self._change(sort=at if at < len(_TABLES[self._current]) else -1, reverse=False)

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        view = self.views[self._current]
        again = view.sort == event.column_index
        self._change(sort=event.column_index, reverse=not view.reverse if again else False)

    def action_reverse(self) -> None:
        self._change(reverse=not self.views[self._current].reverse)

    def action_mine(self) -> None:
        self._of("" if self.views["jobs"].user == getpass.getuser() else getpass.getuser())

    def _of(self, user: str | None) -> None:
        if user is not None:
            self.views = {name: view._replace(user=user) for name, view in self.views.items()}
            self._fill(self._current)

    def action_user(self) -> None:
        self.push_screen(Word("jobs of this user (empty: of all)", self.views["jobs"].user), self._of)

    def action_text(self) -> None:
        def found(text: str | None) -> None:
            if text is not None:
                self._change(text=text)

        self.push_screen(Word("lines with", self.views[self._current].text), found)

    def _chosen_jobs(self) -> list[Row]:
        """Those that the line under the cursor is of."""
        name = self._current
        shown, at = self._shown.get(name), self._table(name).cursor_row
        if shown is None or not 0 <= at < len(shown.rows) or name == "nodes":
            return []
        row = shown.rows[at]
        return [row] if name == "jobs" else row["jobs"]

    def action_open(self) -> None:
        jobs = self._chosen_jobs()
        if jobs:
            row = jobs[0]
            self.push_screen(JobScreen(f"job {job_text(row)}", lambda: self._source.told(row)))

    def on_data_table_row_selected(self) -> None:
        self.action_open()

    def action_cancel(self) -> None:
        jobs = self._chosen_jobs()
        if len(jobs) != 1:
            return
        row = jobs[0]

        def answered(yes: bool | None) -> None:
            if yes:
                self._cancel(row)

        self.push_screen(Question(f"Cancel job {job_text(row)} ({row['name']}) of {row['user']}?"), answered)

    @work(thread=True, group="cancel")
    def _cancel(self, row: Row) -> None:
        try:
            problem = self._source.cancel(row)
        except (CorralError, OSError) as error:
            problem = str(error)
        if problem:
            self.call_from_thread(self.notify, problem, severity="error", markup=False)
        self.call_from_thread(self.look)
