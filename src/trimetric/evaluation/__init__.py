"""Honest evaluation: ranks of held-out items, and the metrics that follow from them."""

from trimetric.evaluation.cross_validation import CrossValidation, cross_validate
from trimetric.evaluation.list_ranks import ListCounts, ListRanking
from trimetric.evaluation.metrics import Metric, Ranks, metric
from trimetric.evaluation.names import protocol
from trimetric.evaluation.protocols import (
    EvaluationProtocol,
    FullRanking,
    SampledCandidates,
    Task,
)
from trimetric.evaluation.ranker import Ranker, RankingModel
from trimetric.evaluation.released import (
    AsReleased,
    BestPerMetric,
    leaked_pool,
    released_data,
)
from trimetric.evaluation.result import Counts, Result
from trimetric.evaluation.run import evaluate
from trimetric.evaluation.significance import Difference, compare, holm, spread
from trimetric.evaluation.validation import validator

__all__ = [
    "AsReleased",
    "BestPerMetric",
    "Counts",
    "CrossValidation",
    "Difference",
    "EvaluationProtocol",
    "FullRanking",
    "ListCounts",
    "ListRanking",
    "Metric",
    "Ranker",
    "RankingModel",
    "Ranks",
    "Result",
    "SampledCandidates",
    "Task",
    "compare",
    "cross_validate",
    "evaluate",
    "holm",
    "leaked_pool",
    "metric",
    "protocol",
    "released_data",
    "spread",
    "validator",
]
