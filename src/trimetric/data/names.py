"""Columns by the names that logs usually give them."""

from __future__ import annotations

from collections.abc import Sequence

PUBLISHERS: tuple[dict[str, str], ...] = (
    # Amazon product data, and the Yelp open dataset
    {"user": "reviewerID", "item": "asin", "rating": "overall", "timestamp": "unixReviewTime"},
    {"user": "user_id", "item": "business_id", "rating": "stars", "timestamp": "date"},
)
USUAL = {
    "user": (
        *("user", "userid", "uid", "customer", "customerid", "clientid", "memberid", "accountid"),
        *("visitorid", "reviewerid", "personid", "shopperid", "listenerid", "readerid"),
    ),
    "item": (
        *("item", "itemid", "iid", "movieid", "productid", "product", "asin", "sku", "isbn"),
        *("businessid", "bookid", "songid", "trackid", "artistid", "albumid", "articleid"),
        *("videoid", "gameid", "recipeid", "stockcode", "filmid", "showid", "newsid", "podcastid"),
    ),
    "rating": ("rating",),
    "timestamp": ("timestamp", "ts", "time", "date", "datetime", "eventtime", "unixtime"),
}
_TYPES = ("token", "float", "token_seq", "float_seq")
_SPELLING = str.maketrans("", "", "_-. \t\r\n")


def plain(name: str) -> str:
    """Return a name without what spelling varies in: case, spaces, underscores, hyphens, dots.

    Nor does it have the type that RecBole writes behind it, as in user_id:token.
    """
    bare, _, kind = name.casefold().rpartition(":")
    return (bare if kind in _TYPES else name.casefold()).translate(_SPELLING)


def candidates(role: str, existing: Sequence[str]) -> list[str]:
    """Return the columns that usually have a role: user, item, rating or timestamp."""
    for names in PUBLISHERS:
        if all(names[need] in existing for need in ("user", "item")) and names[role] in existing:
            return [names[role]]
    return [name for name in existing if plain(name) in USUAL.get(role, ())]
