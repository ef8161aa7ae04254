"""How good a served model is, on interactions that were held out: measured once for each version.

The figures are those of `trimetric.evaluate`. Beside them stand the same ranks by the activity of
the users and by the popularity of the items, so that one sees whom a model serves well.
"""

import logging
import threading
import time
from math import isnan
from typing import Any

import numpy as np
from litestar import Request, Response, get

from trimetric.engine.threads import limit_this_thread
from trimetric.errors import TrimetricError
from trimetric.evaluation import Result, evaluate
from trimetric.evaluation.preparation import Parts, prepare
from trimetric.evaluation.subject import Subject
from trimetric.serve import schemas
from trimetric.serve.held_out import HeldOut
from trimetric.serve.queues import one_job
from trimetric.serve.replies import QUERY_ERRORS, answer, model_of, reply, state_of, unprocessable
from trimetric.serve.served_model import ServedModel, encode

log = logging.getLogger("trimetric.serve")
K = 10
GROUPS = 5
_lock = threading.Lock()


class QualityJob:
    """An evaluation that is made, or being made.

    Attributes
    ----------
    json : bytes or None
        The answer, once it is made.
    failed : str
        Why it could not be made; empty otherwise.
    """

    def __init__(self) -> None:
        self.json: bytes | None = None
        self.failed = ""


@get("/v1/quality", sync_to_thread=True, responses=QUERY_ERRORS)
def quality(request: Request, model: schemas.QueryName = None) -> Response[schemas.Quality]:
    """Return how well a model ranks held-out interactions; the first request starts the work."""
    served = model_of(request, model)
    held = state_of(request).held_out
    if held is None:
        raise unprocessable(
            "nothing was held out to measure models on; start the server with --test FILE"
        )
    job = job_of(served, held)
    if job.failed:
        raise unprocessable(job.failed)
    if job.json is None:
        return answer(served, status="computing")
    return reply(job.json)


def job_of(served: ServedModel, held: HeldOut) -> QualityJob:
    """Return the evaluation of a model; the first call starts it."""
    with _lock:
        job = served.quality
        if job is None:
            job = served.quality = QualityJob()
            # A daemon thread: a server that stops does not wait for it.
            threading.Thread(target=_run, args=(served, held, job), name="job", daemon=True).start()
    return job


def _run(served: ServedModel, held: HeldOut, job: QualityJob) -> None:
    limit_this_thread(1)
    began = time.monotonic()
    try:
        with one_job:
            fields = measured(served, held)
        named = {"model": served.name, "version": served.version}
        job.json = encode({"status": "ready", **named, **fields})
    except TrimetricError as error:
        job.failed = str(error)
    except Exception:
        job.failed = f"{served.name} could not be measured; the log says why"
        log.exception("not measured", extra={"model": served.name})
    else:
        seconds = round(time.monotonic() - began, 3)
        log.info("measured", extra={"model": served.name, "seconds": seconds})


def measured(served: ServedModel, held: HeldOut) -> dict[str, Any]:
    """Evaluate a model, and break its ranks down by activity and popularity."""
    data = held.beside(served)
    result = evaluate(served.model, data)
    parts, subject = Parts.of(data, "test"), Subject.of_model(served.model)
    if parts.history is not None:
        subject = subject.folded_in(served.model, parts.history)
    task = prepare(parts, subject, result.protocol, strict=True).task  # type: ignore[arg-type]
    items, activity = task.held.items, subject.seen.counts[task.users]
    return {
        "metrics": {name: None if isnan(v) else v for name, v in result.reported.items()},
        "ranking": result.protocol.describe(),
        "notes": [*result.counts.lines(), *result.notes],
        "data": held.test.name,
        "k": K,
        "by_activity": _by_activity(result, activity),
        "by_popularity": _by_popularity(result, served.popularity[items], items),
    }


def _by_activity(result: Result, activity: np.ndarray) -> list[dict[str, Any]]:
    ndcg, recall = result.values(f"ndcg@{K}"), result.values(f"recall@{K}")
    return [
        {
            **span,
            "users": int(mask.sum()),
            "ndcg": float(np.nanmean(ndcg[mask])),
            "recall": float(np.nanmean(recall[mask])),
        }
        for span, mask in groups(activity)
    ]


def _by_popularity(
    result: Result, popularity: np.ndarray, items: np.ndarray
) -> list[dict[str, Any]]:
    found = result.ranks.ranks <= K
    return [
        {
            **span,
            "held_out": int(mask.sum()),
            "items": len(np.unique(items[mask])),
            "found": float(found[mask].mean()),
        }
        for span, mask in groups(popularity)
    ]


def groups(counts: np.ndarray) -> list[tuple[dict[str, int], np.ndarray]]:
    """Cut counts into at most five groups of about as many each; equal counts stay together."""
    edges = np.unique(np.quantile(counts, np.linspace(0, 1, GROUPS + 1)[1:], method="higher"))
    group = np.searchsorted(edges, counts)
    masks = [mask for code in range(len(edges)) if (mask := group == code).any()]
    return [({"low": int(counts[m].min()), "high": int(counts[m].max())}, m) for m in masks]
