"""Each running step has a shepherd: it carries nothing that it does not need."""

import subprocess
import sys


def test_a_shepherd_has_no_event_loop_no_tls_and_no_numbers() -> None:
    program = (
        "import sys, corral.agent.spawner_process, corral.agent.shepherd, corral.agent.kit\n"
        "print(*sorted({'asyncio', 'ssl', 'numpy', 'sqlalchemy', 'http.client'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
