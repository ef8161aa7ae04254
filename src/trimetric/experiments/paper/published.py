"""Every figure of Li et al., "Symmetric Metric Learning with Adaptive Margin for Recommendation".

The tables stand as the paper prints them, K = 5 and then K = 10, and are given out as dictionaries
keyed by the names of models and metrics in use here. Data sets are "instant-video", "imdb" and
"yelp".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from trimetric.errors import ParameterError

_T = TypeVar("_T")

PAPER = "Li et al., AAAI 2020"
PAPER_HR = "HR (paper)"
DATASETS = ("instant-video", "imdb", "yelp")
METRICS = (
    *("precision@5", "micro_recall@5", "ndcg@5"),
    *("precision@10", "micro_recall@10", "ndcg@10"),
)
"""What the paper's tables have, in its order; its HR@K is `micro_recall@K`: see `shown`."""

# Users, items, interactions.
TABLE1 = {
    "instant-video": (4902, 1683, 36486),
    "imdb": (1310, 1635, 84919),
    "yelp": (1631, 1633, 78966),
}

SPARSITY = {"instant-video": 0.9956, "imdb": 0.9604, "yelp": 0.9704}
"""As printed in Table 1."""

_TRIPLETS = "Σ [d(u,v) − d(u,v⁻) + m]₊"
TABLE2 = {
    "bpr": ("α_u·β_v", "−Σ 1/(1 + exp(−d(u,v) + d(u,v⁻)))"),
    "mlp": ("σ(f*(α_u, β_v))", "−Σ y·log d(u,v) + (1 − y)·log(1 − d(u,v))"),
    "ncf": ("σ(f*(α_u, β_v))", "−Σ y·log d(u,v) + (1 − y)·log(1 − d(u,v))"),
    "fml": ("‖α_u − β_v‖²", "Σ w·‖y − d(u,v)‖²"),
    "transcf": ("‖α_u + r_{u's neighbours, v's neighbours} − β_v‖²", _TRIPLETS),
    "lrml": ("‖α_u + r_{u,v} − β_v‖²", _TRIPLETS),
    "cml": ("‖α_u − β_v‖²", _TRIPLETS),
    "sml": (
        "‖α_u − β_v‖²",
        "Σ ([d(u,v) − d(u,v⁻) + m_u]₊ + λ·[d(u,v) − d(v,v⁻) + n_v]₊) + γ·L_AM",
    ),
}
"""Distance and loss of each method, as printed."""

# P, HR and NDCG of Instant Video, IMDB and Yelp.
_TABLE3_AT_5 = """
bpr        .1999 .6918 .7196  .6202 .4331 .8115  .5669 .5316 .8005
mlp        .1887 .6367 .6924  .4371 .3132 .5867  .4935 .4638 .6708
ncf        .2045 .6903 .7322  .6208 .4449 .8214  .5778 .5431 .8004
fml        .1994 .6728 .6713  .6032 .4323 .8029  .5847 .5495 .8094
transcf    .2113 .7059 .7497  .6387 .4577 .8390  .6038 .5675 .8215
lrml       .2047 .6908 .7364  .6424 .4604 .8440  .5990 .5630 .8196
cml        .2048 .6911 .7358  .6409 .4593 .8408  .6029 .5667 .8237
sml        .2166 .7309 .7698  .6735 .4827 .8755  .6277 .5900 .8518
"""
_TABLE3_AT_10 = """
bpr        .1011 .7198 .7396  .3529 .5561 .8111  .3322 .6433 .7793
mlp        .0950 .6426 .6931  .2850 .4087 .5758  .3010 .5678 .6828
ncf        .1065 .7188 .7405  .3858 .5529 .8214  .3328 .6255 .7752
fml        .1071 .7229 .6874  .3758 .5386 .8209  .3366 .6327 .7872
transcf    .1097 .7406 .7570  .4096 .5871 .8199  .3563 .6697 .8083
lrml       .1057 .7132 .7420  .4119 .5903 .8262  .3531 .6638 .8001
cml        .1055 .7118 .7408  .4100 .5876 .8205  .3539 .6653 .8133
sml        .1118 .7546 .7759  .4312 .6180 .8553  .3701 .6958 .8324
"""
# The last row is the paper's "base+s+u+p(all)".
_TABLE4_AT_5 = """
base       .2048 .6911 .7258  .6409 .4593 .8408  .6029 .5667 .8237
base+u     .2130 .7256 .7558  .6521 .4617 .8542  .6107 .5709 .8354
base+s     .2141 .7326 .7618  .6279 .4500 .8226  .6073 .5680 .8284
base+s+p   .2150 .7256 .7605  .6355 .4554 .8301  .6036 .5673 .8278
base+s+u   .2169 .7347 .7627  .6430 .4608 .8400  .6117 .5749 .8321
sml        .2166 .7309 .7698  .6735 .4827 .8755  .6277 .5900 .8518
"""
_TABLE4_AT_10 = """
base       .1055 .7118 .7308  .4100 .5876 .8205  .3539 .6653 .8133
base+u     .1112 .7506 .7724  .4209 .6075 .8342  .3603 .6761 .8178
base+s     .1126 .7600 .7708  .4025 .5768 .7998  .3570 .6711 .8153
base+s+p   .1121 .7568 .7686  .4063 .5823 .8061  .3575 .6721 .8117
base+s+u   .1128 .7614 .7713  .4158 .5960 .8229  .3598 .6761 .8164
sml        .1118 .7546 .7759  .4312 .6180 .8553  .3701 .6958 .8324
"""


@dataclass(frozen=True)
class Sweep:
    """What the text says of a curve whose values are not printed.

    Parameters
    ----------
    parameter : str
        The setting on the logarithmic axis.
    fixed : dict
        The other setting, held.
    optimum : float
        About where the best value is.
    weak_below, drops_above : float or None
        Below it there is little gain, above it a dramatic loss.
    text, source : str
    """

    parameter: str
    fixed: dict[str, float]
    optimum: float
    weak_below: float | None
    drops_above: float | None
    text: str
    source: str


@dataclass(frozen=True)
class Margins:
    """The ranges of learned margins that the text states for Figure 6."""

    users: tuple[float, float]
    items: tuple[float, float]
    source: str


@dataclass(frozen=True)
class Counterpart:
    """The published data set that one at hand is set beside.

    Parameters
    ----------
    dataset : str
        One of `DATASETS`.
    same : bool
        Whether both come from one collection with (nearly) all of it, so that values compare.
    note : str
        What differs.
    """

    dataset: str
    same: bool
    note: str


@dataclass(frozen=True)
class Oddity:
    """A place where the paper disagrees with itself."""

    source: str
    dataset: str
    model: str
    metric: str
    note: str


_SMALLER_IS_BETTER = "the best λ is about .01; larger values lose gradually"
_LAMBDA = {
    "instant-video": Sweep(
        "lam", {"gamma": 10.0}, 0.01, None, None, _SMALLER_IS_BETTER, f"{PAPER}, text on Figure 4"
    ),
    "imdb": Sweep(
        "lam", {"gamma": 0.1}, 0.01, None, None, _SMALLER_IS_BETTER, f"{PAPER}, text on Figure 4"
    ),
}
_GAMMA = {
    "instant-video": Sweep(
        *("gamma", {"lam": 0.01}, 10.0, 0.01, 100.0),
        "the best γ is about 10; below .01 HR gains little, above 100 it drops dramatically",
        f"{PAPER}, text on Figure 5",
    ),
    "imdb": Sweep(
        *("gamma", {"lam": 0.01}, 0.1, None, 100.0),
        "the best γ is about .1; above 100 HR drops dramatically",
        f"{PAPER}, text on Figure 5",
    ),
}
_MARGINS = {
    "instant-video": Margins((0.6, 1.0), (1.0, 1.0), f"{PAPER}, text on Figure 6"),
    "imdb": Margins((0.1, 0.5), (0.1, 0.3), f"{PAPER}, text on Figure 6"),
}

COUNTERPARTS = {
    "amazon_instant_video_5core": Counterpart(
        "instant-video",
        True,
        "the official 5-core release, 5,130 users × 1,685 items × 37,126 interactions; the paper"
        " filters it further to 4,902 × 1,683 × 36,486 in a way it does not publish",
    ),
    "imdb_tang2015": Counterpart(
        "imdb",
        True,
        "the files of Tang et al., ACL 2015, to which the paper points; 1,310 users × 1,635 items"
        " × 84,919 interactions in both",
    ),
    "yelp2013_tang2015": Counterpart(
        "yelp",
        True,
        "the files of Tang et al., ACL 2015, whose counts are the paper's; 1,631 users × 1,633"
        " items × 78,966 interactions in both",
    ),
    "yelp_core40": Counterpart(
        "yelp",
        False,
        "a stand-in: a 40-core sample of another round of the Yelp challenge, 1,355 users × 1,272"
        " items × 100,409 interactions; not the paper's data (1,631 × 1,633 × 78,966)",
    ),
    "imdb_tang2015_train_partial": Counterpart(
        "imdb",
        False,
        "a partial stand-in: 50,949 of the 84,919 interactions, without ratings, taken from"
        " training subsets made sparse on purpose; degrees are not those of the paper's data",
    ),
    "yelp2013_tang2015_train_partial": Counterpart(
        "yelp",
        False,
        "a partial stand-in: 43,200 of the 78,966 interactions, without ratings, taken from"
        " training subsets made sparse on purpose; degrees are not those of the paper's data",
    ),
}


def table3(dataset: str) -> dict[str, dict[str, float]]:
    """Return {model: {metric: value}} of the eight systems on one data set."""
    return _table(_TABLE3_AT_5, _TABLE3_AT_10, dataset)


def table4(dataset: str) -> dict[str, dict[str, float]]:
    """Return {model: {metric: value}} of the six ablations on one data set; all parts is "sml"."""
    return _table(_TABLE4_AT_5, _TABLE4_AT_10, dataset)


def shown(metric: str) -> str:
    """Return what a metric is called where the paper is cited: its HR@K is "HR (paper)@K".

    Elsewhere the name would be taken for the hit rate.
    """
    base, at, cutoff = metric.partition("@")
    return f"{PAPER_HR}{at}{cutoff}" if base == "micro_recall" else metric


def source(table: int) -> str:
    """Name where the values of a table are from."""
    return f"{PAPER}, Table {table}"


def figure4(dataset: str) -> Sweep:
    """Return what is stated of λ; for "instant-video" and "imdb" only."""
    return _stated(_LAMBDA, dataset, "Figure 4")


def figure5(dataset: str) -> Sweep:
    """Return what is stated of γ; for "instant-video" and "imdb" only."""
    return _stated(_GAMMA, dataset, "Figure 5")


def figure6(dataset: str) -> Margins:
    """Return what is stated of learned margins; for "instant-video" and "imdb" only."""
    return _stated(_MARGINS, dataset, "Figure 6")


def counterpart(name: str) -> Counterpart | None:
    """Return the published counterpart of a data set at hand, or None if there is none."""
    return COUNTERPARTS.get(name)


def oddities() -> list[Oddity]:
    """Find where the printed values contradict each other or the text.

    HR@K = hits / held-out and P@K = hits / (K · users) share their hits, so HR@K : P@K is one
    number for all models of a data set. A pair that is off it by more than rounding has at least
    one misprint, or another test set.
    """
    return [*_ratio_oddities(), *_repeated_oddities(), *_claim_oddities()]


def _ratio_oddities() -> Iterator[Oddity]:
    for dataset in DATASETS:
        for k in (5, 10):
            precision, hr = f"precision@{k}", f"micro_recall@{k}"
            ratio = median(row[hr] / row[precision] for row in table3(dataset).values())
            for number, table in ((3, table3(dataset)), (4, table4(dataset))):
                for model, row in table.items():
                    expected = ratio * row[precision]
                    if abs(row[hr] - expected) > 1.5 * 0.00005 * (1 + ratio):
                        note = (
                            f"HR {row[hr]:.4f} does not go with P {row[precision]:.4f}: the other"
                            f" rows imply HR {expected:.4f}, or P {row[hr] / ratio:.4f}"
                        )
                        yield Oddity(source(number), dataset, model, hr, note)


def _repeated_oddities() -> Iterator[Oddity]:
    for dataset in DATASETS:
        three, four = table3(dataset), table4(dataset)
        for model, twin in (("base", "cml"), ("sml", "sml")):
            for metric in METRICS:
                here, there = four[model][metric], three[twin][metric]
                if here != there:
                    note = f"{here:.4f}, but {there:.4f} for {twin} in Table 3, otherwise its equal"
                    yield Oddity(source(4), dataset, model, metric, note)


def _claim_oddities() -> Iterator[Oddity]:
    for dataset in DATASETS:
        table = table3(dataset)
        for model in ("bpr", "mlp", "ncf"):
            for metric in METRICS:
                better, cml = table[model][metric], table["cml"][metric]
                if better >= cml:
                    note = f"{better:.4f}, cml {cml:.4f}; the text says that cml is better"
                    yield Oddity(source(3), dataset, model, metric, note)


def _table(at_5: str, at_10: str, dataset: str) -> dict[str, dict[str, float]]:
    if dataset not in DATASETS:
        raise ParameterError(f"dataset must be one of {', '.join(DATASETS)}, got {dataset!r}")
    start = 3 * DATASETS.index(dataset)
    table = {}
    for five, ten in zip(at_5.split("\n")[1:-1], at_10.split("\n")[1:-1], strict=True):
        model, *first = five.split()
        _, *second = ten.split()
        values = first[start : start + 3] + second[start : start + 3]
        table[model] = dict(zip(METRICS, map(float, values), strict=True))
    return table


def _stated(stated: dict[str, _T], dataset: str, figure: str) -> _T:
    if dataset not in stated:
        shown = " and ".join(stated)
        raise ParameterError(f"{figure} shows {shown} only, got {dataset!r}; choose one of them")
    return stated[dataset]
