"""What had this agent under way when it was killed?

For every launch in the spool: a tombstone says that only the removal was missing; an exit record is reported (again); a living
shepherd is followed on; a shepherd that died without a record is reported LOST; and an order that no shepherd ever took is given
to the new spawner. The spawner before must be dead by then, else it might still start what is started here once more.
"""

import os
from pathlib import Path

import msgspec

from corral.agent.launch import Launcher, LaunchHead
from corral.agent.spool import step_name
from corral.agent.steps import LocalStep, Phase
from corral.daemon import clock, lockfile
from corral.model.step import StepKey
from corral.protocol.pods import PodRun

_decode_head = msgspec.msgpack.Decoder(LaunchHead).decode

#: A forked shepherd takes its step within milliseconds; if not after so long, it died before.
UNTAKEN_SECONDS = 15.0


class AgentIsRunning(Exception):
    """Another agent of this name is running in this state directory."""


def lock_state(root: Path) -> int:
    """The lock that only one living agent holds, with its process id in it; its descriptor."""
    root.mkdir(parents=True, exist_ok=True)
    try:
        return lockfile.hold(root / "lock", 0o600)
    except lockfile.Held:
        raise AgentIsRunning(f"an agent is already running in {root}") from None


def recover(launcher: Launcher) -> None:
    """Fill the table of steps from the spool, and report and launch what waits for it."""
    spool = launcher.spool
    for node, key in list(spool.all_steps()):
        if spool.is_buried(step_name(node, key)):
            spool.remove_step(node, key)
        else:
            _recover_step(launcher, node, key)


def _recover_step(launcher: Launcher, node: str, key: StepKey) -> None:
    spool, shepherds = launcher.spool, launcher.shepherds
    step = LocalStep(node, key, Phase.LAUNCHED, clock.monotonic())
    # Whether it ever began is asked for first: a shepherd may take the step in between, and is not dead for that. Its life is asked
    # for before its record: it may end in between, and then the record is there.
    has_begun, is_alive = shepherds.has_begun(node, key), shepherds.is_alive(node, key)
    if spool.exit_record(node, key) is not None:
        launcher.table.add(step)
        launcher.report_finished(step)
    elif is_alive:
        step.pod = _pod_of(spool.launch_order(node, key))
        launcher.table.add(step)
        if _has_begun(launcher, step):
            launcher.on_started(node, key, shepherds.begun_at(node, key))
    elif has_begun:
        launcher.table.add(step)
        launcher.end_lost(step)
    else:
        _launch_again(launcher, step)


def _has_begun(launcher: Launcher, step: LocalStep) -> bool:
    """A container of a Pod begins with the end of its first hook."""
    if step.pod is None or step.pod.post_start is None:
        return True
    return os.path.exists(f"{launcher.spool.step_directory(step.node, step.key)}/begun")


def _pod_of(data: bytes | None) -> PodRun | None:
    try:
        return _decode_head(data or b"").pod
    except msgspec.DecodeError:
        return None


def _launch_again(launcher: Launcher, step: LocalStep) -> None:
    data = launcher.spool.launch_order(step.node, step.key)
    try:
        head = _decode_head(data or b"")
    except msgspec.DecodeError:
        # Torn: it was never given to a spawner, and the controller will say it again.
        launcher.spool.remove_step(step.node, step.key)
        return
    assert data is not None
    step.phase, step.pod = Phase.PREPARING, head.pod
    launcher.table.add(step)
    launcher.prepare(step, head, data)


def sweep(launcher: Launcher, grace: float) -> None:
    """Find ends that nobody told: a notice may be lost, a shepherd may be killed."""
    shepherds, spool = launcher.shepherds, launcher.spool
    now = clock.monotonic()
    for step in launcher.table:
        if step.phase not in (Phase.LAUNCHED, Phase.RUNNING) or now - step.since < grace:
            continue
        has_begun, is_alive = shepherds.has_begun(step.node, step.key), shepherds.is_alive(step.node, step.key)
        if spool.exit_record(step.node, step.key) is not None:
            launcher.report_finished(step)
        elif is_alive:
            if step.phase is Phase.LAUNCHED and _has_begun(launcher, step):
                launcher.on_started(step.node, step.key, shepherds.begun_at(step.node, step.key))
            launcher.deliver(step)
        elif has_begun:
            launcher.end_lost(step)
        elif now - step.since > UNTAKEN_SECONDS:
            launcher.log.warning("no shepherd took a launch", step=str(step.key), node=step.node)
            launcher.spawn_again(step)
