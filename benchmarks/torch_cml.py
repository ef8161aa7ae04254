"""CML with hard negatives as one would write it in torch, for speed.py to time to a quality.

The hardest of S uniform negatives is looked up without gradients, and the hinge, weighted by
ln(1 + rank), is taken at it alone. Negatives of an epoch are drawn at once.

Asked on standard input for epochs, one line of JSON each, it answers with the seconds they took
and leaves the positions in a file.
"""

import json
import sys
import time

import numpy as np
import torch

from torch_forms import CML, Pairs, d2, epochs, into_ball, optimizer


class HardCML(CML):
    """w·[d²(u,v) − d²(u,v⁻) + m]₊ with v⁻ the nearest of S, w = ln(1 + |V|·impostors/S)."""

    def epoch(self):
        order, each = torch.randperm(len(self.data.users)), self.settings["candidates"]
        users = self.data.users[order]
        drawn = self.data.negatives(users.repeat_interleave(each)).view(-1, each)
        return users, self.data.items[order], drawn

    def loss(self, u, v, drawn):
        with torch.no_grad():
            user = self.users.weight[u]
            far = d2(user.unsqueeze(1), self.items.weight[drawn])
            reach = d2(user, self.items.weight[v]) + self.settings["margin"]
            impostors = (far < reach.unsqueeze(1)).sum(1)
            weight = torch.log1p(self.data.n_items * impostors / drawn.shape[1])
            self.hardest = drawn.gather(1, far.argmin(1, keepdim=True)).squeeze(1)
        return (weight * self.hinge(u, v, self.hardest)).sum()

    def hinge(self, u, v, n):
        user = self.users(u)
        reach = d2(user, self.items(v)) + self.settings["margin"]
        return (reach - d2(user, self.items(n))).relu()

    def project(self, u, v, drawn):
        into_ball(self.users, u)
        into_ball(self.items, torch.cat([v, self.hardest]))


def main():
    spec = json.loads(sys.stdin.readline())
    torch.manual_seed(0)
    settings = spec["settings"]
    model = HardCML(Pairs.read(spec["data"]), settings, settings["sparse"])
    step = optimizer(model, settings, settings["sparse"], not settings["sparse"])
    train = epochs(model, step, spec["threads"])
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(json.loads(line)["epochs"]):
            train()
        seconds = time.perf_counter() - began
        tables = (table.weight.detach().numpy() for table in (model.users, model.items))
        np.savez(spec["out"], **dict(zip(("users", "items"), tables, strict=True)))
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
