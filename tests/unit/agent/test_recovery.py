import os
from pathlib import Path

import pytest

from corral.agent.recovery import AgentIsRunning, lock_state


def test_one_agent_at_a_time_serves_a_state_directory(tmp_path: Path) -> None:
    lock = lock_state(tmp_path)
    with pytest.raises(AgentIsRunning):
        lock_state(tmp_path)
    os.close(lock)
    os.close(lock_state(tmp_path))
