"""The environment of a job that brings only a part of the submitter's."""

import os
import pwd

import pytest

from corral.daemon import login


@pytest.mark.parametrize(
    ("export", "asked", "wanted"),
    [("NONE", "1", True), ("FOO,BAR=x", "1", True), ("ALL,FOO", "1", False), ("NIL", "", False), (None, "", False)],
)
def test_whose_environment_is_completed(export: str | None, asked: str, wanted: bool) -> None:
    given = {"SLURM_GET_USER_ENV": asked} | ({"SLURM_EXPORT_ENV": export} if export else {})
    assert login.is_wanted(given) is wanted


def test_a_user_has_home_and_path() -> None:
    account = pwd.getpwuid(os.getuid())
    found = login.login_environment(account.pw_name, account.pw_uid)
    assert found["HOME"] == account.pw_dir
    assert found["USER"] == found["LOGNAME"] == account.pw_name
    assert any(os.access(f"{directory}/srun", os.X_OK) for directory in found["PATH"].split(":"))
    assert not {"_", "SHLVL", "PWD"} & set(found)


def test_an_account_without_a_login_has_what_its_record_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "_logged_in", lambda account, user: {})
    found = login.login_environment("nosuch", 4000000)
    assert (found["HOME"], found["USER"]) == ("/", "nosuch")
