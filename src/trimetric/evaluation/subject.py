"""What is evaluated, in rows: a model, a scorer, or a model with users folded in."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trimetric.data.csr import Csr
from trimetric.errors import DataError, ParameterError, Unsupported
from trimetric.evaluation.ranker import Ranker

if TYPE_CHECKING:
    from trimetric.data.ids import Vocabulary
    from trimetric.data.interactions import Interactions
    from trimetric.data.splits import Split


class Subject(NamedTuple):
    """What ranks, what its rows stand for, and what its users have seen.

    Parameters
    ----------
    name : str
    user_ids, item_ids : Vocabulary
    seen : Csr
        Users without items here are unknown: nothing was learned about them.
    scorer : Ranker
    popularity : int64[n_items]
        How many users of the training data have each item.
    unseen_valid : int
        How many interactions the model was validated on that it does not know.
    marked_valid : bool
        Whether it was validated, and all of these interactions are among `seen` or `validated`.
    numbers : int64[n_users], optional
        What names users in draws of candidates, where it is not their rows.
    validated : Csr, optional
        What the model was validated on.
    """

    name: str
    user_ids: "Vocabulary"
    item_ids: "Vocabulary"
    seen: Csr
    scorer: Ranker
    popularity: np.ndarray
    unseen_valid: int = 0
    marked_valid: bool = False
    numbers: np.ndarray | None = None
    validated: Csr | None = None

    @classmethod
    def of_model(cls, model: Any) -> "Subject":
        """Take a trained model; one that is not trained says so."""
        users, items, seen = model.user_ids, model.item_ids, model.seen
        popularity = np.bincount(seen.items, minlength=len(items))
        variant = getattr(model, "variant", None)
        name = type(model).__name__ + (f" ({variant})" if variant else "")
        validated = getattr(model, "validated", None)
        validation = 0, True
        if validated is None:
            validation = validation_of(getattr(model, "provenance", {}), len(seen.items))
        return cls(
            name, users, items, seen, model.scorer, popularity, *validation, validated=validated
        )

    @classmethod
    def of_scorer(cls, scorer: Any, split: "Split | None") -> "Subject":
        """Take a scorer, whose rows are those of the training part of a split."""
        name = type(scorer).__name__
        if split is None:
            raise ParameterError(
                f"a {name} knows rows and no ids: give the Split whose training part has its rows"
            )
        train = split.train
        sizes = (getattr(scorer, "n_users", train.n_users), scorer.n_items)
        if sizes != (train.n_users, train.n_items):
            raise DataError(
                f"the {name} has {sizes[0]:,} users and {sizes[1]:,} items, the split"
                f" {train.n_users:,} and {train.n_items:,}; give the split it was trained on"
            )
        popularity = np.bincount(train.items, minlength=train.n_items)
        seen = Csr.of(train)
        return cls(name, train.user_ids, train.item_ids, seen, scorer, popularity)

    def folded_in(self, model: Any, history: "Interactions") -> "Subject":
        """Return the same model for users who are known by their histories alone.

        Their numbers are their rows in the history's vocabulary, so that lists of them, and models
        that know other items, are ranked among the same candidates.

        Raises
        ------
        Unsupported
            The model cannot fold in.
        DataError
            It was trained on some of the users, or knows no item of any history.
        """
        if not hasattr(model, "folded_in"):
            raise Unsupported(
                f"{self.name} cannot be evaluated on users held out whole: it does not fold in"
            )
        trained = self.user_ids.encode(history.compact().user_ids.values)
        n_trained = int((self.seen.counts[trained[trained >= 0]] > 0).sum())
        if n_trained:
            raise DataError(
                f"{self.name} was trained on {n_trained:,} of the users held out whole; train it on"
                " the training part of this split"
            )
        known, _ = history.align(history.user_ids, self.item_ids)
        if len(known) == 0:
            raise DataError(f"{self.name} knows no item of the histories of the users held out")
        known, _ = known.align(known.compact().user_ids, self.item_ids)
        rows = Csr.of(known)
        scorer = model.folded_in(rows, known.weights)
        return self._replace(
            user_ids=known.user_ids,
            seen=rows,
            scorer=scorer,
            unseen_valid=0,
            marked_valid=False,
            numbers=history.user_ids.encode(known.user_ids.values).astype(np.int64),
            validated=None,
        )


def is_model(source: Any) -> bool:
    """Tell whether this is a model, trained or not."""
    names, own = ("scorer", "seen", "user_ids", "item_ids"), getattr(source, "__dict__", {})
    return all(hasattr(type(source), name) or name in own for name in names)


def is_scorer(source: Any) -> bool:
    """Tell whether this ranks and scores rows."""
    return all(hasattr(source, name) for name in ("ranks", "score", "n_items"))


def validation_of(provenance: dict[str, Any], n_seen: int) -> tuple[int, bool]:
    """Return how many validation pairs are not among the seen ones, and whether they are there."""
    valid, train = provenance.get("valid"), provenance.get("train")
    if not valid or not train:
        return 0, False
    learned = train["pairs"] + sum(day["pairs"] for day in provenance.get("updates", ()))
    marked = n_seen >= learned + valid["pairs"]
    return (0 if marked else valid["pairs"]), marked
