"""Are Events kept within bounds, and is what happens again one Event?"""

from corral.controller import kubeevents
from corral.controller.kubeevents import KubeEvents
from corral.model.kube.meta import ObjectKey
from corral.services.notes import Note


def note(uid: str = "u", reason: str = "BackOff", message: str = "again") -> Note:
    return Note(ObjectKey("Pod", "default", uid), uid, "Warning", reason, message)


def test_what_happens_again_is_counted():
    events = KubeEvents(0.0)
    for now in (1.0, 5.0, 9.0):
        events.add(note(), None, now)
    [one] = events.of_object("u")
    assert (one.count, one.first_timestamp, one.last_timestamp) == (3, 1.0, 9.0)
    assert len(events.history.since(0)) == 3


def test_one_object_has_only_so_many():
    events = KubeEvents(0.0)
    for number in range(kubeevents.MOST_OF_ONE + 5):
        events.add(note(message=str(number)), None, 1.0)
    found = events.of_object("u")
    assert len(found) == kubeevents.MOST_OF_ONE
    assert found[0].message == "5"


def test_after_an_hour_they_are_forgotten():
    events = KubeEvents(0.0)
    events.add(note("a"), None, 1.0)
    events.add(note("b"), None, 2.0 + kubeevents.KEPT_SECONDS)
    assert [one.involved_object.name for one in events] == ["b"]
    assert events.of_object("a") == []
