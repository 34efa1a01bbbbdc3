from pathlib import Path

import pytest
from tests.builders import job, ten_dgx

from corral.auth import tokens
from corral.controller.jobtokens import JobTokens, advertised, is_good
from corral.model.allocation import Allocation
from corral.model.cluster import ApiConfig
from corral.model.job import JobId, Owner
from corral.protocol.orders import JobContext
from corral.protocol.pods import AccountToken, PodFile, PodVolume

KEY = b"k" * 32
API = ApiConfig(listen="0.0.0.0:6820", advertise="https://head:6820/")


def claims_of(number: int, restarts: int = 0) -> tokens.Claims:
    owner = Owner(uid=0, gid=0, user="root", group="root")
    context = JobContext(
        job_id=number, name="a", owner=owner, allocation=Allocation(nodes=()), spec=job(), restarts=restarts
    )
    access = JobTokens(API, KEY).of(context, 100.0)
    assert access is not None
    assert access.url == "https://head:6820"
    return tokens.verify(access.token, KEY, 1e12)


def test_a_jobs_token_is_worth_an_ordinary_users_rights() -> None:
    claims = claims_of(1)
    assert (claims.user, claims.role) == ("root", "user")


def test_it_is_good_while_the_job_is_there_and_for_this_run_of_it() -> None:
    cluster = ten_dgx()
    number = cluster.run(job(cpus=1))
    jobs = cluster.state.jobs
    assert is_good(claims_of(number), jobs)
    assert not is_good(claims_of(number, restarts=1), jobs)
    assert not is_good(claims_of(number + 1), jobs)
    cluster.finish(number)
    assert jobs[JobId(number)].has_ended
    assert not is_good(claims_of(number), jobs)


def test_a_users_token_is_of_no_job() -> None:
    assert is_good(tokens.Claims(user="root"), {})


@pytest.mark.parametrize(
    ("listen", "told"),
    [("", ""), ("10.1.1.1:6820", "https://10.1.1.1:6820"), ("[fd00::1]:6820", "https://[fd00::1]:6820")],
)
def test_without_a_name_the_address_is_told(listen: str, told: str) -> None:
    assert advertised(ApiConfig(listen=listen)) == told


def test_an_address_of_all_interfaces_is_told_by_the_hosts_name() -> None:
    told = advertised(ApiConfig(listen="0.0.0.0:6820"))
    assert told.startswith("https://")
    assert "0.0.0.0" not in told


def test_files_get_their_token_and_the_authority_when_they_are_sent(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("trust me")
    wanted = AccountToken(account="shop:robot", account_uid="u1", user="ann", job=7, restart=1, seconds=600)
    files = (PodFile("token", b"", token=wanted), PodFile("ca.crt", b"", is_authority=True), PodFile("a", b"1"))
    made = JobTokens(API, KEY, str(tmp_path / "ca.pem")).with_files(
        (PodVolume(name="v", kind="files", files=files),), 100.0
    )
    token, authority, other = made[0].files
    assert tokens.verify(token.value.decode(), KEY, 699.0) == tokens.Claims(
        user="ann", role="user", issued=100.0, expires=700.0, job=7, restart=1, account="shop:robot", account_uid="u1"
    )
    assert token.token is None
    assert (authority.value, authority.is_authority) == (b"trust me", False)
    assert other == files[2]
