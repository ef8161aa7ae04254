"""A person types in a few titles and gets recommendations with exact reasons.

Users are nothing but the weighted mean of their items here (own=0): placing a new one trains
nothing, and each item's part of the score is known exactly.

    python examples/by_titles.py ["Voyage to Lyra Six" "The Mirach Colony" ...]

It takes MovieLens 100K where it is on this machine (`trimetric data list` says where it is looked
for), and otherwise the books of a generated bookshop.
"""

import statistics
import sys
import time

import numpy as np

import trimetric as tm
from trimetric.data.csr import Csr

FILMS = ("Star Wars (1977)", "Fargo (1996)", "Blade Runner (1982)")
BOOKS = ("Voyage to Lyra Six", "The Mirach Colony", "Death at the Windmill")


def main(typed: list[str]) -> int:
    """Train, find the titles, and answer."""
    if tm.datasets.has("ml_100k"):
        data = tm.datasets.load("ml_100k", min_rating=4)
    else:
        data = tm.datasets.load("bookshop")
    table = tm.datasets.titles(data.name)
    ids = data.item_ids.values.to_list()
    titles = {item: str(item) for item in ids}
    if table is not None:
        titles |= dict(zip(table["item"], table["title"], strict=True))
    by_title = {titles[item]: item for item in ids}
    wanted = typed or [title for title in FILMS + BOOKS if title in by_title] or list(by_title)[:3]
    unknown = [title for title in wanted if title not in by_title]
    if unknown:
        print(f"{unknown[0]!r} is no title of {data.name}", file=sys.stderr)
        return 2
    liked = [by_title[title] for title in wanted]

    with tm.threads(1):  # for one person a second thread only costs
        model = tm.CentroidML(own=0, seed=0).fit(data).prepared()
        lists, seconds = model.recommend_for(liked, k=5), []
        space, rows = model.scorer, np.sort(model.item_ids.encode(liked))
        one, weights = np.array([0, len(rows)]), np.ones(len(rows), dtype=np.float32)
        for _ in range(200):  # by row numbers, as a server would
            began = time.perf_counter()
            points = space.place((one, rows), weights)
            [found], _ = space.nearest_to(points, 5, exclude=Csr(one, rows))
            for item in found:
                space.fold_in.contributions(space, item, rows, weights)
            seconds.append(time.perf_counter() - began)
        for item in lists["item"]:
            why = model.explain_for(liked, item, examine=0)
            parts = ", ".join(f"{titles[one.item]} {one.adds:+.3f}" for one in why.reasons)
            print(f"{titles[item]:<45} because of {parts}")
    print(f"\nfive items with all reasons, by rows: {1000 * statistics.median(seconds):.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
