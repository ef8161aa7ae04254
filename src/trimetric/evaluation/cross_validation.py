"""Train and evaluate a model on each fold of its data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trimetric import notebook
from trimetric.errors import ParameterError
from trimetric.evaluation.metrics import metric
from trimetric.evaluation.protocols import EvaluationProtocol
from trimetric.evaluation.result import Result
from trimetric.evaluation.run import evaluate
from trimetric.evaluation.significance import spread

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class CrossValidation:
    """The outcome of `cross_validate`.

    Attributes
    ----------
    results : list of Result
        One for each fold.
    """

    results: list[Result]

    def __getitem__(self, name: str) -> tuple[float, float]:
        """Return the mean and the sample standard deviation of a metric over the folds."""
        return spread([result[metric(name).name] for result in self.results])

    def to_frame(self) -> "pl.DataFrame":
        """Return a frame of metric, mean, spread, and the value of each fold."""
        import polars as pl

        names = list(self.results[0].reported)
        columns: dict[str, Any] = {"metric": names}
        columns["mean"], columns["spread"] = zip(*(self[name] for name in names), strict=True)
        for number, result in enumerate(self.results, 1):
            columns[f"fold {number}"] = [result[name] for name in names]
        return pl.DataFrame(columns)

    def __repr__(self) -> str:
        names = self.results[0].reported
        shown = ", ".join("{}={:.4f} ± {:.4f}".format(name, *self[name]) for name in names)
        return f"CrossValidation({len(self.results)} folds: {shown})"

    def _repr_html_(self) -> str:
        """Show the frame of all metrics."""
        frame, first = self.to_frame(), self.results[0]
        title = f"{first.model}, {len(self.results)} folds, {first.protocol.name}"
        return notebook.card(title, {}, notebook.table(frame.columns, frame.iter_rows()))


def cross_validate(
    model: Any,
    data: Any,
    folds: int = 5,
    protocol: EvaluationProtocol | str | None = None,
    *,
    valid: float = 0.1,
    seed: int = 0,
) -> CrossValidation:
    """Train a model with the same settings on each fold's training part, and evaluate it.

    Parameters
    ----------
    model : Recommender
        Its settings count; it stays as it is, trained or not.
    data : Interactions, or what `Interactions.of` reads
    folds : int
        See `kfold`.
    protocol : protocol or str, optional
        See `evaluate`.
    valid : float
        Share of the pairs outside the fold that early stopping may look at; they are no candidates
        of the test. 0 trains without.
    seed : int
        Of the folds; the model has its own.

    Raises
    ------
    ParameterError
        This is no model, or `folds` or `valid` is out of range.
    DataError, Diverged
        See `fit` and `evaluate`.
    """
    from trimetric.data.user_split import kfold

    if not all(hasattr(model, name) for name in ("fit", "get_params")) or isinstance(model, type):
        raise ParameterError(f"model must be a model such as SML(), got {model!r:.80}")
    results, variant = [], getattr(model, "variant", None)
    settings = model.get_params() | ({"variant": variant} if variant else {})
    for split in kfold(data, folds, valid=valid, seed=seed):
        fresh = type(model)(**settings)
        fresh.fit(split.train, split.valid, progress=False)
        results.append(evaluate(fresh, split, protocol))
    return CrossValidation(results)
