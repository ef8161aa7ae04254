"""Sections of text: how the reproduction was made, and what it lacks."""

from typing import TYPE_CHECKING, Any

from trimetric.experiments.margins import LOW
from trimetric.experiments.paper import published
from trimetric.experiments.paper.cells import value
from trimetric.experiments.tune import Budget

if TYPE_CHECKING:
    from trimetric.data.splits import Split

NO_COUNTERPART = "not one of the paper's data sets: there is nothing published to set beside it"


def how(released: "Split", honest: "Split", spend: Budget, seeds: int) -> dict[str, Any]:
    """Describe the groups of columns."""
    sizes = {
        name: ", ".join(f"{part} {n:,}" for part, n in split.how["pairs"].items() if n)
        for name, split in (("released", released), ("honest", honest))
    }
    return {
        "kind": "text",
        "title": "What the groups of columns are",
        "paragraphs": [
            "**Published**: as printed in the paper.",
            "**As-released (leak)**: what the authors' code does. Ratings of 1 are dropped; 9:1"
            f" random split ({sizes['released']}). Each user has a pool, the first 500 items that"
            " the user never touched: training draws all its negatives from it and the test ranks"
            " the held-out items among it. So training learns, item by item, which candidates are"
            " no answers. The test part is evaluated during training and the best value of each"
            " metric is kept, each at its own time. SML, CML and the ablations have the released"
            f" settings, but train {spend.epochs} epochs (released: 800); what the other systems"
            " had is not published: they keep their defaults.",
            "**Honest**: all ratings count as interactions, 81/9/10 random split"
            f" ({sizes['honest']}); negatives are any items the user did not interact with in"
            f" training. {spend.trials} trials a system, the first with its defaults, and the time"
            " to stop are judged by ndcg@10 of a full ranking of the validation part. The test"
            " part was looked at once. `sampled-499` ranks each user's held-out items among 499"
            " items that the user never touched, drawn at random from all; full ranking among all"
            " items but those of train and valid.",
            f"**Seeds**: {seeds} for every model with chance in it, one split; ± is the standard"
            " deviation over seeds.",
            "**Differences from the systems' own papers** are in the docstring of each model.",
        ],
    }


def in_words(outcomes: dict[str, Any]) -> dict[str, Any]:
    """Say what the paper as printed comes to, and where its margins are in the end."""
    settings, log, results = outcomes["table3 printed sml"]
    shown = {
        "sml as printed": results,
        "cml as printed": outcomes["table3 printed cml"][2],
        "sml, the paper's objective tuned": outcomes["table3 honest sml"][2],
        "sml, library default": outcomes["table3 hard sml"][2],
    }
    shown |= {
        name: outcomes[f"table3 honest {name}"][2]
        for name in ("popularity",)
        if f"table3 honest {name}" in outcomes
    }
    rates = ", ".join(
        f"{row['settings']['lr']:g}: "
        + ("failed" if row["value"] is None else f"{row['value']:.4f}")
        for row in log
    )
    paragraphs = [
        "**Full ranking, ndcg@10 of the test part**: "
        + "; ".join(
            f"{name} {value(found, 'full', 'ndcg@10'):.4f}" for name, found in shown.items()
        )
        + ".",
        f"**Its learning rate**, by ndcg@10 of the validation part: {rates}; taken"
        f" {settings['lr']:g}.",
    ]
    ends = [result["margins"] for result in results if "margins" in result]
    if ends:
        users = [margin for end in ends for margin in end["user_margin"]]
        items = [margin for end in ends for margin in end["item_margin"]]
        low = sum(margin < LOW for margin in users) / len(users)
        paragraphs.append(
            f"**Its margins** end at a mean of {sum(users) / len(users):.3f} (users;"
            f" {low:.0%} below {LOW:g}) and {sum(items) / len(items):.3f} (items). A margin m_u has"
            " the gradient (share of the user's active hinges) − γ/512: with γ ="
            f" {settings['gamma']:g} it falls as long as more than"
            f" {min(1.0, settings['gamma'] / 512):.2%} of them are active, and where margins are"
            " near 0 hinges rest and training ends. n_v, with λ in place of 1, cannot fall where"
            f" λ = {settings['lam']:g} is below γ/512 = {settings['gamma'] / 512:.4f}."
        )
    return {"kind": "text", "title": "Table 3: the paper as printed", "paragraphs": paragraphs}


def missing(name: str) -> dict[str, Any]:
    """List what is not available, and what stands in for it."""
    counterpart = published.counterpart(name)
    stands = f"**{name}**: {counterpart.note if counterpart else NO_COUNTERPART}."
    return {
        "kind": "text",
        "title": "What could not be had",
        "paragraphs": [
            stands,
            "**Instant Video**: the paper's 4,902 users × 1,683 items come from a filter that is"
            " not published, and the released code comes without data; the official 5-core files"
            " are used.",
            "**IMDB and Yelp 2013** (Tang et al., ACL 2015): the full files are linked by the"
            " paper, but were not at hand; only parts of their training sets, made sparse on"
            " purpose and without ratings. They run when put where `trimetric data list` says,"
            " and until then `yelp_core40` and the partial files stand in, labelled so.",
            "**Figures 4 to 6** have no printed numbers; beside ours stands what the text says.",
            "**The released code's baselines** are other public implementations, with settings"
            " that are not published; ours follow each system's own paper.",
        ],
    }


def oddities(dataset: str | None) -> dict[str, Any]:
    """List where the published values contradict each other."""
    listed = [oddity for oddity in published.oddities() if oddity.dataset == dataset]
    rows = [
        {
            "label": f"{oddity.model}, {published.shown(oddity.metric)}",
            "cells": {
                "note": {"value": oddity.note, "source": oddity.source},
                "where": {"value": oddity.source, "source": oddity.source},
            },
        }
        for oddity in listed
    ]
    if not rows:
        return {
            "kind": "text",
            "title": "Where the published values disagree",
            "paragraphs": ["Nothing was found for this data set."],
        }
    return {
        "kind": "table",
        "title": "Where the published values disagree",
        "caption": "HR (paper)@K and P@K share their hits, so that their ratio is one number for a"
        " data set; rows that are off it have a misprint, or another test set.",
        "label": "value",
        "columns": [
            {"key": "note", "label": "what does not fit"},
            {"key": "where", "label": "in"},
        ],
        "rows": rows,
    }
