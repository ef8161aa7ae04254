"""What maps of a trained space keep of it, and how long they take: ours, components, libraries.

Libraries are measured where they are installed (pip install openTSNE umap-learn). They lay items
and users out together, as they have no way to say that users are to be near items. One thread.

    python benchmarks/projection.py [--data ml_1m]
"""

import argparse
import importlib.util
import time
import warnings
from functools import partial

import numpy as np

import record
from record import on_threads


def components(items, users):
    middle = items.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh((items - middle).T @ (items - middle))
    return (items - middle) @ axes[:, -2:], (users - middle) @ axes[:, -2:]


def together(fit, items, users):
    plane = fit(np.concatenate([items, users]))
    return plane[: len(items)], plane[len(items) :]


def open_tsne(points):
    from openTSNE import TSNE

    return np.asarray(TSNE(n_jobs=1, random_state=0, neighbors="exact").fit(points))


def umap(points):
    from umap import UMAP

    return UMAP(n_jobs=1, random_state=0).fit_transform(points)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ml_1m")
    options = parser.parse_args()

    import trimetric as tm
    from trimetric.space.projection import quality

    model = tm.SML(seed=0).fit(record.liked(options.data))
    on_threads(1, model.project)  # compiles
    began = time.perf_counter()
    ours = on_threads(1, model.project)
    seconds = time.perf_counter() - began
    space = model.item_embeddings[ours.items], model.user_embeddings[ours.users]
    ways = {"ours": ours.quality | {"seconds": round(seconds, 2)}}
    others = {"two principal components": components}
    for name, package, fit in (("openTSNE", "openTSNE", open_tsne), ("UMAP", "umap", umap)):
        if importlib.util.find_spec(package):
            others[name] = partial(together, fit)
        else:
            print(f"{name} is not installed and left out")
    for name, way in others.items():
        began = time.perf_counter()
        with warnings.catch_warnings(action="ignore"):
            plane = tuple(np.ascontiguousarray(part, dtype=np.float32) for part in way(*space))
        seconds = time.perf_counter() - began
        ways[name] = quality(space, plane) | {"seconds": round(seconds, 2)}
    for name, found in ways.items():
        print(f"{name:26}", "  ".join(f"{what} {value:.3f}" for what, value in found.items()))
    shape = {"items": len(space[0]), "users": len(space[1]), "dim": space[0].shape[1]}
    record.write("projection", {"data": options.data, **shape, "ways": ways})


if __name__ == "__main__":
    main()
