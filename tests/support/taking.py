"""A model with what a learner has learned so far."""

from typing import Any

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.models.fitted import Fitted
from trimetric.models.recommender import Recommender
from trimetric.space.known import Known


def take(model: Recommender, learner: Any, data: tm.Interactions) -> None:
    """Let the model answer by what the learner holds, as it changes."""
    known = Known(data.user_ids, data.item_ids, Csr.of(data))
    model._fitted = Fitted(known, model.scorer_of(learner))
