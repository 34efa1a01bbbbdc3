import asyncio

from corral.bus.memory import Faults, MemoryBroker, MemoryBus


def heard_with(faults, count=200):
    """What arrives of the messages 0, 1, 2, ..."""

    async def run():
        broker = MemoryBroker(faults)
        talker, listener, heard = MemoryBus(broker), MemoryBus(broker), []
        await talker.connect()
        await listener.connect()
        await listener.subscribe("s", lambda subject, payload: heard.append(int(payload)))
        for number in range(count):
            await talker.publish("s", b"%d" % number)
        await asyncio.sleep(faults.longest_delay * 2)
        return heard

    return asyncio.run(run())


def test_a_sound_bus_loses_nothing():
    assert heard_with(Faults(longest_delay=0)) == list(range(200))


def test_messages_get_lost_and_doubled_from_the_seed():
    faults = Faults(seed=3, lose=0.2, duplicate=0.2, longest_delay=0)
    heard = heard_with(faults)
    assert heard == heard_with(faults)
    assert heard != heard_with(Faults(seed=4, lose=0.2, duplicate=0.2, longest_delay=0))
    assert 100 < len(set(heard)) < 200
    assert len(heard) > len(set(heard))
    assert heard == sorted(heard)


def test_a_delayed_message_may_be_overtaken_but_comes():
    heard = heard_with(Faults(seed=1, delay=0.3, longest_delay=0.01))
    assert heard != sorted(heard)
    assert sorted(heard) == list(range(200))
