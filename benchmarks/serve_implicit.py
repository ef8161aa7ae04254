"""The least server of implicit's `recommend`: what `serve.py` compares with.

The same framework, server, event loop and JSON as trimetric's, and checked parameters. Factors as
wide as the model's are learned from the model's interactions; items seen are left out.

    python benchmarks/serve_implicit.py FOLDER
"""

import gc
import json
import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as implicit asks for


def application(folder):
    import msgspec
    import numpy as np
    import scipy.sparse
    from implicit.cpu.als import AlternatingLeastSquares
    from litestar import Litestar, MediaType, get
    from litestar.params import FromQuery
    from litestar.response.base import ASGIResponse

    import trimetric as tm

    model = tm.load(folder)
    seen, shape = model.seen, (len(model.user_ids), len(model.item_ids))
    ones = np.ones(len(seen.items), dtype=np.float32)
    liked = scipy.sparse.csr_matrix((ones, seen.items, seen.indptr), shape=shape)
    solver = AlternatingLeastSquares(factors=model.config.dim, iterations=3, num_threads=1)
    solver.fit(liked, show_progress=False)
    rows = {str(user): row for row, user in enumerate(model.user_ids.values.to_list())}
    items = model.item_ids.values.to_list()
    encode = msgspec.json.Encoder().encode

    @get("/v1/recommend")
    async def recommend(user: FromQuery[str], k: FromQuery[int] = 10) -> ASGIResponse:
        row = rows[user]
        ids, scores = solver.recommend(row, liked[row], N=k)
        listed = [
            {"item": items[item], "rank": rank, "score": score}
            for rank, (item, score) in enumerate(zip(ids.tolist(), scores.tolist(), strict=True), 1)
        ]
        body = encode({"user": user, "recommendations": listed})
        return ASGIResponse(body=body, media_type=MediaType.JSON)

    return Litestar([recommend], openapi_config=None, logging_config=None)


def main():
    import socket

    import uvicorn

    from trimetric.serve.run import COLLECT_EVERY

    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        application(sys.argv[1]), loop="uvloop", http="httptools", ws="none", lifespan="off",
        log_config=None, access_log=False,
    )  # fmt: skip
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)
    print(json.dumps({"event": "ready", "url": url}), file=sys.stderr, flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
