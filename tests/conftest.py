"""What holds for every test: how long an example of Hypothesis takes says something of the machine, not of the code; and no test leaves
a file in the checkout.

Examples are the same in every run, so that a change is judged by what it changes; with CORRAL_EXPLORE=1 they are new ones each time.
"""

import gc
import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_ROOT = _TESTS.parent
_ORDER = ("simulation", "cluster", "properties", "contract")
_FILES = pytest.StashKey[frozenset[str]]()

if importlib.util.find_spec("hypothesis"):  # the clients' environment has none
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "corral",
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        derandomize=not os.environ.get("CORRAL_EXPLORE"),
    )
    settings.load_profile("corral")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long is begun first, and most of all the seeds, which are one file: at the end all processes have something to do.
    Tests of clusters wait much: beside them there is room for those that compute.
    """
    items.sort(key=lambda item: _rank(item.path.relative_to(_TESTS).parts))


def _rank(parts: tuple[str, ...]) -> int:
    return _ORDER.index(parts[0]) if parts[0] in _ORDER else len(_ORDER)


def pytest_collection_finish() -> None:
    """What has been collected stays to the end: the garbage collector need not go through thousands of tests again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _files_that_git_does_not_know() -> frozenset[str]:
    try:
        done = subprocess.run(
            ["git", "ls-files", "--others", "--exclude-standard"], cwd=_ROOT, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    return frozenset(done.stdout.splitlines())


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # one of xdist's
        session.config.stash[_FILES] = _files_that_git_does_not_know()


def pytest_sessionfinish(session: pytest.Session) -> None:
    before = session.config.stash.get(_FILES, None)
    if before is None:
        return
    session.config.stash[_FILES] = left = _files_that_git_does_not_know() - before
    if left:
        session.exitstatus = max(session.exitstatus, pytest.ExitCode.TESTS_FAILED)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What failed the first time is told in full, though it passed the second; and what is lying about."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"failed once: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
        for heading, text in report.sections:
            terminalreporter.write_line(f"-- {heading}\n{text}")
    for name in sorted(config.stash.get(_FILES, frozenset())):
        terminalreporter.write_line(f"FAILED: a test has left a file in the checkout: {name}", red=True)
