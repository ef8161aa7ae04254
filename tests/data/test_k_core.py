"""The core of interactions against a plain twin that removes one user or item at a time."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimetric.data import Interactions
from trimetric.errors import DataError

PAIRS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=40, unique=True
)


def twin(pairs: set, users: int, items: int) -> set:
    """Remove any user or item that has too few, until none has."""
    while True:
        of_user, of_item = Counter(u for u, _ in pairs), Counter(i for _, i in pairs)
        few = next((u for u in of_user if of_user[u] < users), None)
        if few is not None:
            pairs = {pair for pair in pairs if pair[0] != few}
            continue
        few = next((i for i in of_item if of_item[i] < items), None)
        if few is None:
            return pairs
        pairs = {pair for pair in pairs if pair[1] != few}


@given(PAIRS, st.integers(1, 4), st.integers(1, 4))
def test_the_core_is_what_no_removal_shrinks(pairs, users, items):
    data = Interactions.from_arrays(*zip(*pairs, strict=True))
    expected = twin(set(pairs), users, items)
    if not expected:
        with pytest.raises(DataError, match="smaller core"):
            data.k_core(users=users, items=items)
        return
    core = data.k_core(users=users, items=items)
    assert set(core.to_frame().iter_rows()) == expected
    assert core.report.below_core == len(pairs) - len(expected)
    assert core.n_users == len({u for u, _ in expected})
    assert core.n_items == len({i for _, i in expected})
