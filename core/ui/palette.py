"""One palette for classes and runs, the same on every chart and in both themes; told apart without colour too."""

from __future__ import annotations

# Okabe and Ito's idea (distinct for colour-blind eyes), with each hue at a contrast of 3 or more on white and on black.
COLOURS = ("#4C6EF5", "#D9730D", "#0CA678", "#C2358F", "#8A63F0", "#0C8599", "#B7791F", "#6B7688")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "cross", "triangle-up", "star")
TRAIN, VALIDATION, TEST = COLOURS[0], COLOURS[1], COLOURS[2]
NEUTRAL = "#8A93A6"


def colour(index: int) -> str:
    """Colour of the class or run at a position."""
    return COLOURS[index % len(COLOURS)]


def dash(index: int) -> str:
    """Line style of the class or run at a position."""
    return DASHES[index % len(DASHES)]


def marker(index: int) -> str:
    """Marker of the class or run at a position."""
    return MARKERS[index % len(MARKERS)]
