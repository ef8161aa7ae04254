"""The `trimetric` command: one file per command group, heavy imports only inside commands."""

import errno
import os
import sys
from typing import NoReturn

LEAST_FILES = 16
LEAST_MEMORY = 2_000_000_000  # of which most is mapped by libraries, and never filled


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 2 a user error, 1 a bug, 130 interrupted."""
    args = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in args or os.environ.get("TRIMETRIC_DEBUG", "0") not in ("", "0")
    try:
        _check_limits()
        from trimetric.cli.app import run

        run([arg for arg in args if arg != "--debug"])
    except KeyboardInterrupt:
        _stop(130, "interrupted; nothing was changed")
    except SystemExit as stop:
        if stop.code == 130:  # Ctrl-C, which Typer turns into this without a word
            _stop(130, "interrupted; nothing was changed")
        raise
    except BaseException as error:  # a panic of Polars is no Exception
        if debug:
            import traceback

            traceback.print_exc()
        _stop(*_describe(error))
    _stop(0)


def _check_limits() -> None:
    """Refuse to begin where libraries would end the process by themselves, without a cause."""
    try:
        import resource
    except ImportError:
        return
    from trimetric.errors import ResourceError

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < LEAST_FILES:
        raise ResourceError(
            f"this process may open {files} files at a time, and {LEAST_FILES} is the least that"
            " will do: too few files; raise the limit (ulimit -n 1024)"
        )
    memory, _ = resource.getrlimit(resource.RLIMIT_AS)
    if memory != resource.RLIM_INFINITY and memory < LEAST_MEMORY:
        raise ResourceError(
            f"not enough memory: this process may use {memory / 1e6:,.0f} MB of addresses, and"
            f" {LEAST_MEMORY / 1e6:,.0f} MB is the least that will do; raise the limit (ulimit -v)"
        )


def _describe(error: BaseException) -> tuple[int, str]:
    """Return the exit status and the words of an error: 2 for a mistake of person or machine."""
    from trimetric.cli.output import in_options
    from trimetric.errors import MissingExtra, TrimetricError
    from trimetric.storage.causes import REMEDIES, short_of_memory, system_error

    found = system_error(error)
    if isinstance(error, TrimetricError) and not (isinstance(error, MissingExtra) and found):
        return error.exit_code, in_options(str(error))
    if found is None and short_of_memory(error):
        found = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    message, kind = " ".join(str(error).split()), type(error).__name__
    if found is not None:
        remedy = REMEDIES.get(found.errno or 0, "see what the system says of it")
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        return 2, f"{where}{found.strerror}; {remedy}"
    return 1, f"unexpected {kind}: {message}; run with --debug for the traceback"


def _stop(code: int, message: str = "") -> NoReturn:
    if message:
        from trimetric.progress import tell

        tell(f"trimetric: {message}")
    raise SystemExit(code)
