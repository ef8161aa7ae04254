"""What the handlers of one server share."""

from dataclasses import dataclass, field

from litestar.exceptions import NotFoundException

from trimetric.serve.batching import Batcher
from trimetric.serve.held_out import HeldOut
from trimetric.serve.monitoring import Metrics
from trimetric.serve.page import Files
from trimetric.serve.queues import Queues
from trimetric.serve.registry import ModelRegistry
from trimetric.serve.served_model import ServedModel
from trimetric.serve.settings import Settings


@dataclass
class AppState:
    """Everything that one server answers from.

    Parameters
    ----------
    settings : Settings
    registry : ModelRegistry
    metrics : Metrics
    files : Files
        The explorer page.
    held_out : HeldOut, optional
        What models are measured on.
    draining : bool
        Whether the server is about to stop.
    """

    settings: Settings
    registry: ModelRegistry
    metrics: Metrics
    files: Files
    held_out: HeldOut | None = None
    draining: bool = False
    batchers: dict[str, Batcher] = field(init=False)
    queues: Queues = field(init=False, default_factory=Queues)

    def __post_init__(self) -> None:
        # One for each model, so that a slow model does not hold up the others.
        self.batchers = {name: Batcher(self.metrics.batch_size) for name in self.registry.served}

    def model(self, name: str | None) -> ServedModel:
        """Return the current version of a model, or raise NotFoundException."""
        try:
            return self.registry.get(name)
        except KeyError:
            served = {"near": list(self.registry.served)}
            detail = f"no model named {name!r} is served"
            raise NotFoundException(detail, extra=served) from None

    def close(self) -> None:
        """Stop the threads."""
        for batcher in self.batchers.values():
            batcher.close()
        self.queues.close()
