"""The lines of metrics.jsonl as small curves, drawn in the page itself: no script, no file beside it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from wikiart_data.console import escape_html
from wikiart_data.results.guessed_tables import FIGURES, figure_name, figure_text

_NOT_DRAWN = {"epoch", "step", "clock", "seconds", "size", "stage"}
_WIDTH, _HEIGHT, _EDGE = 200.0, 56.0, 4.0
_MOST_POINTS = 400
_NAMES = {"loss": "loss in training", "valid": "loss on valid", "valid_swapped": "the same, told other styles"}
_NAMES |= {"names": "the style network is right, %", "edges": "edges"}
_SHARES = {"names"}


def curves(metrics: Sequence[Mapping[str, Any]]) -> str:
    """A list of curves, one a figure that is logged; '' where nothing is.

    Args:
        metrics: the lines, in the order of epochs.
    """
    keys = dict.fromkeys(key for line in metrics for key in line if key not in _NOT_DRAWN)
    found = [curve(key, metrics) for key in keys]
    return "\n".join(['<ul class="curves">', *filter(None, found), "</ul>"]) if any(found) else ""


def curve(key: str, metrics: Sequence[Mapping[str, Any]]) -> str:
    """One figure over the epochs, its first and last value in words; '' if it never is a number."""
    counted = "step" if "step" in metrics[-1] else "epoch"
    # Epochs are counted from 0, steps from 1.
    points = [(line.get(counted, place) + (counted == "epoch"), line.get(key)) for place, line in enumerate(metrics)]
    points = [(float(x), float(y)) for x, y in points if isinstance(y, int | float) and math.isfinite(y)]
    if not points or not all(math.isfinite(x) for x, _ in points):
        return ""
    if (every := len(points) // _MOST_POINTS) > 1:
        points = [*points[:-1:every], points[-1]]
    (first, began), (last, ended) = points[0], points[-1]
    low, high = min(y for _, y in points), max(y for _, y in points)
    across, up = max(last - first, 1e-12), max(high - low, 1e-12)
    places = [
        (_EDGE + (x - first) / across * (_WIDTH - 2 * _EDGE), _HEIGHT - _EDGE - (y - low) / up * (_HEIGHT - 2 * _EDGE))
        for x, y in points
    ]
    if len(points) == 1:
        places = [(_WIDTH - _EDGE, _HEIGHT / 2)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    name, told = _name(key), [_text(key, value) for value in (began, ended)]
    about = f"{name}: {told[0]} in {counted} {first:g}, {told[1]} in {counted} {last:g}"
    return (
        f'<li><svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{escape_html(about)}">'
        f'<path class="ground" d="M0 {_HEIGHT:g}H{_WIDTH:g}"/><polyline class="line" points="{line}"/>'
        f'<circle class="last" cx="{places[-1][0]:.1f}" cy="{places[-1][1]:.1f}" r="3"/></svg>'
        f"<p><span>{escape_html(name)}</span> <b>{told[1]}</b></p></li>"
    )


def _name(key: str) -> str:
    return _NAMES.get(key) or figure_name(key)


def _text(key: str, value: float) -> str:
    if key in FIGURES:
        return figure_text(key, value)
    return f"{100 * value:.1f}" if key in _SHARES else f"{value:.4g}"
