"""A PostgreSQL server of the tests' own, in a directory of its own, on a unix socket; stopped and started as they like."""

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path


def programs() -> Path | None:
    """Where initdb and pg_ctl are; None where there is no PostgreSQL."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")) or [shutil.which("initdb") or ""]
    return Path(found[-1]).parent if found[-1] else None


class PostgresServer:
    """As an ordinary user: the server refuses to run as root."""

    def __init__(self) -> None:
        where = programs()
        assert where is not None
        self._bin = where
        self._user: int | None = None
        self.directory = Path(tempfile.mkdtemp(prefix="corral-pg-"))  # short: it holds a socket
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            account = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            self._user = account.pw_uid
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        self.directory.chmod(0o755)
        self._run("initdb", "-D", f"{self.directory}/data", "-U", "corral", "-A", "trust", "-E", "UTF8", "--no-sync")
        self._has_database = False

    def start(self) -> None:
        # Only processes die here, never the machine: nothing needs to reach the disk.
        options = (
            f"-c listen_addresses='' -c unix_socket_directories={self.directory} -c fsync=off -c shared_buffers=16MB"
        )
        self._run("pg_ctl", "-D", f"{self.directory}/data", "-w", "-l", f"{self.directory}/log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", f"{self.directory}/data", "-w", "-m", mode, "stop")

    def new_database(self) -> str:
        """Its URL. It is the one of before, with nothing in it: making one takes longer."""
        if not self._has_database:
            self._sql("postgres", "CREATE DATABASE corral")
            self._has_database = True
        self._sql("corral", "SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        return f"postgresql://corral@/corral?host={self.directory}"

    def _sql(self, database: str, text: str) -> None:
        self._run("psql", "-q", "-h", str(self.directory), "-U", "corral", "-d", database, "-c", text)

    def close(self) -> None:
        try:
            self.stop("immediate")
        except AssertionError:
            pass  # it is not running
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        # Into a file: the server inherits it, and nobody waits for the server to close a pipe.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                [str(self._bin / program), *arguments], user=self._user, cwd=self.directory,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
            said.seek(0)
            assert done.returncode == 0, f"{program}: {said.read().decode(errors='replace')}"
