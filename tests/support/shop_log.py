"""Make the log of a made-up shop, as shops have it: python tests/support/shop_log.py FOLDER [ROWS].

shop.csv        200,000 rows: when (ISO, with a zone), visitor, sku, event, title; some visitors are
                missing, as an empty field or as NULL; some rows are there twice; purchases follow
                carts, carts follow views
next_day.csv    the day after, with new visitors and new products
products.csv    sku, title (commas, quotes, markup, emoji), price, shelf
elsewhere.csv   what some other recommender would list for each visitor: visitor, sku, place
"""

import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import polars as pl

VISITORS, PRODUCTS, SHELVES = 7000, 2400, 12
WORDS = (
    "Kettle",
    'Lamp, 12"',
    "Tea <b>No. 7</b>",
    "Näh-Set",
    "Socks 🧦",
    'The "Good" Mug',
    "R&D Kit",
)
ZONES = (timezone(timedelta(hours=1)), timezone(timedelta(hours=2)), UTC)
BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 60


def main(folder: Path, rows: int) -> None:
    """Write the four files."""
    rng = np.random.default_rng(20260301)
    folder.mkdir(parents=True, exist_ok=True)
    shelf = rng.integers(SHELVES, size=PRODUCTS)
    popularity = 1 / (np.arange(PRODUCTS) + 20.0)
    popularity = rng.permutation(popularity)
    taste = rng.dirichlet(np.full(SHELVES, 0.15), VISITORS)
    activity = rng.lognormal(0, 1, VISITORS)
    log = visits(rng, rows, (shelf, popularity, taste, activity), BEGAN, DAYS)
    write(log, folder / "shop.csv", rng)
    later = visits(rng, rows // 100, (shelf, popularity, taste, activity), BEGAN, 1, DAYS)
    fresh = rng.random(len(later)) < 0.1
    later = later.with_columns(
        visitor=pl.when(pl.Series(fresh))
        .then(pl.lit("new-") + pl.col("visitor"))
        .otherwise("visitor")
    )
    write(later, folder / "next_day.csv", rng)
    pl.DataFrame(
        {
            "sku": [name(v) for v in range(PRODUCTS)],
            "title": [title(v) for v in range(PRODUCTS)],
            "price": np.round(rng.lognormal(3, 1, PRODUCTS), 2),
            "shelf": [f"shelf {s}" for s in shelf],
        }
    ).write_csv(folder / "products.csv")
    best = np.argsort(-popularity)
    pl.DataFrame(
        [
            {"visitor": f"v{u:05}", "sku": name(v), "place": place}
            for u in range(VISITORS)
            for place, v in enumerate(best[shelf[best] == taste[u].argmax()][:20].tolist(), 1)
        ]
    ).write_csv(folder / "elsewhere.csv")


def visits(rng, rows, shop, began, days, first_day=0) -> pl.DataFrame:  # type: ignore[no-untyped-def]
    """Draw visits: who, what, when, and how far it went."""
    shelf, popularity, taste, activity = shop
    users = rng.choice(VISITORS, rows, p=activity / activity.sum())
    shelves = (
        (taste[users].cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1).clip(max=SHELVES - 1)
    )
    items = np.zeros(rows, dtype=np.int64)
    for s in range(SHELVES):
        on, at = np.flatnonzero(shelf == s), shelves == s
        items[at] = rng.choice(on, at.sum(), p=popularity[on] / popularity[on].sum())
    seconds = np.sort(rng.integers(days * 86_400, size=rows)) + first_day * 86_400
    zone = rng.integers(len(ZONES), size=rows)
    events = rng.choice(["view", "cart", "purchase"], rows, p=[0.8, 0.13, 0.07])
    times = [
        (began + timedelta(seconds=int(s))).astimezone(ZONES[z]).isoformat()
        for s, z in zip(seconds, zone, strict=True)
    ]
    return pl.DataFrame(
        {
            "when": times,
            "visitor": [f"v{u:05}" for u in users],
            "sku": [name(v) for v in items],
            "event": events,
            "title": [title(v) for v in items],
        }
    )


def write(log: pl.DataFrame, path: Path, rng: np.random.Generator) -> None:
    """Write a log with the flaws of real ones: rows without a visitor, and rows given twice."""
    draw = pl.Series(rng.random(len(log)))
    log = log.with_columns(
        visitor=pl.when(draw < 0.004).then(pl.lit("NULL")).when(draw < 0.008).then(None)
        .otherwise("visitor")
    )  # fmt: skip
    twice = np.sort(np.concatenate([np.arange(len(log)), rng.choice(len(log), len(log) // 200)]))
    log[twice[: len(log)]].write_csv(path, include_bom=True)


def name(item: int) -> str:
    """Return the stock-keeping unit of a product."""
    return f"{item % 97:02}-{item:05}"


def title(item: int) -> str:
    """Return the title of a product."""
    return f"{WORDS[item % len(WORDS)]} no. {item}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200_000)
