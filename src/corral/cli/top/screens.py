"""What stands before the tables for a moment: a job in full, a question, a word to be typed?"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static


class JobScreen(ModalScreen[None]):
    """All that is known of a job, as text."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "dismiss", "back")]
    CSS = "JobScreen { align: center middle; } JobScreen > VerticalScroll { width: 90%; height: 90%; border: round $accent; padding: 0 1; }"

    def __init__(self, title: str, ask: Callable[[], str]) -> None:
        super().__init__()
        self._title, self._ask = title, ask

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title = self._title
            yield Static("...", id="told", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self.run_worker(self._fill, thread=True)

    def _fill(self) -> None:
        text = self._ask()
        self.app.call_from_thread(self.query_one("#told", Static).update, text)


class Question(ModalScreen[bool]):
    """Yes or no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "yes"), Binding("n,escape,enter", "dismiss(False)", "no"),
    ]  # fmt: skip
    CSS = "Question { align: center middle; } Question > Vertical { width: auto; height: auto; border: round $error; padding: 1 2; }"

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(f"{self._text} (y/N)", markup=False)


class Word(ModalScreen[str | None]):
    """A word to be typed; None = left as it was."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "leave")]
    CSS = "Word { align: center bottom; } Word > Input { width: 60; }"

    def __init__(self, title: str, value: str) -> None:
        super().__init__()
        self._title, self._value = title, value

    def compose(self) -> ComposeResult:
        field = Input(self._value)
        field.border_title = self._title
        yield field

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())
