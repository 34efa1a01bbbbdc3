"""Rules of priority and fair share under random weights, ages and trees."""

from hypothesis import given
from hypothesis import strategies as st

from corral.model.cluster import PriorityWeights
from corral.scheduler import priority
from corral.scheduler.fairshare import PARENT, Node, classic, fair_tree
from corral.scheduler.priority import Factors

share = st.floats(0, 1)
weight = st.integers(0, 10_000)


@st.composite
def jobs(draw: st.DrawFn) -> tuple[Factors, int]:
    factors = Factors(
        fair_share=draw(share), job_size=draw(share), partition=draw(share), qos=draw(share), assoc=draw(share),
        tres={"cpu": draw(share)},
    )  # fmt: skip
    return factors, draw(st.integers(0, 1000))


@given(
    st.builds(
        PriorityWeights, age=st.integers(1, 100_000), fair_share=weight, job_size=weight, partition=weight, qos=weight, assoc=weight,
        tres=st.fixed_dictionaries({"cpu": weight}), max_age=st.floats(60, 1e7),
    ),
    jobs(), jobs(), st.floats(0, 1), st.floats(0, 1),
)  # fmt: skip
def test_a_job_is_overtaken_only_by_those_that_come_soon_after_it(
    weights: PriorityWeights, one: tuple[Factors, int], other: tuple[Factors, int], late: float, waited: float
) -> None:
    """The bound of docs/explanation/priority.md: T B / A seconds, as long as the first has waited less than T."""
    most = (
        1000
        + weights.fair_share
        + weights.job_size
        + weights.partition
        + weights.qos
        + weights.assoc
        + weights.tres["cpu"]
    )
    bound = weights.max_age * most / weights.age
    submitted = 1000.0
    now = submitted + waited * weights.max_age
    later = submitted + bound * (1 + late) + 1
    if later > now:
        return
    ranks = [
        priority.total(priority.points_of(weights, factors) + priority.age_part(weights, since, now), nice)
        for (factors, nice), since in ((one, submitted), (other, later))
    ]
    assert ranks[0] >= ranks[1]  # of equal ones the first to come is first


@st.composite
def trees(draw: st.DrawFn) -> list[Node]:
    """Accounts with accounts and users below; usage adds up."""
    parents, users = [0], list[bool]([False])
    for number in range(2, draw(st.integers(3, 14))):
        accounts = [at + 1 for at, is_user in enumerate(users) if not is_user]
        parents.append(draw(st.sampled_from(accounts)))
        users.append(draw(st.booleans()) or number > 8)
    own = [draw(st.integers(0, 1000)) if is_user else 0 for is_user in users]
    usage = list(own)
    for at in reversed(range(1, len(parents))):
        usage[parents[at] - 1] += usage[at]
    shares = [draw(st.sampled_from((0, 1, 1, 2, 20, PARENT))) for _ in parents]
    return [Node(at + 1, parents[at], shares[at], users[at], float(usage[at])) for at in range(len(parents))]


@given(trees())
def test_the_factors_of_users_are_ranks(tree: list[Node]) -> None:
    found = fair_tree(tree)
    users = [node.id for node in tree if node.is_user]
    assert set(found) == {node.id for node in tree}
    for number in users:
        assert 0 < found[number].factor <= 1
        assert abs(found[number].factor * len(users) - round(found[number].factor * len(users))) < 1e-9
    assert not users or max(found[number].factor for number in users) == 1


@given(trees())
def test_among_siblings_the_higher_level_stands_before_with_all_below_it(tree: list[Node]) -> None:
    found = fair_tree(tree)
    below = {node.id: _users_below(tree, node.id) for node in tree}
    known = {node.id: node for node in tree}
    for one in tree:
        for other in tree:
            plain = one.shares != PARENT and other.shares != PARENT and not _is_handed_up(known, one)
            if one.parent and one.parent == other.parent and plain and found[one.id].level > found[other.id].level:
                assert all(found[a].factor > found[b].factor for a in below[one.id] for b in below[other.id])


def _is_handed_up(known: dict[int, Node], node: Node) -> bool:
    """Does some account above or below it hand its users to another?"""
    return any(other.shares == PARENT for other in known.values() if not other.is_user)


def _users_below(tree: list[Node], top: int) -> list[int]:
    inside = {top}
    for node in tree:  # parents come before their children
        if node.parent in inside:
            inside.add(node.id)
    return [node.id for node in tree if node.is_user and node.id in inside]


@given(trees(), st.randoms())
def test_the_order_in_which_associations_are_known_makes_no_difference(tree: list[Node], chance: object) -> None:
    mixed = list(tree)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert fair_tree(mixed) == fair_tree(tree)
    one, other = classic(mixed), classic(tree)
    assert {number: round(one[number].factor, 9) for number in one} == {n: round(other[n].factor, 9) for n in other}


@given(trees(), st.integers(1, 10), st.booleans())
def test_classic_factors_are_shares(tree: list[Node], dampening: int, oblivious: bool) -> None:
    for standing in classic(tree, dampening, oblivious).values():
        assert 0 <= standing.factor <= 1
        assert 0 <= standing.shares <= 1
