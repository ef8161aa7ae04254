"""Memory, disk and time of a run before it is started, and in how many parts to train.

The model is fitted on samples of users drawn by a hash, under the vocabulary of all items, with the
real trainer and the real ranking; what is measured on two sizes is continued along a line.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from trimetric import counter, notebook
from trimetric.data.ids import Vocabulary
from trimetric.data.interactions import Interactions
from trimetric.engine.threads import processors, thread_count
from trimetric.engine.threads import threads as limited_threads
from trimetric.errors import DataError, ParameterError, Unsupported
from trimetric.evaluation import metrics
from trimetric.experiments.machine import Reading, available_memory, watched
from trimetric.experiments.measure import TINY, Costs, Sample, measure
from trimetric.experiments.tune import budget
from trimetric.keywords import check_count
from trimetric.models import create
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.temperature import TRIAL_SHARE, TRIED
from trimetric.models.training_data import check_partitions
from trimetric.scale.catalogue import Catalogue, users_with
from trimetric.scale.catalogue import Sample as Drawn
from trimetric.scale.prepared import Prepared

SMALL = 40_000  # interactions of the first sample
LARGEST = 2_000_000  # of the second
AIM = 1.5  # seconds that an epoch of the second sample should take
USED = 0.8  # of the available memory that advice counts on
MOST_PARTS = 4096
PAIR_BYTES = 48  # of an interaction of a user part, while parts are saved
_STREAM = 301


@dataclass(frozen=True)
class Cost:
    """What a run takes.

    Attributes
    ----------
    memory : int
        Peak memory of all its processes, in bytes.
    disk : int
        Bytes that it writes.
    seconds : float
        On this machine; of training, if it is never stopped early.
    """

    memory: int
    disk: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{_bytes(self.memory)} of memory, {_bytes(self.disk)} on disk,"
            f" {_duration(self.seconds)}"
        )


@dataclass(frozen=True)
class Estimate:
    """What runs on some data would take.

    Attributes
    ----------
    model : str
    users, items, interactions : int
    partitions, threads : int
        With which `fit` was estimated.
    available : int
        Bytes of memory to count on.
    fit, compare, recommend : Cost
        Of one `fit`, with a tenth held out for validation; of comparing the model alone at the
        small budget, with three seeds; of lists for all users.
    out_of_core : Cost
        Of `fit` with parts in files, in as many parts as advised; time is that of `fit`, and disk
        that of prepared parts, rows and the model.
    advice : int
        Parts to train in: 1 where all fits into memory; 0 where no number of parts is enough.
    """

    model: str
    users: int
    items: int
    interactions: int
    partitions: int
    threads: int
    available: int
    fit: Cost
    out_of_core: Cost
    compare: Cost
    recommend: Cost
    advice: int

    def to_dict(self) -> dict[str, Any]:
        """Return all as JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join([
            f"{self.interactions:,} interactions of {self.users:,} users with {self.items:,} items,"
            f" {self.model}, {self.threads} threads",
            f"fit: {self.fit}, if training is never stopped early",
            f"compare --models {self.model}: {self.compare}",
            f"recommend --all: {self.recommend}",
            self._advice(),
        ])  # fmt: skip

    def _repr_html_(self) -> str:
        """Show the runs and what each takes, then the advice."""
        data, *runs, advice = str(self).splitlines()
        rows = (line.partition(": ")[::2] for line in runs)
        return notebook.card(data, {}, notebook.table((), rows), notebook.note(advice))

    def _advice(self) -> str:
        there = f"{_bytes(self.available)} are available"
        if self.advice == 1:
            return f"{there}: train in one piece"
        if not self.advice:
            return f"{there}: too little in any number of parts; lower dim, or use a larger machine"
        return (
            f"{there}: `trimetric data prepare --partitions {self.advice}` and train in files"
            f" ({self.out_of_core})"
        )


def estimate(
    data: Any,
    model: str = "centroid",
    *,
    partitions: int = 1,
    k: int = 10,
    memory: int | None = None,
    threads: int | None = None,
    reading: Reading | None = None,
    log: Callable[[str], None] = lambda text: None,
    **settings: Any,
) -> Estimate:
    """Estimate memory, disk and time of fit, compare and recommend for all users.

    Takes some seconds, in which the model is trained on samples.

    Parameters
    ----------
    data : Prepared, Interactions, or what `Interactions.of` takes
    model : str
        One that is trained in epochs.
    partitions : int
        Parts that `fit` trains in, in memory.
    k : int
        Length of lists.
    memory : int, optional
        Bytes to count on in the advice; what the system says is available unless given.
    threads : int, optional
        See `trimetric.threads`.
    reading : Reading, optional
        What reading the data took, where that was done before.
    log : callable
        Receives a line for each sample.
    **settings
        Of the model.

    Returns
    -------
    Estimate

    Raises
    ------
    ParameterError
        A number is out of range, or the model or a setting is unknown.
    Unsupported
        The model is not trained in epochs, or cannot be trained in parts.
    DataError
        There are too few interactions to measure anything.
    """
    untrained = create(model, **settings)
    if not isinstance(untrained, EpochTrained):
        raise Unsupported(
            f"{model} is not trained in epochs, and only such models are estimated; name centroid,"
            " sml, cml, bpr or another of them"
        )
    check_partitions(model, partitions, None, None)
    if memory is not None and memory < 1:
        raise ParameterError(f"memory must be at least 1 byte, got {memory}")
    check_count("k", k, "10 is usual")
    metrics.metric(untrained.config.metric)
    with watched() as read:
        prepared = isinstance(data, Prepared)
        whole = _sample_of(data) if prepared else Interactions.of(data)
    sizes = Sizes.of(data if prepared else whole)
    read = reading or read
    if len(whole) < 2:
        raise DataError(f"{whole.name} has {len(whole)} interactions, too few to measure anything")
    available = available_memory() if memory is None else memory
    with limited_threads(threads):
        count = thread_count()
    costs = _extrapolated(whole, sizes.pairs, model, settings, partitions, k, count, log)
    if not prepared:
        left = max(read.kept - _nbytes(whole), 0)  # the system does not get back all that was used
        costs = replace(costs, peak=max(costs.peak + left, read.peak))
    return _put_together(sizes, untrained, costs, partitions, count, available, read.seconds)


@dataclass(frozen=True)
class Sizes:
    """How much there is of what is trained on."""

    users: int
    items: int
    pairs: int

    @classmethod
    def of(cls, data: Any) -> "Sizes":
        """Return the sizes of interactions, in memory or prepared."""
        return cls(data.n_users, data.n_items, len(data))


def _sample_of(prepared: Prepared) -> Interactions:
    """Return users of prepared parts with about so many interactions as are measured."""
    catalogue = Catalogue.of(prepared)
    sample = Drawn.of(prepared, catalogue, users_with(prepared, LARGEST))
    return sample.interactions(catalogue, prepared.name)


def _nbytes(data: Interactions) -> int:
    arrays = (data.users, data.items, data.ratings, data.timestamps, data.labels, data.weights)
    return sum(array.nbytes for array in arrays if array is not None)


def _extrapolated(
    whole: Interactions,
    pairs: int,
    model: str,
    settings: dict[str, Any],
    partitions: int,
    k: int,
    threads: int,
    log: Callable[[str], None],
) -> Costs:
    """Measure a small and a larger sample, and continue along the line through them."""
    tiny = sampled(whole, TINY)

    def measured(pairs: int) -> Costs:
        data = sampled(whole, pairs)
        log(f"measuring {model} on {len(data):,} of {len(whole):,} interactions")
        return measure(Sample(data, tiny, model, settings, partitions, k), threads)

    small = measured(SMALL)
    if small.pairs == pairs:
        return measured(SMALL)  # kernels are compiled by now
    seconds = max(small.epoch + small.second_epoch, 1e-3)
    large = measured(int(min(max(small.pairs * AIM / seconds, 4 * SMALL), LARGEST)))
    if small.startup > 2 * large.startup:  # kernels were compiled, which takes memory too
        small = measured(SMALL)
    return line_through(small, large, pairs)


def sampled(data: Interactions, pairs: int) -> Interactions:
    """Return users drawn by a hash with about so many interactions, under all items."""
    if len(data) <= pairs:
        return data
    order = counter.permutation(counter.key(0, _STREAM), data.n_users)
    sizes = np.diff(data.indptr)
    users = np.sort(order[: 1 + int(np.searchsorted(np.cumsum(sizes[order]), pairs))])
    keep = np.zeros(data.n_users, dtype=bool)
    keep[users] = True
    part = data.take(keep[data.users])
    rows = np.searchsorted(users, part.users).astype(np.int32)
    return part.changed(user_ids=Vocabulary(data.user_ids.decode(users)), users=rows)


def line_through(small: Costs, large: Costs, pairs: int) -> Costs:
    """Return the costs of so many interactions; no cost falls with their number."""
    values = {}
    for name, last in asdict(large).items():
        first, span = asdict(small)[name], large.pairs - small.pairs
        slope = max((last - first) / span, 0) if span > 0 else 0
        if slope * small.pairs > first:  # what is fixed is not below nothing
            slope = last / large.pairs
        value = last + slope * (pairs - large.pairs)
        values[name] = value if isinstance(last, float) else round(value)
    kept = {"pairs": pairs, "startup": large.startup, "base": large.base}
    return Costs(**{**values, **kept})


def _put_together(
    sizes: Sizes,
    model: EpochTrained,
    costs: Costs,
    partitions: int,
    threads: int,
    available: int,
    reading: float,
) -> Estimate:
    fixed = costs.startup + reading
    trials = _trial_seconds(model, costs)
    once = _training_seconds(model, costs, model.config.epochs)
    fit = Cost(costs.peak, costs.model + costs.checkpoint, fixed + trials + once + costs.save)
    spend, seeds, workers = budget("small"), 3, processors()
    ratio = min(threads, workers)  # one thread each; measured on `threads`
    fits = (spend.trials + seeds) * (once + costs.validation) * ratio / workers + trials * ratio
    compare = Cost(
        costs.peak * min(workers, seeds) + costs.base, 20 * sizes.pairs, 2 * fixed + fits
    )

    def memory(parts: int) -> int:
        return costs.peak if parts == 1 else memory_in_files(model, sizes, costs, parts)

    advice = advised(memory, available)
    shown = max(advice, partitions, 2) if advice else MOST_PARTS
    return Estimate(
        model=model.name,
        users=sizes.users,
        items=sizes.items,
        interactions=sizes.pairs,
        partitions=partitions,
        threads=threads,
        available=available,
        fit=fit,
        out_of_core=Cost(memory(shown), 3 * costs.model + 12 * sizes.pairs, fit.seconds),
        compare=compare,
        recommend=Cost(costs.ranking_peak, costs.lists, costs.startup + costs.ranking),
        advice=advice,
    )


def _training_seconds(model: EpochTrained, costs: Costs, epochs: int) -> float:
    config: Any = model.config
    second = min(getattr(config, "reconstruction_epochs", 0), epochs)
    validations = ceil(epochs / config.validate_every)
    return (
        costs.prepare + epochs * costs.epoch + second * costs.second_epoch
        + validations * costs.validation
    )  # fmt: skip


def _trial_seconds(model: EpochTrained, costs: Costs) -> float:
    """Return the seconds of the short trials that find what is left open: see `models`."""
    params, epochs = model.get_params(), -(-model.config.epochs // TRIAL_SHARE)
    is_open = {name for name, value in params.items() if value is None}
    one = costs.prepare + epochs * costs.epoch + costs.validation
    seconds = len(TRIED) * one if "temperature" in is_open else 0.0
    both = "reconstruction" in is_open
    rounds = 2 if "kappa" in is_open else int(both)
    second = min(params.get("reconstruction_epochs", 0), epochs) * costs.second_epoch
    return seconds + rounds * (one + (second if both else 0.0) + 3 * costs.validation)


def advised(memory: Callable[[int], int], available: int) -> int:
    """Return the fewest parts, a power of two, that fit into most of the memory; 0 where none do.

    Parameters
    ----------
    memory : callable
        Gives the peak memory of training in so many parts, in bytes.
    available : int
        Bytes.
    """
    powers = (2**n for n in range(MOST_PARTS.bit_length()))
    return next((p for p in powers if memory(p) <= USED * available), 0)


def memory_in_files(model: EpochTrained, sizes: Sizes, costs: Costs, partitions: int) -> int:
    """Return about the peak memory of training with parts in files, in bytes.

    Four times the rows of a user part, three times those of all items, which saving needs, and
    what the interactions of a user part take when they are put in order. Models that cannot be
    trained in parts take what they take whole.
    """
    try:
        trainer = model.trainer_in_parts(sizes.items, partitions, {})
    except Unsupported:
        return costs.peak
    users = 4 * trainer.users.total * sizes.users / partitions
    items = 4 * trainer.items.total * sizes.items
    return round(costs.base + 4 * users + 3 * items + PAIR_BYTES * sizes.pairs / partitions)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.2g} seconds"
