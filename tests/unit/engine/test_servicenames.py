"""Are nodes told where the names of services are answered for?"""

from tests.builders import OPERATOR, cluster, nodes

from corral.protocol import reports as rp
from corral.protocol.orders import Names, TellNames
from corral.protocol.requests import ReportLoad

KNOWN = Names("corral", ("192.0.2.1:8053",), ("10.213.255.254:8053",))
REPORT = ReportLoad(gateway="g", dns=KNOWN.servers, dns_for_pods=KNOWN.for_pods)


def test_an_agent_is_told_when_a_gateway_answers_and_not_again() -> None:
    c = cluster(nodes("n[1-2]"))
    c.ask(REPORT, OPERATOR)
    assert [(order.node, order.names) for order in c.orders(TellNames)] == [("agent", KNOWN)]
    c.ask(REPORT, OPERATOR)
    assert c.orders(TellNames) == []


def test_a_heartbeat_that_shows_something_else_is_answered_with_what_is_so() -> None:
    c = cluster(nodes("n1"))
    c.report(rp.Heartbeat(agent="agent", nodes=("n1",), names=KNOWN))
    assert c.orders(TellNames) == []  # nobody knows better
    c.ask(REPORT, OPERATOR)
    c.orders(TellNames)
    for names, told in ((Names("corral"), [KNOWN]), (KNOWN, []), (None, [])):
        c.report(rp.Heartbeat(agent="agent", nodes=("n1",), names=names))
        assert [order.names for order in c.orders(TellNames)] == told
