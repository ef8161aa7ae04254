"""Ablations in name only: learned margins that never left their limit are fixed ones."""

from typing import Any

Result = dict[str, Any]
SIDES = {"u": ("user",), "p": ("item",), "up": ("user", "item")}
WITHOUT = {
    "base+u": {"u": "base"},
    "base+s+p": {"p": "base+s"},
    "base+s+u": {"u": "base+s"},
    "sml": {"up": "base+s", "p": "base+s+u", "u": "base+s+p"},
}
"""What an ablation is where the margins of some sides never moved."""


def frozen(result: Result, sides: tuple[str, ...] = ("user", "item")) -> bool:
    """Tell whether no learned margin of these sides ended below its limit.

    A margin at its limit that is pushed up neither moves nor changes its moments, so that then the
    training was that of fixed margins, to the bit. A result without margins is not.
    """
    margins = result.get("margins")
    if margins is None:
        return False
    return all(min(margins[f"{s}_margin"]) >= margins[f"{s}_limit"] for s in sides)


def nominal(results: dict[str, list[Result]]) -> dict[str, str]:
    """Return the ablations that are others under another name: {name: the other}.

    Margins that fell and came back to the limit are no others: metrics must be the same too.
    """
    found = {}
    for name, options in WITHOUT.items():
        for sides, other in options.items():
            if (
                results.get(name)
                and results.get(other)
                and all(frozen(result, SIDES[sides]) for result in results[name])
                and [r.get("metrics") for r in results[name]]
                == [r.get("metrics") for r in results[other]]
            ):
                found[name] = other
                break
    return found


def reason(other: str) -> str:
    """Say why a row is not shown."""
    return f"the same training as {other}: margins never left their limit"
