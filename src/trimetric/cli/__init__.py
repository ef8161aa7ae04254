"""The `trimetric` command: one file per command group, heavy imports only inside commands."""

import os
import sys
from typing import NoReturn


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 2 a user error, 1 a bug, 130 interrupted."""
    args = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in args or os.environ.get("TRIMETRIC_DEBUG", "0") not in ("", "0")
    try:
        from trimetric.cli.app import run

        run([arg for arg in args if arg != "--debug"])
    except KeyboardInterrupt:
        _stop(130, "interrupted")
    except Exception as error:
        if debug:
            import traceback

            traceback.print_exc()
        _stop(*_describe(error))
    _stop(0)


def _describe(error: Exception) -> tuple[int, str]:
    from trimetric.cli.output import in_options
    from trimetric.errors import TrimetricError

    if isinstance(error, TrimetricError):
        return error.exit_code, in_options(str(error))
    message, kind = " ".join(str(error).split()), type(error).__name__
    return 1, f"unexpected {kind}: {message}; run with --debug for the traceback"


def _stop(code: int, message: str = "") -> NoReturn:
    if message:
        print(f"trimetric: {message}", file=sys.stderr)
    raise SystemExit(code)
