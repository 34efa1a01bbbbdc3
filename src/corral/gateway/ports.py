"""Who holds the ports that Caddy listens on, so that nobody is turned away while it is started anew?

The gateway does. A socket can be given to a program only when that is started, and ports come later: so Caddy is started with spare sockets
that are bound to nothing yet. What is bound here is bound there, for it is the same socket, and Caddy is told of it as fd/NUMBER. While no
Caddy runs, whoever connects waits in the socket's backlog; and where a configuration is loaded anew, it is no other socket.

Each port has two of them, which take turns (`twins.py`). A socket that was bound once cannot be bound to another port. One that is not
wanted any more is shut down (connections are refused, another program may have the port) and is kept until Caddy is started next, in case
its port is wanted again. When no spare one is left, Caddy opens ports by itself. A gateway that is started beside a Caddy that runs has the
sockets from `pointers.py`, which keeps copies.
"""

import fcntl
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from corral.daemon.logs import Log
from corral.gateway import pointers, twins
from corral.gateway.twins import Place, Twins

#: Sockets that come while Caddy runs, of each family: two for a port.
_SPARE = 1024
#: Their numbers are beyond what either program uses otherwise, or in the upper half of what it may.
_FIRST = 2048
_MOST_FIRST = 512
_PATIENCE = 5.0


class Ports:
    """All of one gateway."""

    def __init__(self, copies: Path, log: Log) -> None:
        self._copies, self._log = copies, log
        self._sockets: dict[int, socket.socket] = {}  #: by their numbers, which are the same in Caddy
        self._bound: dict[Place, Twins] = {}  #: which listen, or have done
        self._open: set[Place] = set()
        self._served: set[Place] = set()  #: by Caddy, as far as it has been told
        self._plain: set[Place] = set()  #: that Caddy opens by itself
        self._wanted: set[Place] = set()
        self._spare: dict[int, list[int]] = {}  #: by family: those that are bound to nothing yet
        self.unusable: frozenset[int] = frozenset()
        self.told: frozenset[int] = frozenset()  #: where Caddy takes connections, as far as it has been told

    def open(self, wanted: Iterable[int], addresses: tuple[str, ...], *, is_running: bool) -> dict[int, list[str]]:
        """What Caddy is told of each, at all addresses or not at all. `is_running`: no more sockets can be given to it."""
        found: dict[int, list[str]] = {}
        unusable = set()
        self._wanted = set()
        for port in sorted(wanted):
            places = [(address, port) for address in addresses]
            self._wanted.update(places)
            words = [self._opened(place, is_running) for place in places]
            if all(words):
                found[port] = words
            else:
                unusable.add(port)
                self._shut([place for place in places if place in self._open])
                if port not in self.unusable:
                    self._log.warning("a port cannot be used", port=port)
        self.unusable = frozenset(unusable)
        return found

    def keep(self) -> None:
        """Caddy has been told: what was not wanted last is not listened on any more."""
        self._shut(self._open - self._wanted)
        self._plain &= self._wanted
        self._served = self._open & self._wanted
        self.told = frozenset(port for _, port in self._wanted)

    # -- one configuration follows another

    def words(self) -> dict[str, str]:
        """What Caddy is told instead of what `open` says, as long as no turn begins."""
        return {one.word: one.active for one in self._bound.values()}

    def begin(self) -> dict[str, str]:
        """As `words`, for servers that have sockets of their own. What has no servers yet has nothing to turn from."""
        crowd = twins.listening()
        turning = {place for place in self._served & self._wanted & self._open if crowd[place] <= 1}
        return self.words() | {self._bound[place].word: self._bound[place].begin() for place in turning}

    def steer(self) -> None:
        """From now on new connections are the new servers'."""
        for one in self._bound.values():
            one.steer()

    def end(self, *, is_taken: bool) -> None:
        """The old servers are gone, or the new ones have not come."""
        crowd = twins.listening()
        for place, one in self._bound.items():
            one.end(is_taken=is_taken, is_alone=crowd[place] <= 2)

    # -- each port

    def is_free(self, port: int, addresses: tuple[str, ...]) -> bool:
        return all((address, port) not in self._open and can_bind(address, port) for address in addresses)

    def _opened(self, place: Place, is_running: bool) -> str:
        """ "" = it is somebody else's."""
        if place in self._plain:
            return words_of(place)
        if place in self._open:
            return self._bound[place].word
        family = family_of(place[0])
        number = self._unbound(family, is_running)
        if place not in self._bound and number is None:
            if not can_bind(*place):
                return ""
            self._plain.add(place)
            return words_of(place)
        try:
            if place in self._bound:
                if twins.listening()[place]:
                    return ""
            else:
                assert number is not None
                self._bound[place] = Twins.bound(place, self._sockets[number])
                self._spare[family].remove(number)
                self._join(place, is_running)
            self._bound[place].listen()
        except OSError:
            return ""
        self._open.add(place)
        return self._bound[place].word

    def _join(self, place: Place, is_running: bool) -> None:
        """A second socket, if there is one."""
        family = family_of(place[0])
        number = self._unbound(family, is_running)
        if number is not None and self._bound[place].join(self._sockets[number]):
            self._spare[family].remove(number)

    def _unbound(self, family: int, is_running: bool) -> int | None:
        there = self._spare.setdefault(family, [])
        if not there and not is_running:
            self._new(family)
        return there[-1] if there else None

    def _new(self, family: int) -> bool:
        """One more; False = so many files cannot be open."""
        with socket.socket(family) as made:
            first = min(_FIRST, max(_MOST_FIRST, os.sysconf("SC_OPEN_MAX") // 2))
            try:
                number = fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, first)
            except OSError:
                return False
        one = self._sockets[number] = socket.socket(fileno=number)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # [::] is all of the machine
        self._spare.setdefault(family, []).append(number)
        return True

    def _shut(self, places: Iterable[Place]) -> None:
        for place in places:
            self._open.discard(place)
            self._bound[place].shut()

    def close(self) -> None:
        """Here; whoever else has them has them still."""
        for one in self._sockets.values():
            one.close()

    # -- Caddy is started, or runs already

    def to_give(self, addresses: tuple[str, ...], *, is_bare: bool) -> list[int]:
        """Those with which Caddy is started now: what listens, and spare ones. `is_bare`: it opens none by itself."""
        if is_bare:
            self._plain.clear()
            self._served.clear()
        for place in self._bound.keys() - self._open:
            for one in self._bound.pop(place).sockets:
                del self._sockets[one.fileno()]
                one.close()
        for place in sorted(self._bound):
            if len(self._bound[place].sockets) == 1:
                self._join(place, is_running=False)
        for family in sorted({family_of(address) for address in addresses}):
            while len(self._spare.setdefault(family, [])) < _SPARE and self._new(family):
                pass
        self.deposit()
        return sorted(self._sockets)

    def deposit(self) -> None:
        """Whoever comes after us finds them."""
        try:
            pointers.deposit(str(self._copies), {number: one.fileno() for number, one in self._sockets.items()})
        except OSError as error:
            self._log.warning("nobody keeps copies of the ports' sockets", error=str(error))

    def take_back(self, listening: dict[str, list[str]]) -> dict[str, int] | None:
        """From an earlier gateway, whose Caddy runs and `listening` so; the port of each of its servers. None: we have not all of them."""
        try:
            copies = pointers.withdraw(str(self._copies), _PATIENCE)
        except OSError:
            copies = {}
        bound: dict[Place, list[int]] = {}
        for number, copy in sorted(copies.items()):
            if place := self._take(number, copy):
                bound.setdefault(place, []).append(number)
        served = {int(word[3:]) for words in listening.values() for word in words if word.startswith("fd/")}
        for place, numbers in bound.items():
            active = next((number for number in numbers if number in served), 0)
            one = self._bound[place] = Twins(place, [self._sockets[number] for number in numbers], active)
            if active:
                self._open.add(place)
                self._served.add(place)
            else:
                one.shut()
        numbered = {one.active: place for place, one in self._bound.items() if place in self._open}
        found: dict[str, int] = {}
        for server, words in listening.items():
            for word in words:
                if word.startswith("fd/") and word not in numbered:
                    return None
                place = numbered.get(word) or place_of(word)
                if word not in numbered and numbered.keys().isdisjoint(words):
                    self._plain.add(place)
                found.setdefault(server, place[1])
        self.told = frozenset(found.values())
        return found

    def _take(self, number: int, copy: int) -> Place | None:
        """Where it is bound, if it is."""
        try:
            os.fstat(number)  # ours, of another thing
            os.close(copy)
            return None
        except OSError:
            pass
        os.dup2(copy, number, inheritable=False)
        os.close(copy)
        one = self._sockets[number] = socket.socket(fileno=number)
        address, port = one.getsockname()[:2]
        if port:
            return address, port
        self._spare.setdefault(one.family, []).append(number)
        return None


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def words_of(place: Place) -> str:
    """As Caddy reads it."""
    address, port = place
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def place_of(words: str) -> Place:
    address, _, port = words.rpartition(":")
    return address.strip("[]"), int(port)


def can_bind(host: str, port: int) -> bool:
    with socket.socket(family_of(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
