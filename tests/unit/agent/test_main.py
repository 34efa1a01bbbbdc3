"""Where does an agent look for the system's programs?"""

from corral.agent.main import searched


def test_the_systems_programs_are_found_where_a_users_path_lacks_them() -> None:
    assert searched("/home/ann/bin:/usr/bin").split(":")[:4] == [
        "/home/ann/bin",
        "/usr/bin",
        "/usr/local/sbin",
        "/usr/sbin",
    ]


def test_what_was_there_stays_as_it_was_and_first() -> None:
    path = "/sbin:/usr/local/sbin:/usr/sbin:/bin:/usr/bin"
    assert searched(path) == path


def test_no_path_is_no_current_directory() -> None:
    assert "" not in searched("").split(":")
