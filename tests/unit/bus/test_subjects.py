import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.bus import subjects
from corral.bus.errors import BadSubject


def test_the_names():
    assert subjects.orders("c", "n1") == "corral.c.node.n1.orders"
    assert subjects.reports("c", "a", ("n1",)).startswith("corral.c.agent.a.reports.")
    assert subjects.acks("c", "a") == "corral.c.agent.a.acks"
    assert subjects.step_to_client("c", "42.0") == "corral.c.io.42%2E0.client"
    assert subjects.step_to_tasks("c", "42.0") == "corral.c.io.42%2E0.tasks"
    assert subjects.step_to_tasks("c", "42.0", "n.x") == "corral.c.io.42%2E0.tasks.n%2Ex"


@settings(deadline=None)
@given(st.text(min_size=1))
def test_every_name_is_one_token_and_comes_back(name):
    text = subjects.token(name)
    assert subjects.check(text) == text
    assert "." not in text
    assert subjects.name_of(text) == name


def test_an_empty_name_is_refused():
    with pytest.raises(BadSubject):
        subjects.orders("c", "")


@pytest.mark.parametrize("text", ["%", "%G1", "%FF", "a%2"])
def test_a_token_that_no_name_makes_is_refused(text):
    with pytest.raises(BadSubject):
        subjects.name_of(text)


def test_all_reports_match_and_name_their_agent():
    subject = subjects.reports("c", "agent.of.rack 1", ("n2", "n1"))
    assert subjects.matches(subjects.all_reports("c"), subject)
    assert not subjects.matches(subjects.all_reports("d"), subject)
    assert subjects.reporter(subject) == ("agent.of.rack 1", subjects.mark_of(("n1", "n2")))
    with pytest.raises(BadSubject):
        subjects.reporter(subjects.orders("c", "n"))


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*.c", "a.b.c", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("a.*", "a.>", False),
        ("a.>", "a.*.c", True),
    ],
)
def test_matching(pattern, subject, expected):
    assert subjects.matches(pattern, subject) is expected


def test_wildcards_are_for_subscriptions():
    assert subjects.check("a.*.>", wildcards=True)
    for subject in ("a.*", ">", "a.b*"):
        with pytest.raises(BadSubject):
            subjects.check(subject)
    for subject in (">.a", "a*", ""):
        with pytest.raises(BadSubject):
            subjects.check(subject, wildcards=True)
