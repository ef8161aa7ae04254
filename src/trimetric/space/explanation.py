"""Why an item is recommended to a user, as data, as a sentence and as a small page."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from trimetric import notebook

LEAST_TOLD = 0.01  # of a score: what is less goes without saying
Id = int | str
Titles = Mapping[Id, str] | None


@dataclass(frozen=True)
class Popularity:
    """How many have an item.

    Parameters
    ----------
    count : int
        Users of the training data who have it.
    rank : int
        1 + how many items have more.
    share : float
        `count` among all users who have anything.
    """

    count: int
    rank: int
    share: float


@dataclass(frozen=True)
class Reason:
    """An item that the user has, near to the one explained or adding to its score.

    Parameters
    ----------
    item : id
    d2_item, d2_user : float or None
        Its d² to the item explained, and to the user; None where there is no space.
    rank_without : int or None
        Where the item explained would stand if the user did not have this one: see
        `Counterfactual`. None where that was not examined.
    adds : float or None
        What this item adds to the score of the item explained, where that, or the user's point, is
        a sum over their items; None in other spaces.
    """

    item: Id
    d2_item: float | None
    d2_user: float | None
    rank_without: int | None
    adds: float | None = None


@dataclass(frozen=True)
class Triple:
    """The user u, the item v, and v⁻, under the objective that the model was trained on.

    v⁻ is the nearest item that the user does not have and that is ranked after v: the one just
    behind it in the list.

    Parameters
    ----------
    negative : id
        v⁻.
    d2_uv, d2_un, d2_vn : float
        d²(u,v), d²(u,v⁻) and d²(v,v⁻).
    user_margin, item_margin : float or None
        m_u and n_v of equation (6) of Li et al. (AAAI 2020), learned or fixed. None where the model
        has no such hinge, and m_u also for a new user where margins are learned.
    user_hinge, item_hinge : float or None
        [d²(u,v) − d²(u,v⁻) + m_u]₊ and [d²(u,v) − d²(v,v⁻) + n_v]₊: 0 where v⁻ is farther away by
        the margin. None where the margin is.
    """

    negative: Id
    d2_uv: float
    d2_un: float
    d2_vn: float
    user_margin: float | None
    item_margin: float | None
    user_hinge: float | None
    item_hinge: float | None


@dataclass(frozen=True)
class Counterfactual:
    """Which single one of the user's items holds the item in the top k.

    Both ranks are of the user placed again from their items by fold-in, with and without that
    item. The items to choose among stay the same: the one taken away does not come back as a
    recommendation, so only the user's move counts.

    Parameters
    ----------
    item : id or None
        Of those without which the rank is above k, the one without which it is greatest; None where
        there is none, or where the item is not in the top k to begin with.
    rank_with : int
        With all of the user's items; it can differ from the rank at the trained position.
    rank_without : int or None
    k : int
    examined, liked : int
        How many of the user's items were taken away, one at a time, in the order of
        `Explanation.reasons`; and how many the user has.
    """

    item: Id | None
    rank_with: int
    rank_without: int | None
    k: int
    examined: int
    liked: int


@dataclass(frozen=True)
class Explanation:
    """What stands behind one recommendation.

    Parameters
    ----------
    model : str
    user : id or None
        None for a new user.
    item : id
    by : "distance", "sum" or "count"
        What the score is: −d² in a space; the sum of what each of the user's items adds, and
        `own`; or a count that is the same for all users.
    score : float
        As in lists: higher is better.
    d2 : float or None
        d² between user and item; None where there is no space.
    rank, candidates : int
        Its rank, from 1, among the items that the user does not have (and itself), and their
        number.
    k : int
        Length of the list that the counterfactual is about.
    seen : bool
        Whether the user has the item.
    popularity : Popularity
        Of the item.
    reasons : tuple of Reason
        Among what the user has, those that add most to its score where that is a sum over them,
        most first, and none that adds nothing; otherwise those nearest to it, nearest first.
    triple : Triple or None
        None where no item is ranked after it, or there is no space.
    counterfactual : Counterfactual or None
        None where the model cannot place a new user, the user has fewer than two items, or has the
        item already, or none was to be examined.
    own : float or None
        What the user's own point adds to the score beside their items, where it is a sum. With
        `by="sum"` it is what is left of the score: 0 where that is such a sum by definition (ease,
        itemknn, new users), otherwise what training left in the user's factors that is not their
        items'.
    """

    model: str
    user: Id | None
    item: Id
    by: Literal["distance", "sum", "count"]
    score: float
    d2: float | None
    rank: int
    candidates: int
    k: int
    seen: bool
    popularity: Popularity
    reasons: tuple[Reason, ...]
    triple: Triple | None
    counterfactual: Counterfactual | None
    own: float | None = None

    @property
    def items(self) -> list[Id]:
        """All items named in the explanation, each once."""
        items = [reason.item for reason in self.reasons]
        if self.triple is not None:
            items.append(self.triple.negative)
        if self.counterfactual is not None and self.counterfactual.item is not None:
            items.append(self.counterfactual.item)
        return list(dict.fromkeys([self.item, *items]))

    def reason_rows(self, titles: Titles = None) -> list[dict[str, Any]]:
        """Return the reasons as rows of a table for people, with the columns that say something."""
        return [
            {
                "has": str(reason.item if titles is None else titles.get(reason.item, reason.item)),
                **({} if self.own is None else {"adds": reason.adds}),
                **(
                    {}
                    if self.d2 is None
                    else {"d² to the item": reason.d2_item, "d² to the user": reason.d2_user}
                ),
                "rank without it": reason.rank_without,
            }
            for reason in self.reasons
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, and the `sentence`."""
        return {**asdict(self), "reasons": [asdict(reason) for reason in self.reasons],
                "sentence": self.sentence()}  # fmt: skip

    def sentence(self, titles: Titles = None) -> str:
        """Say it in a few sentences.

        Parameters
        ----------
        titles : mapping of id to str, optional
            What items are called; one without a title is called by its id.
        """
        return " ".join(_sentences(self, titles))

    def __str__(self) -> str:
        return self.sentence()

    def _repr_html_(self) -> str:
        return _page(self)


def _sentences(why: Explanation, titles: Titles) -> list[str]:
    def name(item: Id) -> str:
        return _name(item, titles)

    whom = "this new user" if why.user is None else f"user {why.user}"
    if why.seen:
        head = f"{name(why.item)} is among the items that {whom} has already"
    elif why.rank <= why.k:
        head = f"{name(why.item)} is number {why.rank:,} for {whom}"
    else:
        head = (
            f"{name(why.item)} is not in the top {why.k:,} for {whom}, but number {why.rank:,} of"
            f" {why.candidates:,}"
        )
    if why.by == "count":
        head += (
            f", with a score of {why.score:,.6g}: {why.model} counts how many have an item, which"
        )
        head += " is the same for all, whatever they have themselves"
    elif why.by == "sum":
        head += f", with a score of {why.score:.3f}"
    else:
        head += f", at a squared distance of {why.d2:.3f}"
    if why.by == "sum":
        head += _sum_in_words(why, name)
    elif why.reasons and why.own is not None:
        adding = _adding(why, name)
        most = f"most is added to its score by {_listed(adding)}" if adding else ""
        head += f"; of what they have, {most or 'nothing adds to its score'}"
    elif why.reasons:
        near = [f"{name(reason.item)} ({reason.d2_item:.3f})" for reason in why.reasons[:3]]
        head += f"; closest among what they have: {_listed(near)}"
    sentences = [head + "."]
    crowd = why.popularity
    sentences.append(
        f"{crowd.share:.1%} of all users have it ({crowd.count:,}; number {crowd.rank:,} by"
        " popularity)."
    )
    other = why.counterfactual
    if other is not None and other.item is not None:
        again = "" if why.rank == other.rank_with else "Placed again by their items, "
        sentences.append(
            f"{again}it is number {other.rank_with:,}; without {name(other.item)} it would be"
            f" number {other.rank_without:,}, out of the top {other.k:,}."
        )
    elif other is not None and other.rank_with <= other.k:
        whole = other.examined == other.liked
        of_them = "nearest of their items" if why.own is None else "of their items that add most"
        among = "their items" if whole else f"the {other.examined:,} {of_them}"
        sentences.append(f"It would stay in the top {other.k:,} without any single one of {among}.")
    return [sentence[0].upper() + sentence[1:] for sentence in sentences]


def _sum_in_words(why: Explanation, name: Callable[[Id], str]) -> str:
    """Say what adds to a score that is a sum."""
    adding = _adding(why, name)
    most = f"most of it is added by {_listed(adding)}" if adding else "nothing they have adds to it"
    said = f"; of what they have, {most}"
    if why.own and abs(why.own) >= LEAST_TOLD * abs(why.score):
        said += f", and {why.own:+.3f} is of the user's own factors, beside their items"
    return said


def _adding(why: Explanation, name: Callable[[Id], str]) -> list[str]:
    """Return the first items that add to a score, and what they add."""
    return [f"{name(one.item)} ({one.adds:+.3f})" for one in why.reasons[:3] if (one.adds or 0) > 0]


def _page(why: Explanation) -> str:
    """Return the sentence, with the reasons and the triple as tables."""
    parts = [notebook.note(why.sentence())]
    if why.reasons:
        table = why.reason_rows()
        parts.append(notebook.table(tuple(table[0]), [tuple(row.values()) for row in table]))
    if why.triple is not None:
        triple = why.triple
        sides = [
            ("user's", triple.d2_uv, triple.d2_un, triple.user_margin, triple.user_hinge),
            ("item's", triple.d2_uv, triple.d2_vn, triple.item_margin, triple.item_hinge),
        ]
        behind = f"d² to v⁻ = {triple.negative}"
        parts.append(notebook.table(("hinge", "d²(u,v)", behind, "margin", "value"), sides))
    whom = "a new user" if why.user is None else f"user {why.user}"
    return notebook.card(f"Item {why.item} for {whom}", {}, *parts)


def _name(item: Id, titles: Titles) -> str:
    title = None if titles is None else titles.get(item)
    return f"item {item}" if title is None else f"“{title}”"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
