"""What holds for every test: how long an example of Hypothesis takes says something of the machine, not of the code."""

import importlib.util

if importlib.util.find_spec("hypothesis"):  # the clients' environment has none
    from hypothesis import HealthCheck, settings

    settings.register_profile("corral", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("corral")
