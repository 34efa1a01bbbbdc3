"""The units that `corral systemd` prints."""

from argparse import Namespace

from corral.cli.corral import systemd


def unit(service: str, *, is_system: bool = True, **given: str | None) -> list[str]:
    words = {"dir": None, "config": None, "name": None, **given}
    return systemd.unit(Namespace(service=service, **words), "/opt/corral/bin/corral", is_system=is_system).splitlines()


def test_jobs_outlive_the_agents_unit() -> None:
    lines = unit("agent")
    assert "ExecStart=/opt/corral/bin/corral agent --name %l" in lines
    assert "KillMode=process" in lines
    assert "TasksMax=infinity" in lines
    assert "WantedBy=multi-user.target" in lines


def test_the_controllers_unit_has_begun_when_it_serves() -> None:
    lines = unit("controller", config="/etc/corral/corral.toml")
    assert "ExecStart=/opt/corral/bin/corral controller --config /etc/corral/corral.toml" in lines
    assert "Type=notify" in lines


def test_words_are_written_as_systemd_reads_them() -> None:
    lines = unit("agent", dir="/srv/my cluster/100%", name='n"1$')
    assert r'ExecStart=/opt/corral/bin/corral agent --dir "/srv/my cluster/100%%" --name "n\"1$$"' in lines


def test_a_users_own_systemd_has_other_targets_and_raises_no_limits() -> None:
    lines = unit("agent", is_system=False)
    assert "WantedBy=default.target" in lines
    assert not [line for line in lines if line.startswith(("Limit", "After="))]
