"""What models say that they can do, as the page on it says."""

import pytest
from pages import text

import trimetric as tm
from trimetric.errors import Unsupported
from trimetric.models import OURS

TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in text("docs/howto/explain.md").splitlines()
    if line.startswith("|")
]
ROWS = {
    name.strip(): cells
    for names, *cells in TABLE[2:]
    for name in names.replace("base…", "base, base+u, base+s, base+s+p, base+s+u").split(",")
}
COLUMNS = ("similar items", "similar users", "new users", "explanations")
DATA = tm.synthetic.planted(60, 40, dim=4, clusters=4, per_user=6, seed=1).interactions
SMALL = {"dim": 4, "epochs": 1, "iterations": 2}


def test_the_page_has_every_model() -> None:
    assert set(OURS) <= set(ROWS)


@pytest.mark.parametrize("name", OURS)
def test_the_page_says_what_models_say(name: str) -> None:
    able = tm.create(name).capabilities
    told = {column for column, cell in zip(COLUMNS, ROWS[name], strict=True) if cell != "–"}
    assert told == {c for c in COLUMNS if c in able or (c == "new users" and "fold-in" in able)}


@pytest.mark.parametrize("name", OURS)
def test_what_a_model_cannot_it_refuses_with_a_reason(name: str) -> None:
    """The reason is in the model's own words, and names no capability that it has."""
    if name == "ials":
        pytest.importorskip("implicit")
    model = tm.create(name)
    known = model.get_params()
    model = tm.create(name, **{k: v for k, v in SMALL.items() if k in known}).fit(DATA)
    user, items = DATA.user_ids.values[0], DATA.item_ids.values
    asked = {
        "similar items": lambda: model.similar_items(items[0]),
        "similar users": lambda: model.similar_users(user),
        "new users": lambda: model.recommend_for(items[:2]),
        "explanations": lambda: model.explain(user, items[0]),
    }
    for (column, ask), cell in zip(asked.items(), ROWS[name], strict=True):
        if cell != "–":
            assert ask() is not None
            continue
        reason = model.scorer.refusals[column]
        with pytest.raises(Unsupported) as told:
            ask()
        assert f": {reason}" in str(told.value)
