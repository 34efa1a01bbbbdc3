"""What every bus does, whichever it is."""

from __future__ import annotations

import asyncio

import pytest

from corral.bus import permissions, subjects
from corral.bus.errors import BadSubject, ConnectionLost, NoReply, PayloadTooLarge
from corral.bus.permissions import StepRole


def test_a_message_reaches_every_subscriber(play, until):
    async def story(plane, one, other, third):
        heard = []
        await one.subscribe("a.b", lambda subject, payload: heard.append(("one", subject, payload)))
        await other.subscribe("a.*", lambda subject, payload: heard.append(("other", subject, payload)))
        await other.subscribe("x.>", lambda subject, payload: heard.append(("never", subject, payload)))
        await one.flush()
        await other.flush()
        await third.publish("a.b", b"hello")
        await until(lambda: len(heard) == 2)
        assert sorted(heard) == [("one", "a.b", b"hello"), ("other", "a.b", b"hello")]

    play(story, count=3)


def test_the_order_of_one_publisher_is_kept(play, until):
    async def story(plane, talker, listener):
        heard = []
        await listener.subscribe("numbers.>", lambda subject, payload: heard.append(int(payload)))
        await listener.flush()
        for number in range(3000):
            await talker.publish(f"numbers.{number % 7}", str(number).encode())
        await until(lambda: len(heard) == 3000)
        assert heard == list(range(3000))

    play(story)


def test_handlers_of_one_subscription_never_overlap(play, until):
    async def story(plane, talker, listener):
        log = []

        async def slow(subject, payload):
            log.append((payload, "in"))
            for _ in range(3):
                await asyncio.sleep(0)
            log.append((payload, "out"))

        await listener.subscribe("work", slow)
        await listener.flush()
        for payload in (b"1", b"2", b"3"):
            await talker.publish("work", payload)
        await until(lambda: len(log) == 6)
        assert log == [(payload, side) for payload in (b"1", b"2", b"3") for side in ("in", "out")]

    play(story)


def test_a_handler_that_fails_does_not_end_its_subscription(play, until):
    async def story(plane, talker, listener):
        heard = []

        def picky(subject, payload):
            if payload == b"bad":
                raise ValueError(payload)
            heard.append(payload)

        await listener.subscribe("s", picky)
        await listener.flush()
        for payload in (b"bad", b"good"):
            await talker.publish("s", payload)
        await until(lambda: heard == [b"good"])

    play(story)


def test_a_closed_subscription_hears_nothing_more(play, until):
    async def story(plane, talker, listener):
        heard, all_of_it = [], []
        first = await listener.subscribe("s", lambda subject, payload: heard.append(payload))
        await listener.subscribe("s", lambda subject, payload: all_of_it.append(payload))
        await listener.flush()
        await talker.publish("s", b"1")
        await until(lambda: heard == [b"1"])
        await first.close()
        await listener.flush()
        await talker.publish("s", b"2")
        await until(lambda: all_of_it == [b"1", b"2"])
        assert heard == [b"1"]

    play(story)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_request_gets_what_the_handler_returns(play, is_async):
    async def story(plane, asker, answerer):
        async def answer_later(subject, payload):
            await asyncio.sleep(0)
            return payload.upper()

        handler = answer_later if is_async else lambda subject, payload: payload.upper()
        await answerer.subscribe("shout", handler)
        await answerer.flush()
        assert await asker.request("shout", b"hi", timeout=60) == b"HI"
        many = await asyncio.gather(*(asker.request("shout", f"a{i}".encode(), timeout=60) for i in range(100)))
        assert many == [f"A{i}".encode() for i in range(100)]

    play(story)


def test_a_request_that_nobody_answers_says_so(play):
    async def story(plane, asker, mute):
        with pytest.raises(NoReply):
            await asker.request("nobody.there", b"?", timeout=60)
        await mute.subscribe("mute", lambda subject, payload: None)
        await mute.flush()
        with pytest.raises(NoReply):
            await asker.request("mute", b"?", timeout=0.05)

    play(story)


def test_a_large_message_arrives_whole_and_a_larger_one_is_refused(play, until):
    async def story(plane, talker, listener):
        heard = []
        await listener.subscribe("large", lambda subject, payload: heard.append(payload))
        await listener.flush()
        payload = bytes(range(256)) * 4096 * 8
        await talker.publish("large", payload)
        await until(lambda: heard)
        assert heard == [payload]
        with pytest.raises(PayloadTooLarge):
            await talker.publish("large", payload + b"x")

    play(story)


@pytest.mark.parametrize("subject", ["", "a..b", "a b", "a\r\nPUB b 0", "a.", ".a"])
def test_an_unusable_subject_is_refused(play, subject):
    async def story(plane, bus):
        with pytest.raises(BadSubject):
            await bus.subscribe(subject, lambda subject, payload: None)
        if not subject or " " in subject or "\n" in subject:
            with pytest.raises(BadSubject):
                await bus.publish(subject, b"")

    play(story, count=1)


def test_subscriptions_survive_the_end_of_the_server(play, until):
    async def story(plane, talker, listener):
        heard, returned = [], []
        await listener.subscribe("s.*", lambda subject, payload: heard.append(payload))
        listener.on_reconnect(lambda: returned.append("listener"))
        talker.on_reconnect(lambda: returned.append("talker"))
        for round_number in (1, 2, 3):
            returned.clear()
            await plane.kill()
            await until(lambda: not talker.is_connected and not listener.is_connected)
            await talker.publish("s.lost", b"lost")
            with pytest.raises(ConnectionLost):
                await talker.request("s.lost", b"", timeout=1)
            await plane.restart()
            await until(lambda: len(returned) == 2)
            assert sorted(returned) == ["listener", "talker"]
            expected = [*heard, b"%d" % round_number]
            await talker.publish("s.found", expected[-1])
            await until(lambda expected=expected: heard == expected)
        assert heard == [b"1", b"2", b"3"]

    play(story)


def test_what_is_subscribed_while_cut_off_is_in_place_afterwards(play, until):
    async def story(plane, talker, listener):
        heard, returned = [], []
        for bus in (talker, listener):
            bus.on_reconnect(lambda: returned.append(1))
        await plane.kill()
        await until(lambda: not talker.is_connected and not listener.is_connected)
        kept = await listener.subscribe("s", lambda subject, payload: heard.append(payload))
        dropped = await listener.subscribe("s", lambda subject, payload: heard.append(b"dropped"))
        await dropped.close()
        await plane.restart()
        await until(lambda: len(returned) == 2)
        await talker.publish("s", b"1")
        await until(lambda: heard)
        assert heard == [b"1"]
        await kept.close()

    play(story)


def test_a_handler_in_the_middle_of_its_work_is_not_disturbed_by_a_lost_connection(play, until):
    async def story(plane, talker, listener):
        log, may_end = [], asyncio.Event()

        async def handler(subject, payload):
            log.append(("in", payload))
            if payload == b"1":
                await may_end.wait()
            log.append(("out", payload))

        await listener.subscribe("s", handler)
        await listener.flush()
        await talker.publish("s", b"1")
        await until(lambda: log)
        await plane.kill()
        await until(lambda: not talker.is_connected and not listener.is_connected)
        returned = []
        for bus in (talker, listener):
            bus.on_reconnect(lambda: returned.append(1))
        await plane.restart()
        await until(lambda: len(returned) == 2)
        await talker.publish("s", b"2")
        await talker.flush()
        assert log == [("in", b"1")]
        may_end.set()
        await until(lambda: len(log) == 4)
        assert log == [("in", b"1"), ("out", b"1"), ("in", b"2"), ("out", b"2")]

    play(story)


def test_connecting_to_nothing_ends_at_the_timeout(play):
    async def story(plane):
        await plane.kill()
        bus = plane.bus()
        with pytest.raises(ConnectionLost):
            await bus.connect(timeout=0.1)
        assert not bus.is_connected
        with pytest.raises(ConnectionLost):
            await bus.flush()

    play(story, count=0)


def test_connecting_waits_for_the_server(play):
    async def story(plane):
        await plane.kill()
        bus = plane.bus()
        connecting = asyncio.create_task(bus.connect(timeout=60))
        await asyncio.sleep(0)
        assert not bus.is_connected
        await plane.restart()
        await connecting
        assert bus.is_connected
        await bus.close()
        assert not bus.is_connected

    play(story, count=0)


def test_the_ends_of_a_step_reach_each_other_and_nobody_else(play, until):
    async def story(plane, controller):
        heard = {}

        async def join(name, rights, *wanted):
            bus = plane.bus(rights)
            await bus.connect(timeout=60)
            heard[name] = []
            for subject in wanted:
                await bus.subscribe(subject, lambda subject, payload: heard[name].append((subject, payload)))
            await bus.flush()
            return bus

        to_client, to_tasks = subjects.step_to_client("test", "7.0"), subjects.step_to_tasks("test", "7.0")
        to_one, foreign = subjects.step_to_tasks("test", "7.0", "n.1"), subjects.step_to_tasks("test", "8.0")
        everything = "corral.test.>"
        await controller.subscribe(everything, lambda subject, payload: heard["all"].append((subject, payload)))
        heard["all"] = []
        await controller.flush()
        client = await join("client", permissions.step("test", "7.0", StepRole.CLIENT), to_client, everything, foreign)
        shepherd = await join(
            "shepherd",
            permissions.step("test", "7.0", StepRole.SHEPHERD, "n.1"),
            to_tasks,
            to_one,
            subjects.step_to_tasks("test", "7.0", "n2"),
            foreign,
        )
        for subject in (foreign, subjects.orders("test", "n1"), to_client, to_tasks, to_one):
            await client.publish(subject, b"c")
        await client.flush()
        for subject in (to_tasks, subjects.reports("test", "a", ("n1",)), to_client):
            await shepherd.publish(subject, b"s")
        await until(lambda: len(heard["all"]) == 3 and len(heard["client"]) == 1 and len(heard["shepherd"]) == 2)
        assert heard["all"] == [(to_tasks, b"c"), (to_one, b"c"), (to_client, b"s")]
        assert heard["client"] == [(to_client, b"s")]
        assert heard["shepherd"] == [(to_tasks, b"c"), (to_one, b"c")]
        await client.close()
        await shepherd.close()

    play(story, count=1)


def test_an_agent_hears_its_own_nodes_orders_and_may_answer(play, until):
    async def story(plane):
        rights = permissions.controller("test")
        controller, agent = plane.bus(rights), plane.bus(permissions.agent("test", "a", ("n1",)))
        await controller.connect(timeout=60)
        await agent.connect(timeout=60)
        heard = []

        def on_order(subject, payload):
            heard.append(subject)
            return b"ready"

        for node in ("n1", "n2"):
            await agent.subscribe(subjects.orders("test", node), on_order)
        await agent.flush()
        await controller.publish(subjects.orders("test", "n2"), b"not for it")
        assert await controller.request(subjects.orders("test", "n1"), b"?", timeout=60) == b"ready"
        assert heard == [subjects.orders("test", "n1")]

        reports = []
        await controller.subscribe(subjects.all_reports("test"), lambda subject, payload: reports.append(subject))
        await controller.flush()
        await agent.publish(subjects.reports("test", "other", ("n1",)), b"pretended")
        await agent.publish(subjects.reports("test", "a", ("n1", "n2")), b"of a node that is another's")
        await agent.publish(subjects.reports("test", "a", ("n1",)), b"own")
        await until(lambda: reports)
        assert [subjects.reporter(subject)[0] for subject in reports] == ["a"]
        await agent.close()
        await controller.close()

    play(story, count=0)
