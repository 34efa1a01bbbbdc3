"""Which options do a script's #SBATCH lines give?

They are read until the first line that is neither blank nor a comment. Words are split as sbatch splits them, which is nearly
but not quite as a shell does: a backslash keeps the next letter within either kind of quotes, an empty word ends the line, and so
does a # inside a word.
"""

from __future__ import annotations

MARK = "#SBATCH"

_SPACE = " \t\r\v\f\n"


class BadDirective(Exception):
    """A line that cannot be split; the text is Slurm's, without the script's name."""


def words_of(script: str) -> list[str]:
    """All words behind #SBATCH, in order, as one command line. BadDirective where a line cannot be split."""
    words: list[str] = []
    for number, line in enumerate(script.split("\n"), 1):
        if line.startswith(MARK):
            words += words_in(line[len(MARK) :], number)
        elif not _is_comment(line):
            break
    return words


def words_in(text: str, number: int) -> list[str]:
    """What stands behind the mark on one line."""
    words: list[str] = []
    while True:
        word, text = _word(text, number)
        if not word:
            return words
        words.append(word)


def _is_comment(line: str) -> bool:
    text = line.lstrip(_SPACE)
    return not text or text[0] == "#"


def _word(line: str, number: int) -> tuple[str, str]:
    """The first word, and what follows it; "" = nothing is left."""
    text = line.lstrip(_SPACE)
    if text.startswith(":"):
        raise BadDirective(f"line {number}: Unexpected `:` in [{text}]")
    letters: list[str] = []
    quote = ""
    at = 0
    while at < len(text) and (quote or text[at] not in _SPACE):
        letter = text[at]
        if letter == "\\" and at + 1 < len(text):
            letters.append(text[at + 1])
            at += 2
            continue
        if quote and letter == quote:
            quote = ""
        elif not quote and letter in "\"'":
            quote = letter
        elif letter == "#" and not quote:
            break
        else:
            letters.append(letter)
        at += 1
    if quote:
        raise BadDirective(f"line {number}: Unmatched `{quote}` in [{line}]")
    return "".join(letters), text[at:]
