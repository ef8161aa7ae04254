"""How a model shows itself in a notebook."""

from typing import TYPE_CHECKING

from trimetric import notebook

if TYPE_CHECKING:
    from trimetric.models.recommender import Recommender

CURVES = ("loss", "active")


def card(model: "Recommender") -> str:
    """Return settings, sizes and training curves as HTML."""
    title = f"{type(model).__name__} ({model.name})"
    if not model.provenance:
        return notebook.card(f"{title}, not trained", model.get_params())
    facts = {
        "users": len(model.user_ids),
        "items": len(model.item_ids),
        "interactions": len(model.seen.items),
        "epochs": len(model.history),
        "can": ", ".join(sorted(model.capabilities)) or "recommend",
    }
    settings = ", ".join(f"{name}={value}" for name, value in model.get_params().items())
    shown = [name for name in CURVES if any(name in row for row in model.history)]
    measured = sorted({name for row in model.history for name in row if "@" in name})
    curves = (
        notebook.curve(name, [row[name] for row in model.history if row.get(name) is not None])
        for name in (*shown, *measured)
    )
    return notebook.card(title, facts, *curves, notebook.note(settings))
