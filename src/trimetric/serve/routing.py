"""Which function answers what: the one table that serving and OpenAPI are made from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from inspect import iscoroutinefunction
from typing import Any

from trimetric.serve import handlers
from trimetric.serve import schemas as sc
from trimetric.serve.metrics import MEDIA
from trimetric.serve.site import Reply, Site


@dataclass(frozen=True)
class Route:
    """One endpoint.

    Parameters
    ----------
    path, method : str
    handler : callable
        Takes the site and a checked request; a coroutine function runs on the loop.
    query, body, answer : Struct types, optional
        Of the request, and of what comes back; the answer is text without one.
    faults : tuple of int
        Statuses besides 200 that it can answer with.
    public : bool
        Asks for no API key.
    light : bool
        Runs on the event loop, since it takes no time.
    """

    path: str
    handler: Callable[[Site, Any], Any]
    query: Any = None
    body: Any = None
    answer: Any = None
    faults: tuple[int, ...] = (404, 422)
    public: bool = False
    light: bool = False
    media: str = "application/json"

    @cached_property
    def waits(self) -> bool:
        """Whether the handler is a coroutine function."""
        return iscoroutinefunction(self.handler)

    @property
    def method(self) -> str:
        """POST if it takes a body."""
        return "GET" if self.body is None else "POST"


def metrics(site: Site, asked: None) -> Reply:
    """Give counts and times in Prometheus' text format."""
    named = ("name", "kind", "version")
    about = [handlers.card(snapshot) for snapshot in site.shelf.snapshots.values()]
    rows = [{name: one[name] for name in named} for one in about]
    return Reply(200, site.metrics.text(rows), MEDIA)


ROUTES = [
    Route("/health", handlers.health, answer=sc.Status, faults=(), public=True, light=True),
    Route("/ready", handlers.ready, answer=sc.Status, faults=(503,), public=True, light=True),
    Route("/metrics", metrics, faults=(), light=True, media="text/plain"),
    Route("/v1/models", handlers.models, answer=sc.Models, faults=()),
    Route("/v1/recommend", handlers.recommend, sc.RecommendQuery, None, sc.Recommendations),
    Route("/v1/recommend", handlers.recommend_many, None, sc.RecommendBody, sc.Results),
    Route("/v1/recommend-for", handlers.recommend_for, None, sc.RecommendForBody, sc.ForItems),
    Route("/v1/similar-items", handlers.similar_items, sc.SimilarItemsQuery, None, sc.SimilarItems),
    Route("/v1/similar-users", handlers.similar_users, sc.SimilarUsersQuery, None, sc.SimilarUsers),
    Route("/v1/explain", handlers.explain, sc.ExplainQuery, None, sc.Explained),
    Route("/v1/explain-for", handlers.explain_for, None, sc.ExplainForBody, sc.Explained),
    Route("/v1/user", handlers.user, sc.UserQuery, None, sc.User),
    Route("/v1/item", handlers.item, sc.ItemQuery, None, sc.Item),
    Route("/v1/users", handlers.users, sc.SearchQuery, None, sc.FoundUsers),
    Route("/v1/items", handlers.items, sc.SearchQuery, None, sc.FoundItems),
    Route("/v1/map", handlers.space_map, sc.Query, None, sc.Map),
    Route("/v1/margins", handlers.margins, sc.Query, None, sc.Margins),
    Route("/v1/training", handlers.training, sc.Query, None, sc.Training),
    Route("/v1/summary", handlers.summary, sc.Query, None, sc.Summary),
]
