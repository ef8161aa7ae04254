"""Honest evaluation: ranks of held-out items, and the metrics that follow from them."""

from trimetric.evaluation.metrics import Metric, Ranks, metric
from trimetric.evaluation.protocols import (
    EvaluationProtocol,
    FullRanking,
    SampledCandidates,
    Task,
    protocol,
)
from trimetric.evaluation.ranker import Ranker
from trimetric.evaluation.result import Counts, Result
from trimetric.evaluation.run import evaluate
from trimetric.evaluation.validation import validator

__all__ = [
    "Counts",
    "EvaluationProtocol",
    "FullRanking",
    "Metric",
    "Ranker",
    "Ranks",
    "Result",
    "SampledCandidates",
    "Task",
    "evaluate",
    "metric",
    "protocol",
    "validator",
]
