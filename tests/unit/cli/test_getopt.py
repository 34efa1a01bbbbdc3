"""Command lines are taken apart as getopt_long does."""

import pytest

from corral.cli.getopt import NO, OPTIONAL, REQUIRED, GetoptError, parse

KNOWN = [
    ("hold", "H", NO), ("label", "l", NO), ("nice", "", OPTIONAL), ("nodelist", "w", REQUIRED), ("nodes", "N", REQUIRED),
    ("ntasks", "n", REQUIRED), ("kill", "K", OPTIONAL), ("cluster", "M", REQUIRED), ("clusters", "M", REQUIRED),
]  # fmt: skip


@pytest.mark.parametrize("words", [["-n4"], ["-n", "4"], ["--ntasks=4"], ["--ntasks", "4"], ["--nt", "4"], ["--nt=4"]])
def test_a_value_may_be_given_in_all_these_ways(words: list[str]) -> None:
    assert parse(words, KNOWN) == ([("ntasks", "4")], [])


def test_letters_may_stand_together() -> None:
    assert parse(["-Hln", "4"], KNOWN)[0] == [("hold", None), ("label", None), ("ntasks", "4")]


def test_an_optional_value_is_only_what_is_joined() -> None:
    assert parse(["-K", "-K0", "--nice", "5"], KNOWN) == ([("kill", None), ("kill", "0"), ("nice", None)], ["5"])


def test_the_first_word_that_is_no_option_ends_them() -> None:
    assert parse(["-H", "job.sh", "-n4"], KNOWN) == ([("hold", None)], ["job.sh", "-n4"])
    assert parse(["--", "-n4"], KNOWN) == ([], ["-n4"])


def test_options_may_follow_where_it_is_allowed() -> None:
    assert parse(["42", "-n4", "43"], KNOWN, permute=True) == ([("ntasks", "4")], ["42", "43"])


def test_two_names_of_one_option_are_not_ambiguous() -> None:
    assert parse(["--clust", "x"], KNOWN)[0] == [("cluster", "x")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--foo=1"], "unrecognized option '--foo=1'"),
        (["-~"], "invalid option -- '~'"),
        (["-n"], "option requires an argument -- 'n'"),
        (["--ntasks"], "option '--ntasks' requires an argument"),
        (["--hol=x"], "option '--hold' doesn't allow an argument"),
        (["--no=1"], "option '--no=1' is ambiguous; possibilities: '--nodelist' '--nodes'"),
    ],
)
def test_what_is_wrong_is_said_in_the_same_words(words: list[str], message: str) -> None:
    with pytest.raises(GetoptError, match="^" + message.replace("(", r"\(").replace("-- '~'", "-- '~'") + "$"):
        parse(words, KNOWN)
