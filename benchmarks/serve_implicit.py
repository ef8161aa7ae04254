"""The least server of implicit's `recommend`: what `serve.py` compares with.

The same uvicorn, event loop and JSON as trimetric's. Factors as wide as the model's are learned
from the model's interactions; items seen are left out.

    python benchmarks/serve_implicit.py FOLDER
"""

import json
import logging
import os
import sys
from urllib.parse import parse_qsl

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as implicit asks for


def application(folder):
    import msgspec
    import numpy as np
    import scipy.sparse
    from implicit.cpu.als import AlternatingLeastSquares

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

    async def app(scope, receive, send):
        asked = dict(parse_qsl(scope["query_string"].decode()))
        row = rows[asked["user"]]
        found, scores = solver.recommend(row, liked[row], N=int(asked["k"]))
        listed = [
            {"item": items[item], "rank": rank, "score": score}
            for rank, (item, score) in enumerate(
                zip(found.tolist(), scores.tolist(), strict=True), 1
            )
        ]
        body = encode({"user": asked["user"], "recommendations": listed})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def main():
    import socket

    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        application(sys.argv[1]), loop="uvloop", http="httptools", ws="none", lifespan="off",
        log_config=None, access_log=False,
    )  # fmt: skip
    logging.getLogger("uvicorn.access").disabled = True
    print(json.dumps({"event": "ready", "url": url}), file=sys.stderr, flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
