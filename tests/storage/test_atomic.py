"""A file is replaced in one step or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trimetric.errors import OutputError
from trimetric.storage import atomic
from trimetric.storage.atomic import (
    locked,
    output_errors,
    replacing,
    replacing_folder,
    reserved,
)
from trimetric.storage.causes import system_error


def test_the_new_content_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(b"old")
    with replacing(path) as out:
        out.write(b"new")
        out.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failing_body_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(b"old")
    with pytest.raises(error), replacing(path) as out:  # noqa: PT012
        out.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.csv"]


def test_a_link_keeps_pointing_at_the_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with replacing(tmp_path / "link") as out:
        out.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_device_is_written_not_replaced() -> None:
    with replacing(Path(os.devnull)) as out:
        out.write(b"gone")
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "Is a directory"), ("no/such", "No such file"), ("file/x", "a file stands where")],
)
def test_where_nothing_can_be_written(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(OutputError, match=f"cannot write .*{words}"), replacing(tmp_path / name):
        pass
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told_as_such_by_numpy_too() -> None:
    with (
        pytest.raises(OutputError, match="No space left on device; free some space"),
        output_errors(Path("x")),
        open("/dev/full", "wb", buffering=0) as out,
    ):
        np.zeros(100_000).tofile(out)


KILLED = """
import os, signal, sys
from pathlib import Path
from trimetric.storage import atomic
from trimetric.storage.atomic import replacing, replacing_folder

def deadly(step):
    def dies(*paths):
        done = step(*paths)
        if done is not False:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    return dies

atomic._exchange = deadly(atomic._exchange if sys.argv[2] == "exchange" else lambda *_: False)
with replacing(Path(sys.argv[1]) / "f") as out:
    out.write(b"half")
    out.flush()
    os.rename = deadly(os.rename)
    with replacing_folder(Path(sys.argv[1]) / "d") as new:
        (new / "x").write_bytes(b"new")
"""


@pytest.mark.parametrize("how", ["exchange", "two renames"])
def test_what_a_kill_leaves_is_put_right_by_the_next_writer(tmp_path: Path, how: str) -> None:
    with replacing_folder(tmp_path / "d") as new:
        (new / "x").write_bytes(b"old")
    if how == "exchange" and not atomic._exchange(tmp_path / "d", tmp_path / "d"):
        pytest.skip("this system cannot exchange two folders in one step")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), how])
    assert killed.returncode == -9
    [stray] = tmp_path.glob(".f.*.tmp")
    # killed between two renames, nothing is there; after an exchange, the new one
    assert (tmp_path / "d").exists() == (how == "exchange")
    with pytest.raises(ValueError, match="no"), replacing_folder(tmp_path / "d"):
        raise ValueError("no")
    assert (tmp_path / "d/x").read_bytes() == (b"new" if how == "exchange" else b"old")
    with replacing(tmp_path / "f") as out:
        assert not stray.exists()
        out.write(b"whole")
    assert sorted(os.listdir(tmp_path)) == ["d", "f"]


def test_two_writers_of_a_file_have_a_temporary_file_each(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    with replacing(path) as first:
        first.write(b"1" * 10)
        with replacing(path) as second:
            second.write(b"2" * 5)
        assert path.read_bytes() == b"2" * 5
    assert path.read_bytes() == b"1" * 10
    assert os.listdir(tmp_path) == ["r.csv"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_one_writer_of_a_folder_at_a_time(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "d") as new:
        (new / "x").write_bytes(b"mine")
        with (
            pytest.raises(OutputError, match="another run is writing"),
            replacing_folder(tmp_path / "d"),
        ):
            pass
    assert (tmp_path / "d/x").read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["d"]
    with locked(tmp_path / "d", wait=False) as ours:
        assert ours


# --- one run at a time -------------------------------------------------------------------------


def test_a_reserved_folder_is_refused_to_others_and_free_again(tmp_path: Path) -> None:
    with reserved(tmp_path / "new/m", "training into"):
        told = r"another run is training into .*m; wait until it is done or choose another folder"
        with pytest.raises(OutputError, match=told), reserved(tmp_path / "new/m", "training into"):
            pass
        with reserved(tmp_path / "new/other", "training into"):
            pass
    with reserved(tmp_path / "new/m", "training into"):
        assert os.listdir(tmp_path / "new") == [".m.lock"]
    assert os.listdir(tmp_path) == []


def test_an_error_of_the_body_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="mine"), reserved(tmp_path / "m", "reading"):
        raise FileNotFoundError("mine")
    assert os.listdir(tmp_path) == []


def test_a_reservation_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from trimetric.storage.atomic import reserved\n"
        "with reserved(Path(sys.argv[1]), 'training into'): os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "m")])
    assert killed.returncode == -9
    assert os.listdir(tmp_path) == [".m.lock"]
    with reserved(tmp_path / "m", "training into"):
        pass
    assert os.listdir(tmp_path) == []


# --- what of the machine is behind an error ------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (MemoryError(), errno.ENOMEM),
        (RuntimeError("can't start new thread"), errno.ENOMEM),
        (RuntimeError("std::bad_alloc"), errno.ENOMEM),
        (ImportError("lib.so: failed to map segment from shared object"), errno.ENOMEM),
        (RuntimeError("write error in x: 6 != 8 (No space left on device)"), errno.ENOSPC),
        (ValueError("parquet: No space left on device (os error 28)"), errno.ENOSPC),
        (OSError("100000 requested and 0 written"), errno.ENOSPC),
        (ValueError('Os { code: 24, kind: TooManyOpenFiles, message: "Too many" }'), errno.EMFILE),
        (PermissionError(errno.EACCES, "no"), errno.EACCES),
    ],
)
def test_the_system_behind_an_error(error: Exception, number: int) -> None:
    found = system_error(error)
    assert found is not None
    assert found.errno == number
    wrapped = KeyError("lost")
    wrapped.__cause__ = error
    again = system_error(wrapped)
    assert again is not None
    assert again.errno == number


def test_other_errors_are_not_the_systems() -> None:
    assert system_error(ValueError("28 is no number")) is None
    assert system_error(KeyError("code")) is None
