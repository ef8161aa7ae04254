"""iALS: matrix factorisation of all cells, weighted (Hu, Koren and Volinsky, ICDM 2008)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

import numpy as np
from threadpoolctl import threadpool_limits

from trimetric import counter
from trimetric.data.interactions import Interactions
from trimetric.engine.rows import padded_table
from trimetric.engine.threads import thread_count
from trimetric.errors import Diverged, MissingExtra, ParameterError
from trimetric.models.closed_form import ClosedForm
from trimetric.models.config import Config, Limits, Seed, Tune
from trimetric.models.saved import Stored
from trimetric.space.inner_product import SOLVED, InnerProduct
from trimetric.space.scorer import Scorer
from trimetric.space.solved_users import Ridge

_INSTALL = "pip install 'trimetric[peers]'"


@dataclass(frozen=True)
class IALSConfig(Config):
    """Settings of iALS."""

    dim: Annotated[
        int, Limits(1, 4096, "64-256 suits most data"), Tune(choices=(32, 64, 128, 256))
    ] = 128
    """Columns of the factors, 1..4096."""
    reg: Annotated[
        float, Limits(0.0001, 1_000_000, "10-300 suits most data"), Tune(1, 500, log=True)
    ] = 100.0
    """Weight of ‖α‖² and ‖β‖² of each row, .0001..1000000."""
    alpha: Annotated[
        float,
        Limits(0, 1_000_000, "2-50 suits most data", above=True),
        Tune(1, 100, log=True),
    ] = 30.0
    """Weight of a cell with an interaction; one without weighs 1. Above 0 up to 1000000."""
    iterations: Annotated[int, Limits(1, 10_000, "10-30 suits most data")] = 15
    """Times that the users' factors, then the items', are solved for, 1..10000."""
    seed: Seed = 0
    """Any integer of 64 bits."""


class IALS(ClosedForm):
    """Alternating least squares: Σ c_uv (y_uv − α_u·β_v)² + reg·(Σ‖α_u‖² + Σ‖β_v‖²) over all cells.

    y is 1 with an interaction and 0 without, c then `alpha` and 1; with weights 1 + (alpha − 1)·w,
    their confidence. The library `implicit` solves
    for the rows, by three steps of conjugate gradients each (Takács, Pilászy and Tikk, RecSys 2011)
    from where they stood; the first values, N(0, 1/dim), are ours. Each row is solved by one thread
    with a single-threaded BLAS, so that the number of threads does not change a bit; the BLAS of
    another machine, or another version of `implicit`, may round differently.

    A new user's factors are the exact solution of their own row. What each of a user's items adds
    to a score is the term of that item in the solution (Hu, Koren and Volinsky, section 5): the
    terms sum to the score of a new user; of a trained user a small rest is left (a thousandth on
    ml_100k), since items are solved for after users, and three steps are not exact. Items, and
    users, are alike by the cosine of their factors.

    Parameters
    ----------
    dim : int, default 128
        Columns of the factors, 1..4096.
    reg : float, default 100.0
        Weight of ‖α‖² and ‖β‖² of each row, .0001..1000000.
    alpha : float, default 30.0
        Weight of a cell with an interaction; one without weighs 1. Above 0 up to 1000000.
    iterations : int, default 15
        Times that the users' factors, then the items', are solved for, 1..10000.
    seed : int, default 0
        Any integer of 64 bits.
    """

    if TYPE_CHECKING:  # written by tools/signatures

        def __init__(
            self,
            *,
            dim: int = 128,
            reg: float = 100.0,
            alpha: float = 30.0,
            iterations: int = 15,
            seed: int = 0,
        ) -> None: ...

    name: ClassVar[str] = "ials"
    takes_weights = True
    capabilities = SOLVED
    Config: ClassVar[type[Config]] = IALSConfig
    config: IALSConfig

    @property
    def user_factors(self) -> np.ndarray:
        """Factors α, float32 (n_users, dim), in the order of `user_ids`."""
        return cast(InnerProduct, self.scorer).user_factors

    @property
    def item_factors(self) -> np.ndarray:
        """Factors β, float32 (n_items, dim), in the order of `item_ids`."""
        return cast(InnerProduct, self.scorer).item_factors

    def memory(self, data: Interactions) -> int:
        """Return the size of the factors."""
        _solver()
        return 4 * self.config.dim * (data.n_users + data.n_items)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the factors."""
        return {"user_factors": self.user_factors, "item_factors": self.item_factors}

    def restore(self, stored: Stored) -> Scorer:
        """Return the scorer of saved factors."""
        names = ("user_factors", "item_factors")
        stored.check_tables(names, self.config.dim)
        return self._scorer(stored.table(names), stored.n_users)

    def learn(self, data: Interactions) -> Scorer:
        """Solve for the factors."""
        import scipy.sparse

        settings, shape = self.config, (data.n_users, data.n_items)
        confidence = self._confidence(data)
        liked = scipy.sparse.csr_matrix(
            (confidence, data.items, data.indptr), shape=shape, copy=True
        )
        solve, failure = _solver()
        with threadpool_limits(1, user_api="blas"):
            solver = solve(
                factors=settings.dim,
                regularization=settings.reg,
                alpha=1.0,
                iterations=settings.iterations,
                num_threads=thread_count(),
            )
            solver.user_factors, solver.item_factors = self._start(*shape)
            try:
                solver.fit(liked, show_progress=False)
            except failure as error:
                raise Diverged(
                    f"ials met NaN with reg {settings.reg} and alpha {settings.alpha};"
                    " a larger reg or a smaller alpha helps"
                ) from error
        table = padded_table(np.concatenate([solver.user_factors, solver.item_factors]))
        return self._scorer(table, data.n_users)

    def _scorer(self, table: np.ndarray, n_users: int) -> Scorer:
        rule = Ridge(self.config.alpha, self.config.reg)
        return InnerProduct(table, n_users, self.config.dim, rule)

    def _confidence(self, data: Interactions) -> np.ndarray:
        """Return c of each interaction, float32 (n,)."""
        alpha = np.float32(self.config.alpha)
        if data.weights is None:
            return np.full(len(data), alpha)
        if alpha <= 1:
            raise ParameterError(
                f"ials with weights needs alpha above 1, got {self.config.alpha:g}: an interaction"
                " must count more than a cell without one"
            )
        return 1 + (alpha - 1) * data.weights

    def _start(self, *rows: int) -> list[np.ndarray]:
        """Return the first factors of the users and of the items, drawn from N(0, 1/dim)."""
        dim, seed = self.config.dim, self.config.seed
        draws = [counter.normal(counter.key(seed, side), (n, dim)) for side, n in enumerate(rows)]
        return [(draw * dim**-0.5).astype(np.float32) for draw in draws]


def _solver() -> tuple[Any, type[Exception]]:
    """Return the solver of `implicit` for processors, and the error it fails with.

    Raises
    ------
    MissingExtra
        It is not installed.
    """
    try:
        from implicit.cpu.als import AlternatingLeastSquares
        from implicit.recommender_base import ModelFitError
    except ImportError:
        raise MissingExtra(
            f"ials needs the library implicit, which is not installed: {_INSTALL}"
        ) from None
    return AlternatingLeastSquares, ModelFitError
