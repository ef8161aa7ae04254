"""What all tests share; it runs before anything imports numba."""

import os
import signal
from pathlib import Path

import kernels
import pytest
from hypothesis import Phase, settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a shell, this process and its children would ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["NUMBA_CACHE_DIR"] = str(kernels.folder())
os.environ["RAY_AUTH_MODE"] = "disabled"  # Ray takes it once; else a token at home would decide

pytest.register_assert_rewrite("trimetric.testing")

# The first example of a test may have to compile a kernel.
settings.register_profile("trimetric", deadline=None)
settings.register_profile(
    "first-failure",
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
)
settings.load_profile(os.environ.get("TRIMETRIC_HYPOTHESIS", "trimetric"))


FIRST = ("ray", "docs_examples", "in_files", "accessibility", "test_page", "estimate", "test_paper")
"""What takes longest begins first, so that no processor waits for it at the end."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests for processes: a file stays together, and so do all that start Ray clusters.

    Files share fixtures and ports, and clusters wait for one another: see `raylets`.
    """

    def place(item: pytest.Item) -> int:
        [group] = item.get_closest_marker("xdist_group").args
        return next((n for n, word in enumerate(FIRST) if word in group), len(FIRST))

    for item in items:
        group = f"{item.path.parent.name}/{item.path.stem}"
        item.add_marker(
            pytest.mark.xdist_group("ray" if hasattr(item.module, "raylets") else group)
        )
    items.sort(key=place)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real data sets, or skip."""
    folder = os.environ.get("TRIMETRIC_DATA")
    if not folder:
        pytest.skip("set TRIMETRIC_DATA to test on the real data sets")
    return Path(folder)
