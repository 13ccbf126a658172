"""The lines of metrics.jsonl as small curves for the page: each metric's points in an SVG, and its ends in words."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wikiart_data.results.tables import Number

WIDTH, HEIGHT = 200.0, 56.0
"""Units of the SVG that a curve is drawn in."""
_MARGIN = 4.0
_MAX_POINTS = 400
_NOT_METRICS = {"epoch", "step", "clock", "seconds", "size", "stage"}
_METRICS: dict[str, tuple[str, str, int]] = {
    "top1": ("top-1", "%", 1),
    "top3": ("top-3", "%", 1),
    "balanced": ("balanced accuracy", "%", 1),
    "macro_f1": ("macro-F1", "%", 1),
    "many": ("recall, many", "%", 1),
    "medium": ("recall, medium", "%", 1),
    "few": ("recall, few", "%", 1),
    "ece": ("calibration error", "%", 1),
    "psnr": ("PSNR", "dB", 2),
    "ssim": ("SSIM", "", 3),
    "mse": ("MSE", "", 5),
    "kid": ("KID", "", 3),
    "lr": ("learning rate", "", 5),
}
"""Names of metrics as they are logged → how they are written: name, unit, digits. Others are shown as logged."""


@dataclass(frozen=True)
class Curve:
    """One metric over epochs or steps, scaled to WIDTH × HEIGHT."""

    name: str
    points: tuple[tuple[float, float], ...]
    """From left to right; y grows downwards, as in an SVG."""
    first: str
    last: str
    """The first and the last value as text."""
    counted: str
    """What is counted along x: `epoch` or `step`."""
    start: float
    end: float

    @property
    def description(self) -> str:
        """The curve in words: `top-1: 25.0 % in epoch 1, 37.5 % in epoch 2`."""
        return f"{self.name}: {self.first} in {self.counted} {self.start:g}, {self.last} in {self.counted} {self.end:g}"


def curves(metrics: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """A curve for each metric that is ever a finite number.

    Args:
        metrics: the lines of metrics.jsonl.
    """
    keys = dict.fromkeys(key for line in metrics for key in line if key not in _NOT_METRICS)
    return [found for key in keys if (found := curve(key, metrics)) is not None]


def curve(key: str, metrics: Sequence[Mapping[str, Any]]) -> Curve | None:
    """One metric over the run, at most a few hundred points of it; None if it never is a finite number."""
    counted = "step" if "step" in metrics[-1] else "epoch"
    points = list(_finite_points(key, counted, metrics))
    if not points:
        return None
    if (stride := len(points) // _MAX_POINTS) > 1:
        points = [*points[:-1:stride], points[-1]]
    (start, first), (end, last) = points[0], points[-1]
    if len(points) == 1:
        scaled = [(WIDTH - _MARGIN, HEIGHT / 2)]
    else:
        low, high = min(y for _, y in points), max(y for _, y in points)
        x_scale = (WIDTH - 2 * _MARGIN) / max(end - start, 1e-12)
        y_scale = (HEIGHT - 2 * _MARGIN) / max(high - low, 1e-12)
        scaled = [(_MARGIN + (x - start) * x_scale, HEIGHT - _MARGIN - (y - low) * y_scale) for x, y in points]
    name, unit, digits = _METRICS.get(key, (key.replace("_", " "), "", None))
    first, last = (f"{y:.4g}" if digits is None else str(Number(y, unit, digits)) for y in (first, last))
    return Curve(name, tuple(scaled), first, last, counted, start, end)


def _finite_points(key: str, counted: str, metrics: Sequence[Mapping[str, Any]]) -> Iterator[tuple[float, float]]:
    for index, line in enumerate(metrics):
        x, y = line.get(counted, index), line.get(key)
        if all(isinstance(value, int | float) and math.isfinite(value) for value in (x, y)):
            yield float(x) + (counted == "epoch"), float(y or 0)  # epochs are counted from 0, steps from 1
