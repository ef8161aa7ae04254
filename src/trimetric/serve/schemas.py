"""What requests may hold and what answers do, limits included; OpenAPI is made from these."""

from typing import Annotated, Any, Literal

import msgspec
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
K = Annotated[int, Meta(ge=1, le=MAX_K, description="The length of each list.")]
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE)]
Offset = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Weight = Annotated[float, Meta(gt=0, le=1e6)]
Name = Annotated[
    str, Meta(max_length=MAX_CHARS, description="A served model; the first by default.")
]
Items = Annotated[
    list[Id],
    Meta(min_length=1, max_length=MAX_IDS, extra_json_schema={"uniqueItems": True}),
]
Weights = Annotated[
    list[Weight], Meta(max_length=MAX_IDS, description="How much each item counts.")
]
Allow = Annotated[list[Id], Meta(max_length=MAX_FILTER, description="Recommend only these items.")]
Deny = Annotated[
    list[Id], Meta(max_length=MAX_FILTER, description="Recommend none of these items.")
]


class Query(Struct, forbid_unknown_fields=True, kw_only=True):
    """Of a query string; ids there are text."""

    model: Name | None = None


class RecommendQuery(Query):
    """Whom to recommend to."""

    user: Text
    k: K = 10
    exclude_seen: bool = True


class SimilarItemsQuery(Query):
    """Which item to find neighbours of."""

    item: Text
    k: K = 10


class SimilarUsersQuery(Query):
    """Which user to find neighbours of."""

    user: Text
    k: K = 10


class ExplainQuery(Query):
    """What to explain to whom, and of which length the list is that is spoken of."""

    user: Text
    item: Text
    k: K = 10


class UserQuery(Query):
    """Which user to show."""

    user: Text
    limit: Annotated[int, Meta(ge=1, le=MAX_HISTORY, description="Items of the history.")] = 1000


class ItemQuery(Query):
    """Which item to show."""

    item: Text


class SearchQuery(Query):
    """What to look for in ids and titles, without regard to case."""

    search: Text = ""
    limit: Limit = 20
    offset: Offset = 0


class Body(Struct, forbid_unknown_fields=True, kw_only=True):
    """Of a request; an id may be given as text or as a number."""

    model: Name | None = None


class RecommendBody(Body):
    """Whom to recommend to, many at a time."""

    users: Annotated[list[Id], Meta(min_length=1, max_length=MAX_IDS)]
    k: K = 10
    exclude_seen: bool = True
    on_unknown: Literal["error", "popular", "skip"] = "error"
    allow: Allow | None = None
    deny: Deny | None = None


class RecommendForBody(Body):
    """What a new user likes."""

    items: Items
    weights: Weights | None = None
    k: K = 10
    exclude_given: bool = True
    allow: Allow | None = None
    deny: Deny | None = None


class ExplainForBody(Body):
    """What to explain to a new user, and what they like."""

    items: Items
    item: Id
    weights: Weights | None = None
    k: K = 10


class Ranked(Struct):
    """One item of a list; further columns of the items table join it."""

    item: int | str
    rank: int
    score: Annotated[float | None, Meta(description="d² for metric models: lower is nearer.")]


class RankedUser(Struct):
    """One user of a list."""

    user: int | str
    rank: int
    score: float | None


class Answer(Struct, kw_only=True):
    """Of one version of one model from start to end."""

    model: str
    version: str


class Recommendations(Answer):
    """For one user."""

    user: int | str
    recommendations: list[Ranked]


class OneResult(Struct):
    """For one of many users."""

    user: int | str
    recommendations: list[Ranked]


class Results(Answer):
    """For many users, in the order asked; those skipped are left out."""

    results: list[OneResult]


class ForItems(Answer):
    """For a new user."""

    recommendations: list[Ranked]


class SimilarItems(Answer):
    """The items nearest to one."""

    item: int | str
    similar: list[Ranked]


class SimilarUsers(Answer):
    """The users nearest to one."""

    user: int | str
    similar: list[RankedUser]


class Explained(Answer):
    """Why an item is where it is, with what `Explanation.to_dict` gives."""


class Liked(Struct):
    """An item that a user has."""

    item: int | str
    score: float | None
    popularity: int


class User(Answer):
    """A user, and what they have, best scored first."""

    user: int | str
    activity: int
    margin: float | None
    history: list[Liked]


class Item(Answer):
    """An item."""

    item: int | str
    popularity: int
    rank: Annotated[int, Meta(description="1 + how many items are more popular.")]
    margin: float | None


class FoundUser(Struct):
    """A user found."""

    user: int | str
    activity: int


class FoundItem(Struct):
    """An item found."""

    item: int | str
    popularity: int


class FoundUsers(Answer):
    """A page of users, most active first."""

    total: int
    users: list[FoundUser]


class FoundItems(Answer):
    """A page of items, most popular first."""

    total: int
    items: list[FoundItem]


class ModelCard(Struct):
    """What is served under a name."""

    name: str
    kind: str
    version: str
    users: int
    items: int
    interactions: int
    dim: int | None
    capabilities: list[str]
    loaded_at: str


class Models(Struct):
    """All that is served; the first is the default."""

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
    """All margins, or evenly spaced ones where there are very many."""

    sampled: bool
    users: UserMargins
    items: ItemMargins


class Training(Answer):
    """How the model was trained."""

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
    """The data that the model was trained on."""

    users: int
    items: int
    pairs: int
    density: float
    per_user: Spread
    per_item: Spread


class Places(Struct, omit_defaults=True):
    """Where points are on the map; titles are null where an item has none."""

    ids: list[int | str]
    x: list[float]
    y: list[float]
    popularity: list[int] = msgspec.field(default_factory=list)
    activity: list[int] = msgspec.field(default_factory=list)
    titles: list[str | None] = msgspec.field(default_factory=list)
    groups: Annotated[
        dict[str, list[str | None]],
        Meta(description="Columns of the items table with few values: that of each item."),
    ] = msgspec.field(default_factory=dict)


class Map(Answer, omit_defaults=True):
    """A map of the space, with what it keeps of it; all but status is left out until it is made."""

    status: Literal["ready", "computing"]
    method: str = ""
    quality: dict[str, float] = msgspec.field(default_factory=dict)
    sampled: bool = False
    items: Places | None = None
    users: Places | None = None


class Status(Struct):
    """How the server is."""

    status: str


class Failure(Struct, omit_defaults=True):
    """What was wrong, and what to do about it."""

    error: str
    remedy: str = ""
    unknown: list[Any] = msgspec.field(default_factory=list)
    near: list[Any] = msgspec.field(default_factory=list)
