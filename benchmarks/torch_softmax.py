"""The objective of CentroidML as one would write it in torch, for closed_form.py to time.

Autograd over blocks of users, dense products with the whole catalogue, κ = 0: users are composed of
their items by a product with the block's zeros and ones. `trimetric.engine.centroids` has the
formulas. Asked on standard input for epochs, one line of JSON each, it answers with the seconds
they took and leaves the positions in a file; asked for {"settings": ...} it begins anew.
"""

import json
import math
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize, softplus

from torch_forms import Pairs, optimizer

LEAST_SQUARE, LEAST_LENGTH = 0.05, 1e-3


class Softmax(nn.Module):
    """ln(1 + Σ_j (S₀/|V|)·exp((s(u, j) − s(u, v) + m)/τ)), the user without v at s(u, v)."""

    def __init__(self, data, settings):
        super().__init__()
        self.data, self.settings, dim = data, settings, settings["dim"]
        self.items = nn.Parameter(normalize(torch.randn(data.n_items, dim)))
        self.own = nn.Parameter(normalize(torch.randn(data.n_users, dim)))
        self.bias = nn.Parameter(torch.zeros(data.n_items))
        self.log_weights = nn.Parameter(torch.zeros(data.n_items))
        counts = torch.bincount(data.users, minlength=data.n_users)
        self.lists = data.items.split(counts.tolist())
        self.users = counts.nonzero().squeeze(1)
        self.log_share = math.log(min(100.0, data.n_items**0.5) / data.n_items)

    def entries(self, users):
        """Return the row in the block and the item of each interaction of these users."""
        lists = [self.lists[u] for u in users.tolist()]
        rows = torch.arange(len(users)).repeat_interleave(torch.tensor([len(x) for x in lists]))
        return rows, torch.cat(lists)

    def sums(self, n, rows, cols, items):
        """Return the items' weights and z_u."""
        had = torch.zeros(n, len(items))
        had[rows, cols] = 1
        weights = self.log_weights.exp()
        return weights, (had * weights) @ items

    def loss(self, users):
        s = self.settings
        (rows, cols), items = self.entries(users), normalize(self.items)
        weights, z = self.sums(len(users), rows, cols, items)
        p, omega = normalize(self.own[users]), s["own"]
        by_z, by_own, square = z @ items.T, p @ items.T, z.square().sum(1)
        length = square.sqrt().clamp(min=LEAST_LENGTH).unsqueeze(1)
        scores = 2 * (omega * by_own + (1 - omega) / length * by_z) + self.bias
        taken = torch.zeros_like(scores, dtype=torch.bool)
        taken[rows, cols] = True
        log_sum = (scores / s["temperature"]).masked_fill(taken, -torch.inf).logsumexp(1)
        h, zy = weights[cols], by_z[rows, cols]
        without = (square[rows] - 2 * h * zy + h * h).clamp(min=LEAST_SQUARE).sqrt()
        score = 2 * (omega * by_own[rows, cols] + (1 - omega) * (zy - h) / without)
        gap = (score + self.bias[cols] - s["margin"]) / s["temperature"]
        return s["temperature"] * softplus(log_sum[rows] + self.log_share - gap).sum()

    def tables(self):
        with torch.no_grad():
            items, x = normalize(self.items), []
            for users in torch.arange(self.data.n_users).split(512):
                rows, cols = self.entries(users)
                z = self.sums(len(users), rows, cols, items)[1]
                mean = z / z.norm(dim=1, keepdim=True).clamp(min=LEAST_LENGTH)
                omega = self.settings["own"]
                x.append(omega * normalize(self.own[users]) + (1 - omega) * mean)
            return {"users": torch.cat(x), "items": items, "bias": self.bias.detach()}


class Run:
    """Epochs of one form, one after another."""

    def __init__(self, data, settings):
        torch.manual_seed(0)
        torch.set_num_threads(settings["threads"])
        self.model, self.settings, self.done = Softmax(data, settings), settings, 0
        self.step = optimizer(self.model, settings, sparse=False, fused=True)

    def epoch(self):
        s, users = self.settings, self.model.users
        falling = 1 - self.done / s["epochs"] if s["epochs"] else 1.0
        for group in self.step.param_groups:
            group["lr"] = s["lr"] * falling
        for block in users[torch.randperm(len(users))].split(s["batch_size"]):
            self.step.zero_grad()
            self.model.loss(block).backward()
            self.step.step()
        self.done += 1


def main():
    spec = json.loads(sys.stdin.readline())
    data = Pairs.read(spec["data"])
    warm = Run(data, spec["settings"])
    warm.model.users = warm.model.users[:1024]
    warm.epoch()
    run = Run(data, spec["settings"])
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "settings" in request:
            run = Run(data, request["settings"])
            print(json.dumps({}), flush=True)
            continue
        began = time.perf_counter()
        for _ in range(request["epochs"]):
            run.epoch()
        seconds = time.perf_counter() - began
        np.savez(spec["out"], **{name: t.numpy() for name, t in run.model.tables().items()})
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
