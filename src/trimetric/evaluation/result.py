"""The outcome of an evaluation, with what is needed to trust and repeat it."""

from dataclasses import asdict, dataclass, is_dataclass, replace
from functools import cached_property
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from trimetric import frames, notebook
from trimetric.evaluation.list_ranks import ListRanking
from trimetric.evaluation.metrics import FORMER, Metric, Ranks, metric
from trimetric.evaluation.protocols import EvaluationProtocol, FullRanking

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table

    from trimetric.data.ids import Vocabulary

LABELS = {"map": "MAP", "mrr": "MRR", "auc": "AUC", "ndcg": "NDCG", "ndcg_full": "NDCG, full"}
LABELS |= {"precision": "Precision", "recall": "Recall", "hit_rate": "Hit rate"}
LABELS |= {"micro_recall": "Micro recall"}


@dataclass(frozen=True)
class Counts:
    """How much was evaluated and what was left out.

    Parameters
    ----------
    users, held_out : int
        Users with held-out interactions that could be ranked, and these interactions.
    unknown_users, unknown_items : int
        Users and items of the data that the model does not know: they have no training
        interactions.
    dropped_unknown : int
        Interactions left out because of them.
    dropped_seen : int
        Interactions left out because the pair was in the training data.
    dropped_valid : int
        Interactions left out because the model was validated on them, or the split validates by
        them: what chose a model is no test of it.
    cold_items : int
        Held-out interactions with items that nobody has in the training data. They count, and are
        hardly ever found.
    """

    users: int
    held_out: int
    unknown_users: int = 0
    unknown_items: int = 0
    dropped_unknown: int = 0
    dropped_seen: int = 0
    dropped_valid: int = 0
    cold_items: int = 0

    def lines(self) -> list[str]:
        """Say it in sentences, only as many as there is something to say."""
        lines = [f"{self.users:,} users, {self.held_out:,} held-out interactions"]
        if self.dropped_unknown:
            lines.append(
                f"left out {self.dropped_unknown:,} interactions: the model does not know"
                f" {self.unknown_users:,} of the users and {self.unknown_items:,} of the items"
            )
        if self.dropped_seen:
            lines.append(f"left out {self.dropped_seen:,} interactions that training had seen")
        if self.dropped_valid:
            lines.append(
                f"left out {self.dropped_valid:,} interactions that the model was validated on"
            )
        if self.cold_items:
            lines.append(
                f"{self.cold_items:,} of them are of items without training interactions; they"
                " count, and are hardly ever found"
            )
        return lines


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The outcome of `evaluate`.

    Attributes
    ----------
    model : str
        What was evaluated.
    protocol : EvaluationProtocol, or ListRanking for lists made elsewhere
    part : str
        "test" or "valid".
    counts : Counts
    data : dict
        Name, fingerprints and split of the data.
    versions : dict
        Versions of trimetric, Python and NumPy.
    ranks : Ranks
        Of the held-out items; everything else follows from them.
    users : int32[n_users]
        The rows of the users of `ranks` in `vocabulary`.
    remarks : tuple of str
        What a reader of the figures must know beside `protocol.notes`.
    lists : dict or None
        What was met in lists made elsewhere: see `ListCounts`.
    asked : tuple of str
        The metrics that were asked for; if empty, those of the protocol.
    """

    model: str
    protocol: EvaluationProtocol | ListRanking
    part: str
    counts: Counts
    data: dict[str, Any]
    versions: dict[str, str]
    ranks: Ranks
    users: np.ndarray
    vocabulary: "Vocabulary"
    remarks: tuple[str, ...] = ()
    lists: dict[str, Any] | None = None
    asked: tuple[str, ...] = ()

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The value of each metric that was asked for, or of the protocol's.

        It is NaN where no user counts.
        """
        return {m.name: m.mean(self.ranks) for m in self._listed}

    @property
    def _listed(self) -> list[Metric]:
        return [self._metric(name) for name in self.asked] or self.protocol.metrics

    def __getitem__(self, name: str) -> float:
        """Return any metric by name, also one that the protocol does not list.

        Its users are those who count in listed ones: see `at_least_k` and `min_held_out`.
        """
        return self._metric(name).mean(self.ranks)

    def values(self, name: str) -> np.ndarray:
        """Return a metric for each of `user_ids`: float64[n_users], NaN for who does not count."""
        return self._metric(name).per_user(self.ranks)

    @property
    def user_ids(self) -> "pl.Series":
        """The original ids of the users evaluated."""
        return self.vocabulary.decode(self.users)

    def to_frame(self) -> "pl.DataFrame":
        """Return the metrics as a frame: metric, k (null for the whole list) and value.

        It is of Polars, or of pandas after `set_output("pandas")`.
        """
        import polars as pl

        parts = [(*name.partition("@"), value) for name, value in self.reported.items()]
        columns = {
            "metric": [base for base, _, _, _ in parts],
            "k": pl.Series([int(k) if k else None for _, _, k, _ in parts], dtype=pl.Int64),
            "value": pl.Series([value for *_, value in parts], dtype=pl.Float64),
        }
        return frames.given_back(pl.DataFrame(columns))

    def per_user(self, *names: str) -> "pl.DataFrame":
        """Return a frame of user, held_out, candidates and metrics: `names`, or all reported.

        It is of Polars, or of pandas after `set_output("pandas")`.
        """
        import polars as pl

        columns = {"user": self.user_ids, "held_out": self.ranks.held}
        columns["candidates"] = self.ranks.n_candidates
        columns |= {name: self.values(name) for name in names or self.reported}
        return frames.given_back(pl.DataFrame(columns))

    def _metric(self, name: str) -> Metric:
        definition, protocol = metric(name), self.protocol
        if isinstance(protocol, ListRanking):
            protocol.check(definition)
            protocol = protocol.base
        listed = (m for m in self.protocol.metrics if m.name == definition.name)
        if isinstance(protocol, FullRanking):
            cutoff = definition.name.partition("@")[2]
            fewest = protocol.fewest(int(cutoff) if cutoff else None)
            definition = replace(definition, min_held=fewest)
        return next(listed, definition)

    @property
    def reported(self) -> dict[str, float]:
        """The metrics without former names."""
        return {n: v for n, v in self.metrics.items() if n.split("@")[0] not in FORMER}

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures must know, in sentences; empty if all is as described."""
        return [*self.protocol.notes(self.ranks), *self.remarks]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the users' own values, ready for JSON; NaN becomes None."""
        settings: dict[str, Any] = asdict(self.protocol) if is_dataclass(self.protocol) else {}
        if isinstance(self.protocol, ListRanking):
            settings = self.protocol.settings()
        lists = {} if self.lists is None else {"lists": self.lists}
        return {
            "model": self.model,
            "part": self.part,
            "protocol": {
                "name": self.protocol.name,
                "description": self.protocol.describe(),
                **{key: list(v) if isinstance(v, tuple) else v for key, v in settings.items()},
            },
            "metrics": {name: None if isnan(v) else v for name, v in self.metrics.items()},
            "users_counted": {
                m.name: int(np.count_nonzero(~np.isnan(m.per_user(self.ranks))))
                for m in self._listed
            },
            "counts": asdict(self.counts),
            "notes": self.notes,
            "data": self.data,
            "versions": self.versions,
            **lists,
        }

    def table(self) -> "Table":
        """Lay the metrics out for people: a row for each, a column for each cutoff."""
        from rich.table import Table

        metrics = self.reported
        cutoffs = list(dict.fromkeys(n.split("@")[1] for n in metrics if "@" in n))
        title = f"{self.model}, {self.part}, {self.protocol.name}"
        caption = [self.protocol.describe(), *self.counts.lines(), *self.notes]
        table = Table(title=title, caption="\n".join(caption), caption_justify="left", min_width=72)
        table.add_column("metric")
        for cutoff in cutoffs:
            table.add_column(f"@{cutoff}", justify="right")
        whole = [name for name in metrics if "@" not in name]
        if whole:
            table.add_column("whole list", justify="right")
        for base in dict.fromkeys(name.split("@")[0] for name in metrics):
            names = [*(f"{base}@{k}" for k in cutoffs), *([base] if whole else [])]
            cells = [metrics.get(name) for name in names]
            shown = ("" if v is None else "-" if isnan(v) else f"{v:.4f}" for v in cells)
            table.add_row(LABELS.get(base, base), *shown)
        return table

    def __str__(self) -> str:
        """Return the table as text, 100 columns wide."""
        from io import StringIO

        from rich.console import Console

        page = StringIO()
        console = Console(file=page, width=100, color_system=None, markup=False, emoji=False)
        console.print(self.table())
        return "\n".join(line.rstrip() for line in page.getvalue().rstrip().splitlines())

    def _repr_html_(self) -> str:
        """Show the metrics by cutoff, then what they mean and what was left out."""
        metrics = self.reported
        cutoffs = list(dict.fromkeys(n.split("@")[1] for n in metrics if "@" in n))
        rows: list[list[Any]] = [
            [LABELS.get(base, base)]
            + [metrics.get(name, "") for name in [*(f"{base}@{k}" for k in cutoffs), base]]
            for base in dict.fromkeys(name.split("@")[0] for name in metrics)
        ]
        table = notebook.table(["metric", *(f"@{k}" for k in cutoffs), "whole list"], rows)
        notes = [self.protocol.describe(), *self.counts.lines(), *self.notes]
        title = f"{self.model}, {self.part}, {self.protocol.name}"
        return notebook.card(title, {}, table, *map(notebook.note, notes))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value:.4f}" for name, value in self.reported.items())
        where = f"{self.model}, {self.part}, {self.protocol.name}"
        return f"Result({where}, {self.counts.users:,} users: {values})"
