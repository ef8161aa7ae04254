"""The metric models as one would write them in torch, for baselines.py to measure beside ours.

Embeddings, autograd and torch.optim; negatives drawn for a whole epoch at once; touched rows
projected after each step. Losses are sums over the mini-batch. Formulas are those of the papers;
d² is squared Euclidean distance.
"""

from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

import record

SMALLEST_MARGIN = 1e-6


class Pairs(NamedTuple):
    """Positive pairs, sorted by user and item, and the sizes of both sides."""

    users: torch.Tensor
    items: torch.Tensor
    n_users: int
    n_items: int

    @classmethod
    def read(cls, path):
        with np.load(path) as file:
            users, items = (
                torch.from_numpy(file[name].astype(np.int64)) for name in cls._fields[:2]
            )
            return cls(users, items, int(file["n_users"]), int(file["n_items"]))

    def negatives(self, users):
        """Draw an item that the user does not have, uniformly, for each of `users`."""
        keys = self.users * self.n_items + self.items
        drawn = torch.randint(self.n_items, users.shape)
        redraw = torch.arange(len(users))
        while len(redraw):
            wanted = users[redraw] * self.n_items + drawn[redraw]
            place = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
            redraw = redraw[keys[place] == wanted]
            drawn[redraw] = torch.randint(self.n_items, redraw.shape)
        return drawn


def d2(a, b):
    return (a - b).square().sum(-1)


def into_ball(table, rows):
    table.weight[rows] = table.weight[rows].renorm(2, 0, 1.0)


class CML(nn.Module):
    """[d²(u,v) − d²(u,v⁻) + m]₊, one uniform negative, rows in the unit ball."""

    def __init__(self, data, settings, sparse):
        super().__init__()
        self.data, self.settings, dim = data, settings, settings["dim"]
        self.users = nn.Embedding(data.n_users, dim, sparse=sparse)
        self.items = nn.Embedding(data.n_items, dim, sparse=sparse)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=dim**-0.5)

    def epoch(self):
        """Return the samples of an epoch, as columns."""
        order = torch.randperm(len(self.data.users))
        users = self.data.users[order]
        return users, self.data.items[order], self.data.negatives(users)

    def loss(self, u, v, n):
        user, positive, negative = self.users(u), self.items(v), self.items(n)
        hinge = d2(user, positive) - d2(user, negative) + self.settings["margin"]
        return hinge.relu().sum()

    def project(self, u, v, n):
        into_ball(self.users, u)
        into_ball(self.items, torch.cat([v, n]))


class SML(CML):
    """Equations (5)-(6): the item's hinge too, and margins m_u, n_v learned within (0, l]."""

    def __init__(self, data, settings, sparse):
        super().__init__(data, settings, sparse)
        self.user_margins = nn.Embedding(data.n_users, 1, sparse=sparse)
        self.item_margins = nn.Embedding(data.n_items, 1, sparse=sparse)
        nn.init.constant_(self.user_margins.weight, settings["margin"])
        nn.init.constant_(self.item_margins.weight, settings["item_margin"])

    def loss(self, u, v, n):
        user, positive, negative = self.users(u), self.items(v), self.items(n)
        m, n = self.user_margins(u).squeeze(1), self.item_margins(v).squeeze(1)
        near = d2(user, positive)
        by_user = (near - d2(user, negative) + m).relu().sum()
        by_item = (near - d2(positive, negative) + n).relu().sum()
        lam, gamma = self.settings["lam"], self.settings["gamma"] / 512
        return by_user + lam * by_item - gamma * (m.sum() + n.sum())

    def project(self, u, v, n):
        super().project(u, v, n)
        self.user_margins.weight.clamp_(SMALLEST_MARGIN, self.settings["margin"])
        self.item_margins.weight.clamp_(SMALLEST_MARGIN, self.settings["item_margin"])


class TransCF(CML):
    """The hinge with D(u,v) = ‖α_u + ᾱ_u ⊙ β̄_v − β_v‖², and two regularisers.

    ᾱ_u is the mean of u's items, β̄_v that of v's users, both taken at the start of an epoch.
    """

    def __init__(self, data, settings, sparse):
        super().__init__(data, settings, sparse)
        shape, ones = (data.n_users, data.n_items), torch.ones(len(data.users))
        pairs = torch.sparse_coo_tensor(torch.stack([data.users, data.items]), ones, shape)
        self.of_users, self.of_items = pairs.to_sparse_csr(), pairs.t().to_sparse_csr()

    def epoch(self):
        with torch.no_grad():
            self.user_means = means(self.of_users, self.items.weight)
            self.item_means = means(self.of_items, self.users.weight)
        return super().epoch()

    def loss(self, u, v, n):
        s, user, positive, negative = self.settings, self.users(u), self.items(v), self.items(n)
        around_user, around_item = self.user_means[u], self.item_means[v]
        near = d2(user + around_user * around_item, positive)
        far = d2(user + around_user * self.item_means[n], negative)
        apart = d2(user, around_user) + d2(positive, around_item)
        hinge = (s["margin"] + near - far).relu()
        return (hinge + s["reg_distance"] * near + s["reg_neighbours"] * apart).sum()


def means(lists, table):
    """Return the mean of the rows in each list, of a sparse matrix of ones."""
    return (lists @ table) / lists.crow_indices().diff().clamp(min=1).unsqueeze(1)


class LRML(CML):
    """The hinge with D(u,v) = ‖α_u + aM − β_v‖², a = softmax((α_u ⊙ β_v)K), for both pairs."""

    def __init__(self, data, settings, sparse):
        super().__init__(data, settings, sparse)
        shape = settings["slots"], settings["dim"]
        keys, memory = (torch.randn(shape) * shape[1] ** -0.5 for _ in range(2))
        self.keys, self.memory = nn.Parameter(keys), nn.Parameter(memory)

    def distance(self, user, item):
        attention = ((user * item) @ self.keys.T).softmax(1)
        return d2(user + attention @ self.memory, item)

    def loss(self, u, v, n):
        user, positive, negative = self.users(u), self.items(v), self.items(n)
        hinge = self.distance(user, positive) - self.distance(user, negative)
        return (self.settings["margin"] + hinge).relu().sum()


class FML(CML):
    """(1 + αy)·(a(1 − y) − d²)² over positive and sampled cells, d² under dropout."""

    def epoch(self):
        users, items, n = self.data.users, self.data.items, self.settings["negatives"]
        others = users.repeat_interleave(n)
        y = torch.cat([torch.ones(len(users)), torch.zeros(len(others))])
        cells = torch.cat([users, others]), torch.cat([items, self.data.negatives(others)]), y
        order = torch.randperm(len(y))
        return tuple(column[order] for column in cells)

    def loss(self, u, v, y):
        s = self.settings
        squares = (self.users(u) - self.items(v)).square()
        distance = nn.functional.dropout(squares, 1 - s["keep"]).sum(1)
        error = s["distance"] * (1 - y) - distance
        return ((1 + s["confidence"] * y) * error.square()).sum()

    def project(self, u, v, y):
        into_ball(self.users, u)
        into_ball(self.items, v)


FORMS = {"cml": CML, "sml": SML, "lrml": LRML, "transcf": TransCF, "fml": FML}


def optimizer(model, settings, sparse, fused):
    name, lr, extra = settings["optimizer"], settings["lr"], {"fused": True} if fused else {}
    if name == "adagrad":
        return torch.optim.Adagrad(model.parameters(), lr, initial_accumulator_value=0.1, **extra)
    if name == "sgd":
        return torch.optim.SGD(model.parameters(), lr, **extra)
    return (torch.optim.SparseAdam if sparse else torch.optim.Adam)(model.parameters(), lr, **extra)


def epochs(model, optimizer, threads):
    """Return what trains an epoch, or its first `batches` mini-batches."""

    clip = model.settings.get("clip")

    def run(batches=None):
        torch.set_num_threads(threads)
        columns = (column.split(model.settings["batch_size"]) for column in model.epoch())
        for batch in islice(zip(*columns, strict=True), batches):
            optimizer.zero_grad()
            model.loss(*batch).backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            with torch.no_grad():
                model.project(*batch)

    return run


def ways(spec):
    """Return the ways to train that are worth a try, torch's defaults first."""
    data, settings, found = Pairs.read(spec["data"]), spec["settings"], {}
    for threads in sorted({spec["threads"], 1}, reverse=True):
        for kind in ("as torch comes", "fused optimiser", "sparse gradients"):
            sparse, fused = kind == "sparse gradients", kind == "fused optimiser"
            if sparse and "clip" in settings:
                continue  # torch cannot clip them
            model = FORMS[spec["form"]](data, settings, sparse)
            step = optimizer(model, settings, sparse, fused)
            found[f"{kind}, threads={threads}"] = epochs(model, step, threads)
    return found


if __name__ == "__main__":
    record.serve(ways, "torch", "numpy")
