"""With what do commands inside a job come back to the controller from another machine, and for how long?

With a token of the job's owner that is void when the job has ended. It is worth no more than an ordinary user's, whoever the owner
is: it lies in the environment of the job's processes, on nodes that may be in other hands than the controller's machine.
"""

import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec

from corral.auth import tokens
from corral.model.cluster import ApiConfig, ClusterConfig
from corral.model.job import Job, JobId
from corral.protocol.orders import ApiAccess, JobContext
from corral.protocol.pods import PodFile, PodVolume
from corral.services import accounts

#: What this API calls itself, where a token says for whom it is.
AUDIENCE = "https://kubernetes.default.svc.cluster.local"
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


def authority(config: ClusterConfig) -> str:
    """The file of who is behind the API's certificate."""
    return config.api.ca or config.nats.ca or config.api.certificate


class JobTokens:
    """Made by the controller's key. `authority`: a file with what is behind the API's certificate."""

    def __init__(self, api: ApiConfig, key: bytes, authority: str = "") -> None:
        self._url, self._key, self._authority = advertised(api), key, authority

    def of(self, job: JobContext, now: float) -> ApiAccess | None:
        """None: the API is on the controller's machine only."""
        if not self._url:
            return None
        claims = tokens.Claims(user=job.owner.user, role="user", issued=now, job=job.job_id, restart=job.restarts)
        return ApiAccess(url=self._url, token=tokens.sign(claims, self._key))

    def with_files(self, volumes: tuple[PodVolume, ...], now: float) -> tuple[PodVolume, ...]:
        """Tokens and the authority where files of these are to have them. Raises OSError."""
        return tuple(
            msgspec.structs.replace(one, files=tuple(self._made(file, now) for file in one.files))
            if any(file.token is not None or file.is_authority for file in one.files)
            else one
            for one in volumes
        )

    def _made(self, file: PodFile, now: float) -> PodFile:
        if file.is_authority:
            return msgspec.structs.replace(file, value=Path(self._authority).read_bytes(), is_authority=False)
        if (wanted := file.token) is None:
            return file
        claims = tokens.Claims(
            user=wanted.user, role="user", issued=now, expires=now + wanted.seconds, job=wanted.job, restart=wanted.restart,
            account=wanted.account, account_uid=wanted.account_uid,
            audiences=(wanted.audience,) if wanted.audience else (),
        )  # fmt: skip
        return msgspec.structs.replace(file, value=tokens.sign(claims, self._key).encode(), token=None)


def is_good(claims: tokens.Claims, jobs: Mapping[JobId, Job]) -> bool:
    """Is the job of this token still there?"""
    if not claims.job:
        return True
    job = jobs.get(JobId(claims.job))
    return job is not None and not job.has_ended and job.restarts == claims.restart


def is_for_us(claims: tokens.Claims) -> bool:
    return not claims.audiences or AUDIENCE in claims.audiences


def is_of_account(claims: tokens.Claims, objects: accounts.View) -> bool:
    """Is its ServiceAccount still the one that it was made for? True of a user's token."""
    if not claims.account:
        return True
    namespace, _, name = claims.account.partition(":")
    one = accounts.found(objects, namespace, name)
    return one is not None and one.metadata.uid == claims.account_uid
