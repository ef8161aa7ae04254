"""Why an item is recommended where its score is a sum over what the user has.

Each of the user's items adds its part; taking one away leaves the score of a user without it, so
that what-ifs are as many new users.
"""

import numpy as np

from trimetric.space.explained import (
    ExplainedUser,
    ExplainOptions,
    counterfactual_of,
    hidden_from,
    popularity_of,
    ranks_of,
    ranks_without,
    scores_of,
)
from trimetric.space.explanation import Explanation, Reason
from trimetric.space.known import Known
from trimetric.space.scorer import Scorer

ROUNDING = 1e-5


def explain_sum(
    scorer: Scorer,
    known: Known,
    model: str,
    user: ExplainedUser,
    item: int,
    options: ExplainOptions,
) -> Explanation:
    """Explain an item, by row, to a user; `model` is the model's name."""
    ids, n = known.item_ids.values, scorer.n_items
    scores = scores_of(scorer, user)
    hidden, seen = hidden_from(known, user, item)
    adds = scorer.contributions(item, user.items, user.weights)
    owned, score = user.items, float(scores[item])
    summed = np.zeros(len(owned)) if adds is None else adds
    first = np.argsort(-summed, kind="stable")
    first = first[summed[first] != 0]
    rank_without, counterfactual = {}, None
    can_place = bool({"new users", "fold-in"} & scorer.capabilities)
    if options.examine and not seen and len(owned) > 1 and len(first) and can_place:
        examined = first[: options.examine]
        ranks = ranks_without(scorer, user, item, examined, hidden)
        rank_without = dict(zip(examined.tolist(), ranks[1:].tolist(), strict=True))
        counterfactual = counterfactual_of(ids, owned[examined], ranks, options.k, len(owned))
    own = score - float(summed.sum())
    if adds is not None and abs(own) <= ROUNDING * max(abs(score), float(np.abs(summed).sum())):
        own = 0.0
    return Explanation(
        model=model,
        user=None if user.row is None else known.user_ids.values[user.row],
        item=ids[item],
        by="count" if adds is None else "sum",
        score=score,
        d2=None,
        rank=int(ranks_of(scores[None], item, hidden)[0]),
        candidates=int(n - hidden.sum()),
        k=options.k,
        seen=seen,
        popularity=popularity_of(known, item),
        reasons=tuple(
            Reason(ids[int(owned[at])], None, None, rank_without.get(at), float(summed[at]))
            for at in first[: options.reasons].tolist()
        ),
        own=own,
        triple=None,
        counterfactual=counterfactual,
    )
