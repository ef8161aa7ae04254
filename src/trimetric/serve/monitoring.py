"""What Prometheus is told about a server."""

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)

disable_created_metrics()


class Metrics:
    """Counters, gauges and histograms of one server."""

    def __init__(self) -> None:
        self.collectors = metrics = CollectorRegistry()
        self.requests = Counter(
            "trimetric_requests", "Requests answered.", ["route", "status"], registry=metrics
        )
        self.seconds = Histogram(
            "trimetric_request_seconds", "Time from the head of a request to its response.",
            ["route"], buckets=SECONDS, registry=metrics,
        )  # fmt: skip
        self.batch_size = Histogram(
            "trimetric_batch_size", "Users ranked together for GET /v1/recommend.",
            buckets=SIZES, registry=metrics,
        )  # fmt: skip
        self.swaps = Counter(
            "trimetric_swaps", "Newer artifacts, taken or refused.", ["outcome"], registry=metrics
        )
        self.cut_off = Counter(
            "trimetric_cut_off",
            "Connections closed for exceeding a limit.",
            ["why"],
            registry=metrics,
        )
        self.connections = Gauge("trimetric_connections", "Open connections.", registry=metrics)
        self.models = Gauge(
            "trimetric_model_info", "Models served.", ["name", "kind", "version"], registry=metrics
        )
        ProcessCollector(registry=metrics)
        for outcome in ("ok", "refused"):
            self.swaps.labels(outcome)
        self._by_route: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        children = self._by_route.get((route, status))
        if children is None:
            children = self.requests.labels(route, str(status)), self.seconds.labels(route)
            self._by_route[route, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def text(self, models: Iterable[tuple[str, str, str]], accept: str) -> tuple[bytes, str]:
        """Return all metrics in the format that `accept` asks for, and its media type.

        Parameters
        ----------
        models : iterable of (name, kind, version)
        accept : str
            The Accept header of the request.
        """
        self.models.clear()
        for labels in models:
            self.models.labels(*labels).set(1)
        encoder, media_type = choose_encoder(accept)
        return encoder(self.collectors), media_type
