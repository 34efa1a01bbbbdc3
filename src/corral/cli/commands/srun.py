"""srun: run a program on the nodes of a job, new or existing, as if it ran here."""

from __future__ import annotations

import os

from corral.cli import components, environment, jobspec
from corral.cli.given import Given
from corral.cli.joining import attached
from corral.cli.run import BAD_OPTION, Exit, Program
from corral.cli.run import main as run

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from corral.cli.launched import Step
    from corral.cli.x11 import Display, Forwarding
    from corral.errors import Refused

    Launched = tuple[Step, Callable[[], None]]  # and what to call when it is over

PROGRAM = Program("srun")


def main() -> NoReturn:
    run(PROGRAM, srun)


def srun(argv: list[str]) -> int:
    """From the command line to the exit status."""
    parts = components.read_all(PROGRAM, argv, anywhere=True)
    given, words = parts[0]
    if len(parts) > 1 or (given.get("jobid") is not None and given.get("het-group") not in (None, "", "0")):
        return _over_components(parts, argv)
    if "SLURM_HET_SIZE" in os.environ and given.get("jobid") is not None:
        components.of_component(given)
    if given.get("mpi") == "list":
        from corral.cli.options.values import MPI_TYPES

        there = [name for name in MPI_TYPES if name != "pmix" or _has_libpmix()]
        os.write(1, "".join(("MPI plugin types are...\n", *(f"\t{name}\n" for name in there))).encode())
        return 0
    if not words:
        raise PROGRAM.fatal("No command given to execute.")
    _check(given)
    if "clusters" in given:
        from corral.cli import clusters

        clusters.named("srun", given.get("clusters"))
    jobspec.fit_tasks_to_nodes(given)
    streams = _streams(given)
    display = _display(given)
    if "prolog" in given:
        _run_aside(given.get("prolog"), words, "prolog_srun")
    step = step_of(given, words, streams)
    step["submit_line"] = " ".join(["srun", *argv])
    step["asks_programs"] = not ("prolog" in given and "epilog" in given)
    inside = given.get("jobid")
    forwarding: Forwarding | None = None
    if inside is not None:
        if given.get("ports"):
            raise PROGRAM.failed(
                "--ports is for a new job; a step of one has its job's ports, or its own by --resv-ports"
            )
        if "relative" not in given or _relative_fits(given):
            from corral.cli.steps import create_step

            if "bcast" in given:
                _send_program(given, str(inside), step)
            forwarding = _forwarded(given, display, inside)
            made, dismiss = _launched(
                given, step, lambda: create_step(PROGRAM, inside, step, _environment(given, forwarding), given)
            )
    elif (display is not None or "bcast" in given) and "test-only" not in given:
        return _in_own_allocation(given, step, argv, streams, display)
    else:
        from corral.cli.allocation import allocate_and_launch

        job = new_job(given, step, argv)
        if "test-only" in given:
            from corral.cli.submission import say_when

            return say_when(PROGRAM, job, given.get("uid", ""), given.get("gid", ""))
        made, dismiss = _launched(given, step, lambda: allocate_and_launch(PROGRAM, job, given))
    try:
        status = attached(PROGRAM, made, given, streams)
    finally:
        dismiss()
        if forwarding is not None:
            forwarding.close()
    if "epilog" in given:
        _run_aside(given.get("epilog"), words, "epilog_srun")
    return status


def _display(given: Given) -> Display | None:
    """--x11: the one here."""
    os.environ.pop("SRUN_X11", None)  # of salloc, and for this srun
    if "x11" not in given:
        return None
    from corral.cli import x11

    return x11.Display(PROGRAM)


def _forwarded(given: Given, display: Display | None, job: int) -> Forwarding | None:
    """Displays on the nodes of the job."""
    if display is None:
        return None
    from corral.cli import query, x11
    from corral.client.connection import Connection

    with Connection() as connection:
        nodes = query.rows(connection, f"/v1/jobs/{job}", ["node_names"]).rows[0][0]
    return x11.Forwarding(PROGRAM, display, job, x11.chosen(given.get("x11"), nodes))


def _launched(given: Given, step: dict[str, Any], launch: Callable[[], Launched]) -> Launched:
    """A cluster that wants programs run before and after says so in answer to the first try."""
    from corral.errors import Refused

    try:
        return launch()
    except Refused as error:
        if error.fields.get("code") != "srun_programs":
            raise
        _run_prolog(given, step["argv"], error)
    del step["asks_programs"]
    return launch()


def _run_prolog(given: Given, words: list[str], error: Refused) -> None:
    """The cluster's, where srun was given none; its epilog comes at the end as if it were given."""
    prolog, _, epilog = str(error.fields.get("detail", "")).partition("\n")
    if prolog and "prolog" not in given:
        _run_aside(prolog, words, "prolog_srun")
    if epilog and "epilog" not in given:
        given.values["epilog"] = epilog


def _has_libpmix() -> bool:
    """On this machine; what counts at last is the node."""
    import ctypes

    try:
        ctypes.CDLL("libpmix.so.2")
    except OSError:
        return False
    return True


def _over_components(parts: list[tuple[Given, list[str]]], argv: list[str]) -> int:
    """One step over several components of a heterogeneous job."""
    from corral.cli import hetstep

    given, words = parts[0][0], parts[-1][1]
    for one, _ in parts:
        if "bcast" in one:
            raise PROGRAM.failed("--bcast is not supported by Corral with --het-group or `:`; use sbcast")
        if one.get("mpi", "none") != "none":
            raise PROGRAM.failed(
                "--mpi is not supported by Corral with --het-group or `:`; start the ranks with mpirun"
            )
        if "x11" in one:
            raise PROGRAM.failed("--x11 is not supported by Corral with --het-group or `:`")
        if one.get("resv-ports"):
            raise PROGRAM.failed("--resv-ports is not supported by Corral with --het-group or `:`")
        _check(one)
    if "prolog" in given:
        _run_aside(given.get("prolog"), words, "prolog_srun")
    status = hetstep.run(PROGRAM, parts, argv, step_of, _streams, lambda asked: _run_prolog(given, words, asked))
    if "epilog" in given:
        _run_aside(given.get("epilog"), words, "epilog_srun")
    return status


def _in_own_allocation(
    given: Given, step: dict[str, Any], argv: list[str], streams: dict[str, Any], display: Display | None
) -> int:
    """A job whose step comes only when its nodes have the program, or a display. It is held as salloc holds one, and given back."""
    from corral.cli.allocation import allocate, is_granted
    from corral.cli.steps import create_step
    from corral.client.connection import Connection, new_key

    job = new_job(given, step, argv)
    job["spec"] |= {"kind": "salloc"}
    del job["spec"]["step"]
    allocation, row = allocate(PROGRAM, job, given)
    if not is_granted(row):
        allocation.dismiss_watch()
        PROGRAM.info("Job has been cancelled")
        raise PROGRAM.failed("Unable to allocate resources: Job/step already completing or completed")
    if allocation.was_queued:
        PROGRAM.info(f"job {allocation.job_id} has been allocated resources")
    status, job_id = 1, allocation.job_id
    forwarding: Forwarding | None = None
    try:
        if "bcast" in given:
            _send_program(given, str(job_id), step)
        forwarding = _forwarded(given, display, job_id)
        variables = _environment(given, forwarding)
        made, dismiss = _launched(given, step, lambda: create_step(PROGRAM, job_id, step, variables, given))
        try:
            status = attached(PROGRAM, made, given, streams)
        finally:
            dismiss()
    finally:
        if forwarding is not None:
            forwarding.close()
        request = {"type": "CompleteJob", "job": job_id, "status": (status & 0xFF) << 8}
        with Connection() as connection:
            connection.request("POST", "/v1/requests", request, key=new_key(), retry_seconds=60)
        allocation.dismiss_watch()
    if "epilog" in given:
        _run_aside(given.get("epilog"), step["argv"], "epilog_srun")
    return status


def _send_program(given: Given, job: str, step: dict[str, Any]) -> None:
    """--bcast: the program goes to the nodes first, and is run from there."""
    from corral.cli import broadcast
    from corral.errors import Refused

    program = step["argv"][0]
    source = _executable(program)
    if source is None:
        raise PROGRAM.fatal(f"Can not execute {program}")
    dest = os.path.join(os.getcwd(), given.get("bcast") or f"slurm_bcast_{job}_{os.uname().nodename}_{os.getpid()}")
    if dest.endswith("/"):
        dest += os.path.basename(source)
    wishes = broadcast.Wishes(
        force=True,
        preserve=True,
        compress="compress" in given and broadcast.wants_compression(PROGRAM, given.get("compress")),
        send_libs=bool(given.get("send-libs")),
        exclude=given.get("bcast-exclude", broadcast.EXCLUDED),
    )
    nodes: dict[str, Any] = {field: step[field] for field in ("nodelist", "exclude") if field in step}
    try:
        failed = broadcast.Sender(PROGRAM, job, wishes, nodes).send(source, dest)
    except Refused as error:
        from corral.cli.steps import refused

        raise refused(PROGRAM, int(job), error) from None
    if failed:
        raise PROGRAM.fatal(f"Failed to broadcast '{source}'. Step launch aborted.")
    step["argv"] = [dest, *step["argv"][1:]]
    if wishes.send_libs:
        known = os.environ.get("LD_LIBRARY_PATH")
        os.environ["LD_LIBRARY_PATH"] = f"{dest}_libs" + (f":{known}" if known else "")


def _executable(name: str) -> str | None:
    """As a shell finds it."""
    places = [""] if "/" in name else [f"{place or '.'}/" for place in os.environ.get("PATH", os.defpath).split(":")]
    for place in places:
        if os.path.isfile(place + name) and os.access(place + name, os.X_OK):
            return place + name
    return None


# -- what is asked for


def step_of(given: Given, words: list[str], streams: dict[str, Any]) -> dict[str, Any]:
    """The StepSpec."""
    name = given.get("job-name") if "job-name" not in given.from_environment else None
    step = jobspec.step_spec(given, words, name or os.path.basename(words[0]))
    if "multi-prog" in given:
        from corral.cli import multiprog

        step["multi_prog"] = multiprog.read(PROGRAM, words[0], given.get("ntasks", 1), words[1:])
    step["stdio"] = streams
    if given.get("pty"):
        from corral.cli.terminal import window_of

        step["pty"] = True
        step["window"] = list(window_of(0))
    if "time" in given and given.get("jobid") is not None:
        step["time_limit"] = given.get("time")
    return step


def new_job(given: Given, step: dict[str, Any], argv: list[str]) -> dict[str, Any]:
    """The job of an srun that is in none."""
    if "relative" in given:
        raise PROGRAM.fatal("--relative option invalid for job allocation request")
    if given.get("uid") and os.geteuid() != 0:
        raise Exit(BAD_OPTION, "srun: error: --uid only permitted by root user")
    if given.get("gid") and os.geteuid() != 0:
        raise Exit(BAD_OPTION, "srun: error: --gid only permitted by root user")
    spec = jobspec.job_spec(given, "srun")
    spec["name"] = given.get("job-name") or step["name"]
    spec["command"] = step["argv"][0]
    spec["submit_line"] = " ".join(["srun", *argv])
    # What the job asks for is the whole of the step: it takes the allocation as it comes.
    for field in ("gres", "gpus", "gpus_per_node", "memory_per_node_mb", "memory_per_cpu_mb", "exclude", "nodelist"):
        if step.get("distribution") != "arbitrary" or field != "nodelist":
            step.pop(field, None)
    spec["step"] = step
    return {"spec": spec, "environment": _environment(given)}


def _environment(given: Given, forwarding: Forwarding | None = None) -> dict[str, str]:
    return environment.of_step(given) | (forwarding.variables if forwarding is not None else {})


def _check(given: Given) -> None:
    if given.get("pty"):
        from corral.cli.terminal import window_of

        try:
            window_of(0)
        except OSError as error:
            PROGRAM.error(f"ioctl(TIOCGWINSZ): {error.strerror}")
            PROGRAM.error("Not using a pseudo-terminal, disregarding --pty option")
            given.drop("pty")
    if "preserve-env" in given:
        for option, variables in (("ntasks", ("SLURM_NPROCS", "SLURM_NTASKS")), ("nodes", ("SLURM_JOB_NUM_NODES",))):
            for variable in variables:
                if os.environ.get(variable):
                    given.take([(option, os.environ[variable])])


def _relative_fits(given: Given) -> bool:
    """-r within the job's nodes."""
    there = int(os.environ.get("SLURM_JOB_NUM_NODES") or 0)
    first, count = given.get("relative"), given.get("nodes", (1, 1))[0]
    if "nodes" in given.from_environment:
        given.drop("nodes")
        count = 1
    if there and first + count > there:
        raise PROGRAM.failed(
            f"--relative and SLURM_JOB_NUM_NODES option incompatible with count of allocated nodes ({first}+{count}>{there})"
        )
    return True


def _streams(given: Given) -> dict[str, Any]:
    """-i, -o, -e; what this host can tell already to be impossible is said here."""
    streams: dict[str, Any] = {}
    for option, stream in (("input", "stdin"), ("output", "stdout"), ("error", "stderr")):
        text = given.get(option, "")
        if not text or text == "all":
            continue
        is_rank = text.isdigit() and int(text) < max(1, given.get("ntasks", 1))
        streams[stream] = (
            text if is_rank or text == "none" else _path(given, stream, "./" + text if text.isdigit() else text)
        )
    if "open-mode" in given:
        streams["open_mode"] = given.get("open-mode")
    if "label" in given:
        streams["label"] = True
    if "unbuffered" in given:
        streams["unbuffered"] = True
    return streams


def _path(given: Given, stream: str, text: str) -> str:
    """A file's name, if it can be opened (as far as no task has one of its own)."""
    path = os.path.join(jobspec.work_dir(given), text)
    if "%" in text:
        return text
    error = None
    if stream == "stdin":
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        except OSError as problem:
            error = problem.strerror
    elif not os.path.isdir(os.path.dirname(path)):
        error = os.strerror(2)
    elif os.path.isdir(path):
        error = os.strerror(21)
    if error:
        raise PROGRAM.failed(f"Could not open {stream} file: {error}")
    return text


def _run_aside(program: str, words: list[str], context: str) -> None:
    """--prolog and --epilog run here, before and after the tasks, with the command line of the tasks."""
    if program.lower() == "none":
        return
    try:
        variables = dict(os.environ, SLURM_SCRIPT_CONTEXT=context)
        os.waitpid(os.posix_spawn(program, [program, *words], variables), 0)
    except OSError as error:
        PROGRAM.info(f"Access denied for {program}: {error.strerror}")


__all__ = ["main", "new_job", "srun", "step_of"]
