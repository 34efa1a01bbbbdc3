"""#SBATCH lines are read as sbatch reads them."""

import pytest

from corral.cli.directives import BadDirective, words_of


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("#SBATCH -N2 --mem=1G", ["-N2", "--mem=1G"]),
        ("#SBATCH\t-N2", ["-N2"]),
        ("#SBATCH -J 'my job' --comment=\"a b\"", ["-J", "my job", "--comment=a b"]),
        ("#SBATCH -N2 # two", ["-N2"]),
        ("#SBATCH -J a#b -N2", ["-J", "a"]),
        ('#SBATCH -J "a#b" -N2', ["-J", "a#b", "-N2"]),
        (r"#SBATCH -J a\ b", ["-J", "a b"]),
        (r'#SBATCH -J "a\"b"', ["-J", 'a"b']),
        ('#SBATCH --comment "" -N2', ["--comment"]),
        ("#SBATCHX", ["X"]),
        ("##SBATCH -N2\n #SBATCH -N2\n# SBATCH -N2", []),
        ("\n  # a comment\n#SBATCH -N2", ["-N2"]),
        ("true\n#SBATCH -N2", []),
        ("#SBATCH -N1\ntrue\n#SBATCH -N2", ["-N1"]),
    ],
)
def test_words(lines: str, words: list[str]) -> None:
    assert words_of("#!/bin/sh\n" + lines) == words


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('#SBATCH -J "my job', 'line 2: Unmatched `"` in [ "my job]'),
        ("#SBATCH : -N2", "line 2: Unexpected `:` in [: -N2]"),
    ],
)
def test_what_cannot_be_split(line: str, message: str) -> None:
    with pytest.raises(BadDirective) as error:
        words_of("#!/bin/sh\n" + line)
    assert str(error.value) == message
