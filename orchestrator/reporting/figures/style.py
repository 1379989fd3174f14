"""How a run looks: one color and one dash in every figure."""

from __future__ import annotations

LABEL = 44  # characters of a name in a legend or on an axis

# Okabe and Ito (2008): colors that people with any color vision can distinguish; without yellow
# and black, which vanish on a light or a dark page.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
DASHES = ("solid", "dash", "dot", "dashdot")


def style_of(place: int) -> dict[str, str]:
    """Return the color and dash of the run at `place` in a report."""
    dash = DASHES[place // len(COLORS) % len(DASHES)]
    return {"color": COLORS[place % len(COLORS)], "dash": dash}


def plain(text: str, most: int = 10_000) -> str:
    """Return text that Plotly, which reads some HTML and its own %{…}, shows as it is.

    Text of more than `most` characters loses its middle.
    """
    half = most // 2
    text = text if len(text) <= most else f"{text[:half]}…{text[len(text) + half - most + 1 :]}"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("%{", "% {")
