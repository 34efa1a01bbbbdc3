"""The fair tree, beside what sshare of the real one shows of the same tree and the same usage."""

import math

import pytest

from corral.scheduler.fairshare import PARENT, Node, classic, fair_tree

#: id, parent, shares, is a user, used, and what sshare -l shows: NormShares, NormUsage, EffectvUsage, FairShare, LevelFS
REAL = [
    (1, 0, 1, False, 282, 0.0, None, 1.0, None, None),
    (15, 1, 1, True, 0, 0.333333, 0.0, 0.0, 1.0, math.inf),
    (2, 1, 1, True, 0, 0.333333, 0.0, 0.0, 1.0, math.inf),
    (3, 1, 1, False, 282, 0.333333, 1.0, 1.0, None, 0.333333),
    (10, 3, 1, True, 0, 0.1, 0.0, 0.0, 0.818182, math.inf),
    (5, 3, 1, False, 47.795334, 0.1, 0.169487, 0.169487, None, 0.590017),
    (7, 5, 1, True, 47.795334, 0.333333, 0.169487, 1.0, 0.181818, 0.333333),
    (12, 5, 1, True, 0, 0.333333, 0.0, 0.0, 0.363636, math.inf),
    (11, 5, 1, True, 0, 0.333333, 0.0, 0.0, 0.363636, math.inf),
    (4, 3, 7, False, 119.65401, 0.7, 0.424305, 0.424305, None, 1.649757),
    (6, 4, 1, True, 79.769340, 0.5, 0.28287, 0.666667, 0.545455, 0.75),
    (8, 4, PARENT, True, 39.884670, 0.7, 0.141435, 0.333333, 0.727273, None),
    (19, 4, 1, True, 0, 0.5, 0.0, 0.0, 0.727273, math.inf),
    (16, 3, PARENT, False, 29.915124, 0.333333, 0.106082, 0.106082, None, None),
    (18, 16, 0, True, 0, 0.0, 0.0, 0.0, 0.090909, 0.0),
    (17, 16, 1, True, 29.915124, 0.1, 0.106082, 0.106082, 0.454545, 0.942664),
]


def test_it_is_as_the_real_one_has_it() -> None:
    found = fair_tree([Node(*row[:5]) for row in REAL])
    for row in REAL:
        number, (shares, usage, effective, factor, level) = row[0], row[5:]
        one = found[number]
        assert (number, one.shares) == (number, pytest.approx(shares, abs=1e-5))
        assert (number, one.effective) == (number, pytest.approx(effective, abs=1e-5))
        if usage is not None:
            assert (number, one.usage) == (number, pytest.approx(usage, abs=1e-5))
        if factor is not None:
            assert (number, one.factor) == (number, pytest.approx(factor, abs=1e-5))
        if level is not None:
            assert (number, one.level) == (number, pytest.approx(level, abs=1e-4))


def test_users_of_a_group_that_used_less_stand_before_all_others() -> None:
    """Whatever each of them has used."""
    tree = [
        Node(1, 0, 1, False, 110.0),
        Node(2, 1, 1, False, 10.0), Node(3, 2, 1, True, 9.0), Node(4, 2, 9, True, 1.0),
        Node(5, 1, 1, False, 100.0), Node(6, 5, 1, True, 0.0), Node(7, 5, 1, True, 100.0),
    ]  # fmt: skip
    found = fair_tree(tree)
    assert sorted((3, 4, 6, 7), key=lambda user: -found[user].factor) == [4, 3, 6, 7]


def test_an_empty_tree_has_no_standings() -> None:
    assert fair_tree([]) == {}


#: As above, of a tree without decay: id, parent, shares, is a user, used, and what sshare shows with NO_FAIR_TREE.
CLASSIC = [
    (1, 0, 1, False, 455, 1.0, 1.0, 1.0, 0.5),
    (2, 1, 1, True, 20, 0.5, 0.043956, 0.043956, 0.940883),
    (3, 1, 1, False, 435, 0.5, 0.956044, 0.956044, 0.265708),
    (10, 3, 0, True, 0, 0.0, 0.0, 0.0, 0.0),
    (5, 3, 5, False, 220, 0.089286, 0.483516, 0.567896, 0.012171),
    (8, 5, 1, True, 120, 0.044643, 0.263736, 0.415816, 0.001571),
    (7, 5, 1, True, 100, 0.044643, 0.219780, 0.393838, 0.002210),
    (4, 3, 20, False, 190, 0.357143, 0.417582, 0.802198, 0.210785),
    (9, 4, PARENT, True, 30, 0.357143, 0.065934, 0.802198, 0.210785),
    (6, 4, 1, True, 160, 0.357143, 0.351648, 0.802198, 0.210785),
    (13, 4, 0, True, 0, 0.0, 0.0, 0.0, 0.0),
    (11, 3, PARENT, False, 25, 0.5, 0.054945, 0.956044, 0.265708),
    (12, 11, 3, True, 25, 0.053571, 0.054945, 0.151491, 0.140843),
]


def test_the_classic_fair_share_is_as_the_real_one_has_it() -> None:
    found = classic([Node(*row[:5]) for row in CLASSIC])
    for row in CLASSIC:
        one = found[row[0]]
        got = (one.shares, one.usage, one.effective, one.factor)
        assert (row[0], *got) == (row[0], *(pytest.approx(value, abs=1e-6) for value in row[5:]))


def test_dampening_spreads_the_factors() -> None:
    """As sshare has it with FairShareDampeningFactor=3."""
    found = classic([Node(*row[:5]) for row in CLASSIC], 3)
    real = {
        1: 0.793701,
        2: 0.979893,
        3: 0.642887,
        5: 0.230024,
        8: 0.116245,
        7: 0.130249,
        4: 0.595132,
        9: 0.595132,
        12: 0.52029,
    }
    assert {number: round(found[number].factor, 6) for number in real} == real


def test_a_deep_tree_need_be_no_disadvantage() -> None:
    """Effective usage and factor as sshare has them with DEPTH_OBLIVIOUS."""
    found = classic([Node(*row[:5]) for row in CLASSIC], is_depth_oblivious=True)
    real = {
        3: (0.956044, 0.265708), 5: (0.483516, 0.023432), 8: (0.263736, 0.016657), 7: (0.241440, 0.023548), 4: (0.654307, 0.280863),
        9: (0.654307, 0.280863), 6: (0.654307, 0.280863), 11: (0.956044, 0.265708), 12: (0.097035, 0.284932), 13: (0.0, 0.0),
    }  # fmt: skip
    assert {n: (round(found[n].effective, 6), round(found[n].factor, 6)) for n in real} == real


def test_an_empty_tree_has_no_standings_either() -> None:
    assert classic([]) == {}
