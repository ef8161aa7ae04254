"""What all tests share; it runs before anything imports numba."""

import hashlib
import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

_ROOT = Path(__file__).resolve().parents[1]


def _compiled_folder() -> Path:
    """Name a folder of compiled kernels by the sources they come from.

    Numba looks only at the file of the function it compiles: after an edit of a function that a
    kernel calls, it would still run the kernel as compiled before.
    """
    digest = hashlib.sha256()
    for source in sorted((_ROOT / "src/trimetric").rglob("*.py")):
        text = source.read_bytes()
        if source.parent.name == "engine" or b"trimetric.engine.compile" in text:
            digest.update(source.name.encode() + b"\0" + text)
    return _ROOT / ".pytest_cache" / f"numba-{digest.hexdigest()[:16]}"


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a shell, this process and its children would ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["NUMBA_CACHE_DIR"] = str(_compiled_folder())
os.environ["RAY_AUTH_MODE"] = "disabled"  # Ray takes it once; else a token at home would decide

pytest.register_assert_rewrite("trimetric.testing")

# The first example of a test may have to compile a kernel.
settings.register_profile("trimetric", deadline=None)
settings.load_profile("trimetric")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real data sets, or skip."""
    folder = os.environ.get("TRIMETRIC_DATA")
    if not folder:
        pytest.skip("set TRIMETRIC_DATA to test on the real data sets")
    return Path(folder)
