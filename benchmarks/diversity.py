"""What more diverse lists cost: NDCG@10 against intra-list distance, by strength and method.

    python benchmarks/diversity.py [DATA] [--model centroid] [--no-record]

Split per user; lists of ten for the users of the test part. Intra-list distance is the mean d² of
two items of a list in the model's space.
"""

import argparse

import numpy as np

import record
import trimetric as tm

STRENGTHS = (0, 0.1, 0.2, 0.3, 0.5, 0.7)


def measures(model, held: dict, strength: float, method: str) -> tuple[float, float]:
    """Return NDCG@10 and the mean intra-list distance."""
    rows = model.recommend(list(held), 10, diversity=strength, rerank=method)
    discounts = 1 / np.log2(np.arange(2, 12))
    gains, distances = [], []
    for (user,), group in rows.group_by("user", maintain_order=True):
        listed = group["item"].to_list()
        hits = np.array([item in held[user] for item in listed])
        gains.append((hits * discounts[: len(hits)]).sum() / discounts[: len(held[user])].sum())
        points = model.item_embeddings[model.item_ids.encode(listed)].astype(float)
        d2 = ((points[:, None] - points[None]) ** 2).sum(axis=2)
        distances.append(d2.sum() / max(len(listed) * (len(listed) - 1), 1))
    return float(np.mean(gains)), float(np.mean(distances))


def main() -> None:
    """Measure, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", default="ml_100k")
    parser.add_argument("--model", default="centroid")
    parser.add_argument("--no-record", action="store_true")
    args = parser.parse_args()
    rated = record.liked(args.data)
    split = tm.split_per_user(rated)
    model = tm.create(args.model).fit(split.train, split.valid, progress=False)
    model.mark_seen(split.valid)
    frame = split.test.to_frame().group_by("user").agg("item")
    held = {
        user: set(items) for user, items in frame.rows() if model.user_ids.encode([user])[0] >= 0
    }
    figures: dict = {}
    for strength in STRENGTHS:
        for method in ("mmr", "dpp"):
            ndcg, spread = measures(model, held, strength, method)
            row = {"ndcg@10": round(ndcg, 4), "distance": round(spread, 3)}
            figures.setdefault(f"{strength:g}", {})[method] = row
            print(f"diversity {strength:g}, {method}: {row}", flush=True)
    if not args.no_record:
        shape = {"data": args.data, "model": args.model, "strengths": figures}
        record.write("diversity", shape, [args.model])


if __name__ == "__main__":
    main()
