"""The result of an evaluation: typed, read from and written to score/result.json, and printed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wikiart_data.console import echo
from wikiart_data.results.serialization import from_plain, to_plain
from wikiart_data.results.statistics import Estimate
from wikiart_data.results.tables import Number, Table, print_table
from wikiart_data.sample import is_sample_set
from wikiart_data.styles import display_name

TARGETS = {"times_base": 3.0, "hit_rate": 0.45, "among_three": 0.7, "scene": 0.9, "closer": 0.06}
"""Aims for an adapter of `tiny` on the sample set."""


@dataclass(frozen=True)
class Measures:
    """What is measured on one set of images; None where it cannot be."""

    top1: Estimate | None = None
    """Fraction of images classified by the judge as the style of their prompt."""
    top3: Estimate | None = None
    """The same among the judge's first three styles."""
    kid: Estimate | None = None
    """KID to real images, on the judge's features."""
    diversity: Estimate | None = None
    """Mean distance between two images of one style, over the styles."""


@dataclass(frozen=True)
class StyleRow:
    """One style's measures, of the base alone and with the adapter."""

    style: str
    base: Measures = field(default_factory=Measures)
    adapted: Measures = field(default_factory=Measures)


@dataclass(frozen=True)
class Memorisation:
    """How near generated images come to training images, and how near unseen real images come by chance."""

    painted: Estimate
    """Distance of generated images to the nearest training image."""
    held_out: Estimate
    """Distance of held-out real images to the nearest training image."""
    closer: Estimate
    """Fraction of generated images that are nearer to a training image than 95 % of the held-out ones are."""
    nearest: int
    """Index of the generated image that is nearest to a training image."""
    nearest_train: int
    """Index of that training image."""


@dataclass(frozen=True)
class Drift:
    """What an adapter changes in images of prompts without a style word; least of all is best."""

    kid: Estimate | None = None
    """KID of its images of the first half of the prompts to the base's of the second half, on the judge's features."""
    kid_of_base: Estimate | None = None
    """The same of the base's own images of the first half: what other prompts and seeds alone make."""
    scene: Estimate | None = None
    """Fraction of its images whose scene the probe recognises; sample set only."""
    scene_of_base: Estimate | None = None
    """The same of the base's images at the same prompts and seeds."""


@dataclass(frozen=True)
class Target:
    """An aim, and whether it was reached."""

    value: float
    aim: float
    reached: bool


@dataclass(frozen=True)
class Score:
    """An evaluation of a base without and with its adapter."""

    base: str
    strength: float
    n: int
    """Generated images, of base and adapter each."""
    styles: int
    side: int
    seed: int
    data_fingerprint: str
    training: dict[str, Any]
    """Options, steps and time of the run; empty for a run that was not finished."""
    rows: dict[str, Measures]
    """Over all styles, by set of images: base, adapted, real, …"""
    memorisation: dict[str, Memorisation]
    """By set of images: base, adapted."""
    per_style: tuple[StyleRow, ...]
    judge: dict[str, Any] | None = None
    """Facts about the judge; None without one."""
    chance: dict[str, float] | None = None
    """Accuracy of guessing: top1, top3."""
    probe: dict[str, Estimate] | None = None
    """Fraction of images whose scene the probe recognises, by set of images; sample set only."""
    drift: Drift | None = None
    """None in results of earlier versions, and where there is neither a judge nor a probe."""
    targets: dict[str, Target] = field(default_factory=dict)
    split: str = "valid"
    """Of the held-out real images and of the titles in the prompts; results that do not say so are on valid."""
    real_of_all_styles: bool = False
    """Whether held-out real images are of all styles, because those trained on have too few."""
    git_commit: str | None = None
    """None for an installed copy without a repository."""
    title: str = "Evaluation of an adapter"
    kind: str = "lora score"
    command: str = "wikiart-lora evaluate"

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Score":
        """From the content of a result.json, of this version or of an earlier one.

        Raises:
            InputError: it is no score.
        """
        per_style = [{**row, **{name: _of_style(row.get(name, {})) for name in _SETS}} for row in content["per_style"]]
        return from_plain(cls, {**content, "per_style": per_style})

    def to_json(self) -> dict[str, Any]:
        """The content of result.json; what was not measured is left out."""
        return _without_none(to_plain(self))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(entry) for key, entry in value.items() if entry is not None}
    return [_without_none(entry) for entry in value] if isinstance(value, list) else value


_SETS = ("base", "adapted")


def _of_style(measures: Mapping[str, Any]) -> Mapping[str, Any]:
    """One style's measures; earlier versions wrote its diversity, which has no interval, as a number."""
    value = measures.get("diversity")
    if not isinstance(value, float):
        return measures
    return {**measures, "diversity": {"value": value, "interval": [value, value], "n": 1}}


def has_targets(base: str, data: Path) -> bool:
    """Whether there are aims for this base on this data folder."""
    return base == "tiny" and is_sample_set(data)


def compare_with_targets(
    rows: Mapping[str, Measures], memorisation: Memorisation, probe: Mapping[str, Estimate] | None
) -> dict[str, Target]:
    """Each aim that was measured, with the value reached."""
    targets: dict[str, Target] = {}
    before, after = rows["base"].top1, rows["adapted"].top1
    if before and after:
        ratio = after.value / max(before.value, 1 / before.n)
        targets["hit rate, times the base's"] = _target(ratio, TARGETS["times_base"])
        targets["hit rate"] = _target(after.value, TARGETS["hit_rate"])
    if among_three := rows["adapted"].top3:
        targets["hit rate among three"] = _target(among_three.value, TARGETS["among_three"])
    if probe is not None:
        targets["scenes recognised by the probe"] = _target(probe["adapted, style asked"].value, TARGETS["scene"])
    targets["images nearer to a training image than 95 % of held-out ones"] = _target(
        memorisation.closer.value, TARGETS["closer"], at_most=True
    )
    return targets


def _target(value: float, aim: float, at_most: bool = False) -> Target:
    return Target(float(value), float(aim), bool(value <= aim if at_most else value >= aim))


def tables(score: Score) -> list[Table]:
    """The score as tables: over all styles, scenes, memorisation, aims, and by style."""
    rows: list[tuple[str, Number | None, Number | None, Number | None, Number | None]] = [
        (name, _percent(row.top1), _percent(row.top3), _number(row.kid), _number(row.diversity))
        for name, row in score.rows.items()
    ]
    if score.chance is not None:
        rows.append(("chance", Number(score.chance["top1"], "%"), Number(score.chance["top3"], "%"), None, None))
    # Earlier versions, which measured no drift, averaged over real images instead of styles.
    mix = (
        "on their natural mix of styles" if score.drift is None else "the mean over styles, as all are generated alike"
    )
    of_all = ", of all styles, since those trained on have too few there" if score.real_of_all_styles else ""
    of_strength = "" if score.strength == 1 else f", strength {score.strength:g}"
    result = [
        Table(
            f"{score.n:,} images of {score.styles} styles, at the same prompts and seeds{of_strength}",
            ("", "judge: top-1", "top-3", "KID", "diversity"),
            tuple(rows),
            "In brackets 95 % intervals. top-1 and top-3: images whose style the judge recognises; for real images "
            f"{mix}. Real images: of {score.split}{of_all}. Encoded and decoded: the same after the base's "
            "autoencoder. KID: distance to real images, lower is better.",
        )
    ]
    if score.probe:
        scenes = tuple((_PROBE_ROWS.get(name, name), _percent(row)) for name, row in score.probe.items())
        result.append(Table("Scene of the prompt recognised by the probe", ("", "recognised"), scenes))
    if score.drift is not None:
        drift = score.drift
        rows_of_drift = (
            ("base", _percent(drift.scene_of_base), _number(drift.kid_of_base)),
            ("with the adapter", _percent(drift.scene), _number(drift.kid)),
        )
        note = (
            "Prompts without a style word. KID: images of the first half of the prompts, compared with the base's own "
            "images of the second half, at other seeds."
        )
        result.append(Table("Drift", ("", "scene recognised", "KID to the base"), rows_of_drift, note))
    near = score.memorisation["adapted"]
    result.append(
        Table(
            "Distance to the nearest training image",
            ("", "distance", "nearer than 95 % of held-out"),
            (
                *((name, _number(row.painted, 4), _percent(row.closer)) for name, row in score.memorisation.items()),
                ("held-out real images", _number(near.held_out, 4), None),
            ),
            "Root mean squared distance of thumbnails; a copy has a far smaller distance than any held-out image. Of "
            "held-out images themselves, 5 % are nearer.",
        )
    )
    if score.targets:
        aims = tuple(
            (name, Number(target.value, digits=3), Number(target.aim, digits=3), "yes" if target.reached else "no")
            for name, target in score.targets.items()
        )
        result.append(Table("Aims", ("", "value", "aim", "reached"), aims))
    if score.judge is not None:
        by_style = tuple(
            (
                display_name(row.style),
                _percent(row.base.top1),
                _percent(row.adapted.top1),
                _number(row.base.kid),
                _number(row.adapted.kid),
            )
            for row in score.per_style
        )
        headings = ("", "base: top-1", "adapted: top-1", "base: KID", "adapted: KID")
        result.append(Table("By style", headings, by_style, folded=True))
    return result


def print_score(result: "Score | Mapping[str, Any]") -> None:
    """Print a score, or the content of its result.json, without the rows per style."""
    score = result if isinstance(result, Score) else Score.from_json(result)
    for table in tables(score):
        if not table.folded:
            echo()
            print_table(table)


_PROBE_ROWS = {
    "real": "real images",
    "base": "base, prompts without a style",
    "base, style asked": "base, prompts with a style",
    "adapted, style asked": "with the adapter, prompts with a style",
}


def _percent(estimate: Estimate | None) -> Number:
    return Number(None, "%") if estimate is None else estimate.number("%")


def _number(estimate: Estimate | None, digits: int = 3) -> Number:
    return Number(None) if estimate is None else estimate.number(digits=digits)


def style_estimate(value: float) -> Estimate:
    """A value of one style alone, which has no interval over styles."""
    return Estimate(value, (value, value), 1)
