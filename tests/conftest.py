"""What holds for every test: how long an example of Hypothesis takes says something of the machine, not of the code.

Examples are the same in every run, so that a change is judged by what it changes; with CORRAL_EXPLORE=1 they are new ones each time.
"""

import importlib.util
import os

from _pytest.terminal import TerminalReporter

if importlib.util.find_spec("hypothesis"):  # the clients' environment has none
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "corral",
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        derandomize=not os.environ.get("CORRAL_EXPLORE"),
    )
    settings.load_profile("corral")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """What failed the first time is told in full, though it passed the second."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"failed once: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
