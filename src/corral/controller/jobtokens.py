"""With what do commands inside a job come back to the controller from another machine, and for how long?

With a token of the job's owner that is void when the job has ended. It is worth no more than an ordinary user's, whoever the owner
is: it lies in the environment of the job's processes, on nodes that may be in other hands than the controller's machine.
"""

import socket
from collections.abc import Mapping

from corral.auth import tokens
from corral.model.cluster import ApiConfig
from corral.model.job import Job, JobId
from corral.protocol.orders import ApiAccess, JobContext

_ANYWHERE = ("", "0.0.0.0", "::")


def advertised(api: ApiConfig) -> str:
    """Where other machines find the API; "" = nowhere."""
    if not api.listen:
        return ""
    if api.advertise:
        return api.advertise.rstrip("/")
    host, _, port = api.listen.rpartition(":")
    if host.strip("[]") in _ANYWHERE:
        host = socket.getfqdn()
    return f"https://{host}:{port}"


class JobTokens:
    """Made by the controller's key."""

    def __init__(self, api: ApiConfig, key: bytes) -> None:
        self._url, self._key = advertised(api), key

    def of(self, job: JobContext, now: float) -> ApiAccess | None:
        """None: the API is on the controller's machine only."""
        if not self._url:
            return None
        claims = tokens.Claims(user=job.owner.user, role="user", issued=now, job=job.job_id, restart=job.restarts)
        return ApiAccess(url=self._url, token=tokens.sign(claims, self._key))


def is_good(claims: tokens.Claims, jobs: Mapping[JobId, Job]) -> bool:
    """Is the job of this token still there?"""
    if not claims.job:
        return True
    job = jobs.get(JobId(claims.job))
    return job is not None and not job.has_ended and job.restarts == claims.restart
