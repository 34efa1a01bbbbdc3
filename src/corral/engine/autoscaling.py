"""What do autoscalers go by that is no record: measurements, and what each remembers? It begins anew with the controller."""

from corral.model.kube.meta import ObjectKey
from corral.services.autoscale import Mind
from corral.services.load import Loads, ServiceKey
from corral.services.scalewindow import Memory


class Autoscaling:
    def __init__(self) -> None:
        self.loads = Loads()
        self.minds: dict[str, Mind] = {}  #: by the autoscaler's uid
        self.due: dict[ObjectKey, float] = {}  #: when each decides next
        self.seen: dict[ObjectKey, int] = {}  #: the generation by which it has decided
        self.followers: dict[ServiceKey, set[ObjectKey]] = {}  #: who goes by the requests of a service
        self.forgotten = 0.0  #: when what nobody speaks of was forgotten last

    def mind_of(self, uid: str, now: float) -> Mind:
        mind = self.minds.get(uid)
        if mind is None:
            mind = self.minds[uid] = Mind(Memory(now))
        return mind

    def forget(self, living: set[str], objects: set[ObjectKey], now: float) -> None:
        self.forgotten = now
        self.loads.forget(now)
        self.minds = {uid: mind for uid, mind in self.minds.items() if uid in living}
        self.due = {key: when for key, when in self.due.items() if key in objects}
        kept = ((service, found & objects) for service, found in self.followers.items())
        self.followers = {service: found for service, found in kept if found}
        self.seen = {key: number for key, number in self.seen.items() if key in objects}
