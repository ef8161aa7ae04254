"""What requests and responses hold, with limits; OpenAPI is made from these types."""

from typing import Annotated, Any, Literal

import msgspec
from litestar.params import QueryParameter
from msgspec import Meta, Struct

MAX_K = 1000
MAX_IDS = 1000  # in one request
MAX_CELLS = 100_000  # users × k in one request
MAX_FILTER = 10_000  # ids in an allow or deny list
MAX_CHARS = 1024  # of an id or a search
MAX_PAGE = 1000
MAX_HISTORY = 10_000

Text = Annotated[str, Meta(max_length=MAX_CHARS)]
Id = Annotated[int | Text, Meta(description="An id: a whole number or text.")]
K = Annotated[int, Meta(ge=1, le=MAX_K, description="Length of each list.")]
Weight = Annotated[float, Meta(gt=0, le=1e6)]
Name = Annotated[
    str, Meta(max_length=MAX_CHARS, description="Name of a served model; the first by default.")
]
Items = Annotated[
    list[Id],
    Meta(
        min_length=1,
        max_length=MAX_IDS,
        description="What is given several times counts several times.",
    ),
]
Weights = Annotated[
    Annotated[list[Weight], Meta(max_length=MAX_IDS)]
    | Annotated[dict[Text, Weight], Meta(max_length=MAX_IDS)],
    Meta(description="How much each item counts: in the order of the items, or by id."),
]
Allow = Annotated[list[Id], Meta(max_length=MAX_FILTER, description="Recommend only these items.")]
Deny = Annotated[
    list[Id], Meta(max_length=MAX_FILTER, description="Recommend none of these items.")
]
OfEach = Annotated[list[Id], Meta(max_length=MAX_FILTER)]
ByUser = Annotated[dict[Text, OfEach], Meta(max_length=MAX_IDS)]
AllowEach = Annotated[
    OfEach | ByUser, Meta(description="Recommend only these items; an object says it by user.")
]
DenyEach = Annotated[
    OfEach | ByUser, Meta(description="Recommend none of these items; an object says it by user.")
]


class Span(Struct, forbid_unknown_fields=True):
    """Numbers from a least to a greatest, both included; null leaves a side open."""

    min: float | None = None
    max: float | None = None


Values = Annotated[list[Text | int | float | bool], Meta(min_length=1, max_length=1000)]
Where = Annotated[
    dict[Text, Values | Span],
    Meta(
        max_length=100,
        description="Recommend only items of these columns of the items table: values, of which an"
        " item must have one, or a span of numbers. /v1/columns lists what there is.",
    ),
]
Diversity = Annotated[
    float, Meta(ge=0, le=1, description="How unlike each other the items of a list are to be.")
]
Rerank = Literal["mmr", "dpp"]

# Parameters of a query string; ids there are text.
QueryId = Annotated[str, QueryParameter(max_length=MAX_CHARS)]
QueryK = Annotated[int, QueryParameter(ge=1, le=MAX_K, description="Length of the list.")]
QueryName = Annotated[
    str | None,
    QueryParameter(
        max_length=MAX_CHARS, description="Name of a served model; the first by default."
    ),
]
SearchText = Annotated[
    str, QueryParameter(max_length=MAX_CHARS, description="Part of an id or title.")
]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="Length of the page.")]
Offset = Annotated[int, QueryParameter(ge=0, le=2**31 - 1, description="Matches before the page.")]
HistoryLimit = Annotated[
    int, QueryParameter(ge=1, le=MAX_HISTORY, description="Most items to list.")
]

Score = Annotated[
    float | None,
    Meta(description="Higher is better; −d² of metric models. Null for popular items."),
]
Margin = Annotated[float | None, Meta(description="Learned margin; null where margins are fixed.")]
Distance = Annotated[
    float | None,
    Meta(description="d², the squared distance; of metric models only."),
]


class Body(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a request; an id may be text or a number."""

    model: Name | None = None


class RecommendBody(Body):
    """Users to recommend to."""

    users: Annotated[list[Id], Meta(min_length=1, max_length=MAX_IDS)]
    k: K = 10
    exclude_seen: bool = True
    on_unknown: Literal["error", "popular", "skip"] = "error"
    allow: AllowEach | None = None
    deny: DenyEach | None = None
    where: Where | None = None
    diversity: Diversity = 0.0
    rerank: Rerank = "mmr"


class RecommendForBody(Body):
    """Items of a new user to recommend to."""

    items: Items
    weights: Weights | None = None
    k: K = 10
    exclude_given: bool = True
    on_unknown: Literal["error", "skip"] = "error"
    allow: Allow | None = None
    deny: Deny | None = None
    where: Where | None = None
    diversity: Diversity = 0.0
    rerank: Rerank = "mmr"


class ForgetBody(Body):
    """Users and items to forget, at least one."""

    users: Annotated[list[Id], Meta(max_length=MAX_IDS)] = msgspec.field(default_factory=list)
    items: Annotated[list[Id], Meta(max_length=MAX_IDS)] = msgspec.field(default_factory=list)


class UnavailableBody(Body):
    """Items that no list may have."""

    items: Annotated[list[Id], Meta(max_length=MAX_FILTER)]
    change: Annotated[
        Literal["replace", "add", "remove"],
        Meta(description="What they do to the items that are marked already."),
    ] = "replace"


class ExplainForBody(Body):
    """Items of a new user, and the item to explain to them."""

    items: Items
    item: Id
    weights: Weights | None = None
    k: K = 10


class Ranked(Struct, omit_defaults=True):
    """One item of a list, with the columns of the items table."""

    item: int | str
    rank: int
    score: Score
    distance: Distance = None
    rank_by_score: Annotated[
        int | None, Meta(description="Where the item stood without diversity.")
    ] = None


class RankedUser(Struct, omit_defaults=True):
    """One user of a list."""

    user: int | str
    rank: int
    score: Score
    distance: Distance = None


class Answer(Struct, kw_only=True):
    """Answer of one version of one model."""

    model: str
    version: str


class Recommendations(Answer):
    """Recommendations for one user."""

    user: int | str
    recommendations: list[Ranked]


class UserResult(Struct):
    """Recommendations for one of many users."""

    user: int | str
    recommendations: list[Ranked]


class Results(Answer):
    """Recommendations for many users, in the order of the request, without those skipped."""

    results: list[UserResult]


class NewUserRecommendations(Answer):
    """Recommendations for a new user."""

    recommendations: list[Ranked]
    skipped: Annotated[list[int | str], Meta(description="Unknown items, left out.")]


class Forgotten(Answer):
    """What was removed, with the fields of `Receipt.to_dict`."""


class Unavailable(Answer):
    """How many items are marked as unavailable, and how many of those given are unknown."""

    unavailable: int
    unknown: int


class SimilarItems(Answer):
    """The items nearest to an item."""

    item: int | str
    similar: list[Ranked]


class SimilarUsers(Answer):
    """The users nearest to a user."""

    user: int | str
    similar: list[RankedUser]


class Explained(Answer):
    """Why an item is where it is, with the fields of `Explanation.to_dict`.

    `together` has, for each of the reasons, how many users have its item, and how many of them have
    both it and the item explained.
    """


class HistoryItem(Struct, omit_defaults=True):
    """An item that a user has."""

    item: int | str
    score: Score
    popularity: int
    distance: Distance = None


class User(Answer):
    """A user and their items, best scored first."""

    user: int | str
    activity: int
    margin: Margin
    history: list[HistoryItem]


class Item(Answer):
    """An item."""

    item: int | str
    popularity: int
    rank: Annotated[int, Meta(description="1 + how many items are more popular.")]
    margin: Margin


class UserMatch(Struct):
    """A user that matches a search."""

    user: int | str
    activity: int


class ItemMatch(Struct):
    """An item that matches a search."""

    item: int | str
    popularity: int


class UserMatches(Answer):
    """A page of users, most active first."""

    total: int
    users: list[UserMatch]


class ItemMatches(Answer):
    """A page of items, most popular first."""

    total: int
    items: list[ItemMatch]


class ItemUser(Struct, omit_defaults=True):
    """A user who has an item."""

    user: int | str
    activity: int
    score: Score
    distance: Distance = None


class ItemUsers(Answer):
    """A page of the users who have an item, best scored first."""

    item: int | str
    total: int
    users: list[ItemUser]


class SharedItem(Struct):
    """An item that two users have."""

    item: int | str
    popularity: int


class Between(Answer):
    """Two users side by side."""

    user: int | str
    other: int | str
    distance: Annotated[float | None, Meta(description="d² between them; of metric models only.")]
    activity: int
    other_activity: int
    n_shared: int
    shared: Annotated[list[SharedItem], Meta(description="What both have, least popular first.")]
    between: Annotated[
        list[Ranked], Meta(description="Best mean score for the two, of what neither has.")
    ]


class ColumnValue(Struct):
    """A value of a column, and how many items have it."""

    value: str
    items: int


class Column(Struct, omit_defaults=True):
    """A column of the items table: its values where they are few, or the span of its numbers."""

    name: str
    values: list[ColumnValue] = msgspec.field(default_factory=list)
    span: Span | None = None


class Columns(Answer):
    """The columns that items can be chosen by."""

    columns: list[Column]


class ActivityGroup(Struct):
    """Users with low..high items in training, and the mean metrics at k of theirs."""

    low: int
    high: int
    users: int
    ndcg: float
    recall: float


class PopularityGroup(Struct):
    """Held-out items with low..high users in training: the share found in the first k."""

    low: int
    high: int
    held_out: int
    items: int
    found: float


class Quality(Answer, omit_defaults=True):
    """How well a model ranks held-out interactions; until that is known, the status alone."""

    status: Literal["ready", "computing"]
    metrics: dict[str, float | None] = msgspec.field(default_factory=dict)
    ranking: Annotated[str, Meta(description="What was ranked among what.")] = ""
    notes: list[str] = msgspec.field(default_factory=list)
    data: str = ""
    k: int = 0
    by_activity: list[ActivityGroup] = msgspec.field(default_factory=list)
    by_popularity: list[PopularityGroup] = msgspec.field(default_factory=list)


class ModelCard(Struct):
    """A served model."""

    name: str
    kind: str
    version: str
    users: int
    items: int
    interactions: int
    dim: int | None
    capabilities: list[str]
    learned_margins: bool
    measured: Annotated[bool, Meta(description="Whether /v1/quality can be asked.")]
    loaded_at: str


class Models(Struct):
    """All served models; the first is the default."""

    models: list[ModelCard]


class UserMargins(Struct):
    """Margins of users against their numbers of items."""

    ids: list[int | str]
    activity: list[int]
    margin: list[float]


class ItemMargins(Struct):
    """Margins of items against their numbers of users."""

    ids: list[int | str]
    popularity: list[int]
    margin: list[float]


class Margins(Answer):
    """All learned margins, or evenly spaced ones where there are very many."""

    sampled: bool
    users: Annotated[UserMargins | None, Meta(description="Null where they are fixed.")]
    items: Annotated[ItemMargins | None, Meta(description="Null where they are fixed.")]


class Training(Answer):
    """How a model was trained."""

    history: list[dict[str, Any]]
    settings: dict[str, Any]
    data: dict[str, Any]


class Spread(Struct):
    """How interactions are spread over users, or items."""

    minimum: int
    median: float
    mean: float
    maximum: int
    edges: Annotated[list[int], Meta(description="Bin b holds counts of edges[b]..edges[b+1]−1.")]
    counts: list[int]


class Summary(Answer):
    """The data that a model was trained on."""

    users: int
    items: int
    pairs: int
    density: float
    per_user: Spread
    per_item: Spread


class Places(Struct, omit_defaults=True):
    """Points on the map; the title of an item that has none is null."""

    ids: list[int | str]
    x: list[float]
    y: list[float]
    popularity: list[int] = msgspec.field(default_factory=list)
    activity: list[int] = msgspec.field(default_factory=list)
    titles: list[str | None] = msgspec.field(default_factory=list)
    groups: Annotated[
        dict[str, list[str | None]],
        Meta(description="Columns of the items table with few values: the value of each item."),
    ] = msgspec.field(default_factory=dict)


class Map(Answer, omit_defaults=True):
    """A map of the space, and how much it keeps of it; until it is made, the status alone."""

    status: Literal["ready", "computing"]
    method: str = ""
    quality: dict[str, float] = msgspec.field(default_factory=dict)
    sampled: bool = False
    items: Places | None = None
    users: Places | None = None


class Status(Struct):
    """State of the server."""

    status: str


class Failure(Struct, omit_defaults=True):
    """What was wrong, and what to do about it."""

    error: str
    remedy: str = ""
    unknown: list[Any] = msgspec.field(default_factory=list)
    near: list[Any] = msgspec.field(default_factory=list)
