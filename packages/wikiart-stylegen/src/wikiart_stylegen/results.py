"""What training and evaluation report, as typed results, and the tables that show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wikiart_autoencode.evaluation.probes import CodeMetrics
from wikiart_data.console import echo
from wikiart_data.results.serialization import from_plain
from wikiart_data.results.statistics import Estimate
from wikiart_data.results.tables import Cell, Number, Table, print_table
from wikiart_data.styles import display_name
from wikiart_stylegen.ground_truth import GroundTruth
from wikiart_stylegen.metrics import GALLERY_SIZE


@dataclass(frozen=True)
class TrainResult:
    """What a training run reports."""

    folder: Path
    """The run's folder."""
    psnr: float
    """Mean PSNR of validation images reconstructed in their own style, in dB."""
    train_seconds: float
    """Seconds of training, without validation."""
    parameters: int
    """Parameters of the trained network."""
    epochs: int

    def tables(self) -> list[Table]:
        """One table."""
        rows: tuple[tuple[Cell, ...], ...] = (
            ("PSNR of validation images in their own style", Number(self.psnr, "dB", 2)),
            ("epochs", Number(self.epochs)),
            ("parameters", Number(self.parameters)),
            ("training", Number(self.train_seconds, "s", 0)),
        )
        return [Table("Training", ("", "value"), rows)]


@dataclass(frozen=True)
class VariantScore:
    """How one kind of image fares: whether a judge recognises the target style, and how much of the input is left."""

    label: str
    top1: Estimate
    """Fraction of images that the judge classifies as the target style."""
    top3: Estimate
    ssim: Estimate | None = None
    """Structural similarity with the input."""
    edges: Estimate | None = None
    """Correlation of coarse edge maps with the input's."""
    retrieval: Estimate | None = None
    """Fraction whose input is the nearest of 100 images (of all, if they are fewer) by edges."""


@dataclass(frozen=True)
class StrengthScore:
    """The scores of repaints at one strength."""

    strength: float
    score: VariantScore


@dataclass(frozen=True)
class StyleScore:
    """Judge accuracy for one target style."""

    style: str
    train: int
    """Training images of the style."""
    repaints: Estimate
    real: Estimate | None = None
    """For real paintings of the style in the same split; None without any."""
    colour_transfer: Estimate | None = None


@dataclass(frozen=True)
class SameMix:
    """Judge accuracy (top-1) of repaints and real paintings over the same mix of styles, that of the targets."""

    styles: tuple[str, ...]
    """The styles that are averaged."""
    repaints: Estimate
    colour_transfer: Estimate
    real: Estimate
    """Each style weighted by its fraction among the targets."""


@dataclass(frozen=True)
class StyleKid:
    """Kernel inception distances to the real training images of one style, on the judge's features."""

    style: str
    repaints: Estimate
    inputs: Estimate
    """Of the unchanged inputs of these repaints."""
    colour_transfer: Estimate | None = None


@dataclass(frozen=True)
class NearestTraining:
    """Distance to the nearest training image, on the judge's features: whether repaints copy training images."""

    threshold: float
    """5th percentile of the distances of held-out real images."""
    below: Estimate
    """Fraction of repaints nearer than the threshold; 5 % would be as near as held-out images are."""
    repaints_median: float
    held_out_median: float


@dataclass(frozen=True)
class Sensitivity:
    """Mean absolute difference of pixel values in [0, 1]."""

    style_change: Estimate
    """Between the repaints of an image in two target styles."""
    reconstruction_change: Estimate
    """Between an image and its repaint in its own style."""


@dataclass(frozen=True)
class JudgeSummary:
    """Which judge scored, and how good it is on real paintings it was not trained on."""

    seed: int | None = None
    network: str | None = None
    width: float | None = None
    top1: float | None = None
    top3: float | None = None
    split: str | None = None


@dataclass(frozen=True)
class SecondJudge:
    """What a judge of another architecture makes of the same images."""

    judge: JudgeSummary
    top1: dict[str, Estimate]
    """Judge accuracy by kind of image; the keys are those of `EvaluationResult.variants`, without `real` if no target
    style that was drawn has a real painting among the images."""
    all_styles: SameMix | None
    recognised_styles: SameMix | None
    unrecognised: tuple[str, ...]


@dataclass(frozen=True)
class TrainingFacts:
    """How the evaluated network was trained."""

    seed: int
    conditioning: str
    artist_half: str
    """The half of the artists whose images it was trained on, or all."""
    epochs: int
    batch_size: int
    width: float
    train_seconds: float
    parameters: int
    device: str
    processes: int


@dataclass(frozen=True)
class EvaluationResult:
    """What `wikiart-stylegen evaluate` measured. Fields that are None were not measured."""

    split: str
    n: int
    """Images that were repainted."""
    styles: int
    """Target styles."""
    judge: JudgeSummary
    size: int
    """Side of the images in pixels."""
    strength: float
    data_fingerprint: str
    variants: dict[str, VariantScore]
    """mismatched, matched, shuffled, null, unchanged, colour_transfer; concat with a baseline; real, if the images
    include any of a target style."""
    per_style: tuple[StyleScore, ...]
    kid: tuple[StyleKid, ...]
    leakage: CodeMetrics
    """How well the style can be read from content codes."""
    strengths: tuple[StrengthScore, ...]
    sensitivity: Sensitivity
    all_styles: SameMix | None = None
    """Over all target styles that have real paintings in the split."""
    recognised_styles: SameMix | None = None
    """Over the target styles that the judge recognises in at least one real painting."""
    unrecognised: tuple[str, ...] = ()
    """Target styles that the judge recognises in no real painting: they prove nothing either way."""
    nearest_training: NearestTraining | None = None
    truth: GroundTruth | None = None
    second_judge: SecondJudge | None = None
    training: TrainingFacts | None = None
    """None for a network whose training was not finished."""
    git_commit: str | None = None
    """That the network was trained at."""
    title: str = "Style and content of repaints"
    command: str = "wikiart-stylegen evaluate"

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "EvaluationResult":
        """Read what result.json holds.

        Raises:
            InputError: a field is missing or of another type.
        """
        return from_plain(cls, content)

    def tables(self) -> list[Table]:
        """The tables of terminal, page and report."""
        tables = [self._variants_table()]
        if self.all_styles is not None:
            tables.append(self._same_mix_table())
        if self.second_judge is not None:
            tables.append(self._judges_table(self.second_judge))
        tables += [self._strengths_table(), self._content_table()]
        if self.truth is not None:
            tables.append(self.truth.table())
        return [*tables, self._styles_table()]

    def _variants_table(self) -> Table:
        rows = [(score.label, *_score_cells(score)) for score in self.variants.values()]
        gallery = min(GALLERY_SIZE, self.n)
        chance = Number(1 / self.styles, "%"), Number(min(1.0, 3 / self.styles), "%")
        return Table(
            f"{self.n:,} {self.split} images in {self.styles} target styles at strength {self.strength:g}",
            ("", "judge: top-1", "top-3", "SSIM", "edges", "retrieval"),
            (*rows, ("chance", *chance, None, None, Number(1 / gallery, "%", 0))),
            note="top-1, top-3: images that the judge classifies as the target style. SSIM, edges and retrieval (of "
            f"the input among {gallery} images) compare with the input. In brackets: 95 % intervals.",
        )

    def _same_mix_table(self) -> Table:
        mixes = [
            ("all target styles", self.all_styles),
            ("styles recognised in real paintings", self.recognised_styles),
        ]
        rows = [
            (
                f"{label} ({len(mix.styles)})",
                mix.repaints.number("%"),
                mix.colour_transfer.number("%"),
                mix.real.number("%"),
            )
            for label, mix in mixes
            if mix is not None
        ]
        names = ", ".join(map(display_name, self.unrecognised)) or "none"
        return Table(
            "Judge top-1 at the same mix of styles (that of the targets)",
            ("", "repaints", "colour transfer", "real paintings"),
            tuple(rows),
            note=f"Styles that the judge recognises in no real painting, and that therefore prove nothing: {names}.",
        )

    def _judges_table(self, second: SecondJudge) -> Table:
        rows: list[tuple[Cell, ...]] = [
            (score.label, score.top1.number("%"), second.top1[name].number("%") if name in second.top1 else None)
            for name, score in self.variants.items()
        ]
        for label, first_mix, second_mix in (
            ("all target styles", self.all_styles, second.all_styles),
            ("styles that the judge recognises", self.recognised_styles, second.recognised_styles),
        ):
            for kind in ("repaints", "colour_transfer", "real"):
                cells = (None if mix is None else getattr(mix, kind).number("%") for mix in (first_mix, second_mix))
                rows.append((f"{kind.replace('_', ' ')} at the same mix, {label}", *cells))
        return Table(
            "Judge top-1 by two judges",
            ("", _judge_name(self.judge), _judge_name(second.judge)),
            tuple(rows),
            note="Both judges took no part in training the network.",
        )

    def _strengths_table(self) -> Table:
        rows = [(f"{row.strength:g}", *_score_cells(row.score)) for row in self.strengths]
        return Table(
            "Repaints by strength", ("strength", "judge: top-1", "top-3", "SSIM", "edges", "retrieval"), tuple(rows)
        )

    def _content_table(self) -> Table:
        leakage, sensitivity = self.leakage, self.sensitivity
        rows: list[tuple[Cell, ...]] = [
            ("style read from the content code, linear probe",
             Number(leakage.probe_top1, "%", interval=leakage.probe_top1_interval, baseline=leakage.majority)),
            ("style read from the content code, 20 nearest neighbours",
             Number(leakage.knn_top1, "%", interval=leakage.knn_top1_interval, baseline=leakage.majority)),
            ("change of a pixel between two target styles", sensitivity.style_change.number("%")),
            ("change of a pixel in the image's own style", sensitivity.reconstruction_change.number("%")),
            ("target styles in which KID is smaller than the inputs'",
             Number(sum(row.repaints.value < row.inputs.value for row in self.kid), f"of {len(self.kid)}")),
        ]  # fmt: skip
        transferred = [row for row in self.kid if row.colour_transfer is not None]
        if transferred:
            smaller = sum(row.colour_transfer.value < row.inputs.value for row in transferred if row.colour_transfer)
            rows.append(("the same for colour transfer", Number(smaller, f"of {len(transferred)}")))
        if (nearest := self.nearest_training) is not None:
            below = Number(nearest.below.value, "%", interval=nearest.below.interval, baseline=0.05)
            rows.append(("repaints nearer to a training image than 95 % of held-out images", below))
        return Table(
            "Content, distances and copying",
            ("", "value"),
            tuple(rows),
            note="Baselines: the majority style, and the 5 % of held-out images. KID: on the judge's features, to real "
            "training images of the target style.",
        )

    def _styles_table(self) -> Table:
        kid = {row.style: row for row in self.kid}
        rows = []
        for row in self.per_style:
            distance = kid.get(row.style)
            rows.append(
                (
                    display_name(row.style),
                    Number(row.train),
                    row.repaints.number("%", 0),
                    None if row.colour_transfer is None else row.colour_transfer.number("%", 0),
                    None if row.real is None else row.real.number("%", 0),
                    None if distance is None else Number(distance.repaints.value, digits=3),
                    None if distance is None else Number(distance.inputs.value, digits=3),
                )
            )
        columns = ("style", "training images", "repaints", "colour transfer", "real", "KID repaints", "KID inputs")
        # Columns that nothing was measured for are left out.
        kept = [i for i in range(len(columns)) if any(row[i] is not None for row in rows)]
        return Table(
            "Judge top-1 and KID by target style",
            tuple(columns[i] for i in kept),
            tuple(tuple(row[i] for i in kept) for row in rows),
            folded=True,
        )


def tables(result: TrainResult | EvaluationResult) -> list[Table]:
    """The tables of a result, for terminal, page and report."""
    return result.tables()


def print_tables(shown: Sequence[Table]) -> None:
    """Print the tables that the page does not fold, a blank line before each."""
    for table in shown:
        if not table.folded:
            echo()
            print_table(table)


def _judge_name(judge: JudgeSummary) -> str:
    width = "" if judge.width is None else f", width {judge.width:g}"
    return f"{judge.network or 'judge'}{width}, seed {'–' if judge.seed is None else judge.seed}"


def _score_cells(score: VariantScore) -> tuple[Cell, ...]:
    return (
        score.top1.number("%"),
        Number(score.top3.value, "%"),
        None if score.ssim is None else Number(score.ssim.value, digits=2),
        None if score.edges is None else Number(score.edges.value, digits=2),
        None if score.retrieval is None else Number(score.retrieval.value, "%", 0),
    )
