"""What must be true of a cluster while its daemons are killed at random moments, and afterwards?

A storm starts long jobs, which wait for a gate, and submits small ones from several threads while it kills. Each job writes a
line when it begins and one when it ends, with its id and process id, into one file: the truth that the record is compared with.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.chaos import Client, KillableCluster, Row
from tests.waiting import wait_until

DAEMONS = ("controller", "agent", "nats", "spawner")
_LIVE = ("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING")


class Findings(AssertionError):
    """What was not as it must be."""


class Storm:
    """One scene. `victims`: who is killed, in this order; "all" = at once."""

    def __init__(
        self,
        cluster: KillableCluster,
        seed: int,
        victims: tuple[str, ...],
        *,
        long: int = 200,
        small: int = 200,
        submitters: int = 2,
    ) -> None:
        self.cluster, self.victims = cluster, victims
        self.chance = random.Random(seed)
        self._long, self._small, self._submitters = long, small, submitters
        self.log = Path(f"{cluster.spool_dir}-ran-{seed}")
        self.gate = Path(f"{cluster.spool_dir}-gate-{seed}")
        self.codes: dict[int, int] = {}  #: acknowledged job -> the exit code it shall have
        self._errors: list[BaseException] = []
        self.findings: list[str] = []

    def blow(self) -> None:
        """Raises Findings."""
        os.mkfifo(self.gate)
        with self.cluster.client() as client:
            before = set(client.states())
            self._submit(client, [self.chance.randrange(100) for _ in range(self._long)], wait=True)
            wait_until(lambda: len(self.lines("start")) == self._long, 60, "the long jobs run")
            long_ones = {job: pid for _, job, pid in self.lines("start")}
            threads = self._start_submitting()
            self._kill_while_submitting(client, long_ones)
            for thread in threads:
                thread.join(60)
            assert not self._errors, self._errors
            self._open_gate()
            ids = list(self.codes)
            wait_until(lambda: self._have_ended(client, ids), 60, "all jobs end")
            self.check_end(client, before)
        if self.findings:
            raise Findings("\n".join(self.findings[:20]))

    # -- what goes on

    def _submit(self, client: Client, codes: list[int], wait: bool = False) -> None:
        jobs = [self.cluster.job(self._script(code, wait)) for code in codes]
        self.codes.update(zip(client.submit(jobs), codes, strict=True))

    def _script(self, code: int, wait: bool) -> str:
        held = f"[ -p {self.gate} ] && read x < {self.gate}\n" if wait else ""
        line = f'echo "%s $SLURM_JOB_ID $$" >> {self.log}'
        return f"{line % 'start'}\n{held}{line % 'end'}\nexit {code}"

    def _start_submitting(self) -> list[threading.Thread]:
        codes = [self.chance.randrange(100) for _ in range(self._small)]
        shares = [codes[number :: self._submitters] for number in range(self._submitters)]
        threads = [threading.Thread(target=self._submit_one_by_one, args=(share,)) for share in shares]
        for thread in threads:
            thread.start()
        return threads

    def _submit_one_by_one(self, codes: list[int]) -> None:
        try:
            with self.cluster.client() as client:
                for code in codes:
                    self._submit(client, [code])
        except BaseException as error:
            self._errors.append(error)

    def _kill_while_submitting(self, client: Client, long_ones: dict[int, int]) -> None:
        """The moments: when so many have been acknowledged, and a little later."""
        moments = sorted(self.chance.randrange(self._small) for _ in self.victims)
        for moment, victim in zip(moments, self.victims, strict=True):
            wait_until(lambda at=self._long + moment: len(self.codes) >= at or self._errors, 60, "submissions go on")
            _spin(self.chance.random() * 0.01)
            self.cluster.kill(victim)
            self.cluster.start()
            self.check_running(client, long_ones)

    def _open_gate(self) -> None:
        """Those that wait go on, and those that come later do not wait."""
        keep = os.open(self.gate, os.O_RDWR)
        opened = Path(f"{self.gate}-open")
        opened.touch()
        os.replace(opened, self.gate)
        os.write(keep, b"go\n" * self._long)
        os.close(keep)

    def _have_ended(self, client: Client, ids: Iterable[int]) -> bool:
        states = client.states()
        return all(job in states and states[job]["state"] not in _LIVE for job in ids)

    # -- what must be true

    def lines(self, kind: str) -> list[tuple[str, int, int]]:
        if not self.log.exists():
            return []
        split = [line.split() for line in self.log.read_text().splitlines()]
        return [(word, int(job), int(pid)) for word, job, pid in split if word == kind]

    def check_running(self, client: Client, long_ones: dict[int, int]) -> None:
        """Jobs that run were not disturbed, and hold what nobody else holds."""
        dead = [job for job, pid in long_ones.items() if not Path(f"/proc/{pid}").exists()]
        self._expect(not dead, f"running jobs were disturbed: {dead}")
        acknowledged = list(self.codes)
        states = client.states()
        lost = [job for job in acknowledged if job not in states]
        self._expect(not lost, f"acknowledged jobs are not there: {lost}")
        not_running = [job for job in long_ones if job in states and states[job]["state"] != "RUNNING"]
        self._expect(not not_running, f"jobs that run are shown otherwise: {[(j, states[j]) for j in not_running[:3]]}")
        twice = allocated_twice(states.values())
        self._expect(not twice, f"allocated twice: {twice}")

    def check_end(self, client: Client, before: set[int]) -> None:
        states = client.states()
        unknown = set(states) - before - set(self.codes)
        self._expect(not unknown, f"jobs that nobody was told of: {sorted(unknown)}")
        for kind in ("start", "end"):
            times = Counter(job for _, job, _ in self.lines(kind))
            wrong = {job: times[job] for job in self.codes if times[job] != 1}
            self._expect(not wrong, f"{kind} not exactly once: {wrong}")
        self._expect(_pids(self.lines("start")) == _pids(self.lines("end")), "a job has changed its process")
        wrong_code = {
            job: (states[job]["state"], states[job]["exit_code"], code)
            for job, code in self.codes.items()
            if states[job]["exit_code"] != [code, 0] or states[job]["state"] != ("FAILED" if code else "COMPLETED")
        }
        self._expect(not wrong_code, f"exit codes: {wrong_code}")
        restarted = [job for job in self.codes if states[job]["restarts"]]
        self._expect(not restarted, f"run again: {restarted}")
        busy = [row["name"] for row in client.nodes(["name", "cpus_alloc", "state_text"]) if row["cpus_alloc"]]
        self._expect(not busy, f"nodes still hold something: {busy}")
        wait_until(lambda: not self.cluster.job_processes(), 60, "no process of a job is left")

    def _expect(self, truth: bool, finding: str) -> None:
        if not truth:
            self.findings.append(finding)


def allocated_twice(rows: Iterable[Row]) -> list[tuple[str, int]]:
    """(node, CPU) of those that more than one job holds."""
    held = Counter(
        (node, cpu)
        for row in rows
        if row["state"] in _LIVE
        for node, cpus, *_ in row["alloc_detail"] or ()
        for first, _, last in (part.partition("-") for part in cpus.split(","))
        for cpu in range(int(first), int(last or first) + 1)
    )
    return [place for place, count in held.items() if count > 1]


def _pids(lines: list[tuple[str, int, int]]) -> dict[int, int]:
    return {job: pid for _, job, pid in lines}


def _spin(seconds: float) -> None:
    """A moment between two instructions of others."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass
