"""`wikiart-classify audit`: likely mislabels and the most confident mistakes, from out-of-fold predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from wikiart_classify.command_options import AuditOptions
from wikiart_classify.compare import complete_run
from wikiart_classify.grad_cam import shortened
from wikiart_classify.options import TrainOptions
from wikiart_data.console import echo, printable
from wikiart_data.errors import InputError
from wikiart_data.files import csv_bytes, write_bytes
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.images.data_folder import find_data
from wikiart_data.images.decode import BadPictureError, decode
from wikiart_data.results.figures import TINY, canvas, styled
from wikiart_data.results.folder import write_results
from wikiart_data.results.statistics import Estimate, proportion
from wikiart_data.results.tables import Number, Table, print_table
from wikiart_data.styles import display_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 24
"""Images of each kind in figures and tables."""
_COLUMNS = 6


@dataclass(frozen=True)
class Suspect:
    """An image whose label and out-of-fold prediction differ."""

    file: str
    label: str
    """Style that the data gives."""
    predicted: str
    """Style that the network predicts."""
    p_label: float
    p_predicted: float


@dataclass(frozen=True)
class AuditResult:
    """What `audit` found."""

    n: int
    """Images with an out-of-fold prediction."""
    folds: int
    top1: Estimate
    """Fraction whose label is predicted."""
    mislabels: int
    """Images that are likely mislabelled."""
    likely_mislabels: tuple[Suspect, ...]
    """The first of them, by how much the prediction is preferred to the label."""
    confident_mistakes: tuple[Suspect, ...]
    """The images with the highest probability of a style that is not their label."""
    data_fingerprint: str
    title: str = "Audit of the labels"
    command: str = "wikiart-classify audit"

    def tables(self) -> list[Table]:
        """The tables of terminal and page."""
        rows = (
            ("images", Number(self.n)),
            ("label predicted by a network that did not train on the image", self.top1.number("%")),
            ("likely mislabelled", Number(self.mislabels)),
        )
        note = (
            "Likely mislabelled: another style is at least as probable as it is on average for images of that style, "
            "and the label is less probable (Northcutt et al. 2021). With disputed labels these are candidates to look "
            "at, not errors."
        )
        return [
            Table(f"Out-of-fold predictions, {self.folds} folds", ("", "value"), rows, note=note),
            _suspects_table("Likely mislabels", self.likely_mislabels),
            _suspects_table("Most confident mistakes", self.confident_mistakes),
        ]


def audit(options: AuditOptions) -> AuditResult:
    """Train what is missing, then write the lists, the figures and the page to RUNS/audit.

    Raises:
        InputError: the data cannot be used, or a finished run had other options.
    """
    root = find_data(options.data, options.cache_dir, labels=options.labels, label_column=options.label_column)
    catalog = scan(root, cache_dir=options.cache_dir)
    folder = options.runs / "audit"
    paths = [folder / "classify" / f"fold-{fold}" for fold in range(options.folds)]
    for fold, path in enumerate(paths):
        echo(f"[{fold + 1}/{options.folds}] {path}")
        run = TrainOptions(
            data=str(root),
            runs=folder,
            name=path.name,
            overwrite=True,
            split="fold",
            folds=options.folds,
            fold=fold,
            model=options.model,
            size=options.size,
            epochs=options.epochs,
            seed=options.seed,
            device=options.device,
            cache_dir=options.cache_dir,
            max_bad_fraction=options.max_bad_fraction,
        )
        complete_run(run, path)
    files, labels, probabilities = _out_of_fold(paths)
    result, order = find_suspects(files, labels, probabilities, catalog, options.folds)
    figures = {
        "likely-mislabels": suspects_figure(catalog, result.likely_mislabels),
        "confident-mistakes": confident_figure(catalog, result.confident_mistakes),
    }
    write_results(folder, result, result.tables(), figures)
    write_bytes(folder / "audit.csv", _csv(files, labels, probabilities, order, catalog.styles))
    for table in result.tables():
        echo()
        print_table(table)
    echo(f"\nAll images, the most suspicious first: {folder}/audit.csv. Pictures: {folder}/index.html.")
    return result


def _out_of_fold(paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Files (N,), labels (N,) and probabilities (N, C) of all folds.

    Raises:
        InputError: an image is in two folds: some of the runs are of an earlier version, which divided it differently.
    """
    parts = []
    for path in paths:
        with np.load(path / "predictions.npz") as arrays:
            parts.append([arrays[name] for name in ("files", "labels", "probabilities")])
    files, labels, probabilities = (np.concatenate(part) for part in zip(*parts, strict=True))
    if len(np.unique(files)) < len(files):
        folder = paths[0].parent
        raise InputError(
            f"Runs in {folder} divide the images into other folds: remove them, and audit anew.", field=folder
        )
    return files, labels, probabilities


def likely_mislabelled(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Confident learning (Northcutt et al. 2021): which labels are probably wrong.

    A style is confidently predicted if its probability reaches its mean over the images that are labelled with it. An
    image whose most probable confident style is not its label is likely mislabelled.

    Args:
        probabilities: (N, C) float, of networks that did not train on the image.
        labels: (N,) int.

    Returns:
        (N,) bool.
    """
    present = np.bincount(labels, minlength=probabilities.shape[1]) > 0
    thresholds = np.full(probabilities.shape[1], np.inf)
    for style in np.flatnonzero(present):
        thresholds[style] = probabilities[labels == style, style].mean()
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    return (confident.max(axis=1) >= 0) & (confident.argmax(axis=1) != labels)


def find_suspects(
    files: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, catalog: Catalog, folds: int
) -> tuple[AuditResult, np.ndarray]:
    """Likely mislabels and most confident mistakes.

    Args:
        files: (N,) names below the data folder.
        labels: (N,) int.
        probabilities: (N, C), of networks that did not train on the image.
        catalog: the data.
        folds: number of folds.

    Returns:
        The result, and (N,) the order of all images, the most suspicious first: by how much more probable than the
        label the most probable other style is.
    """
    rows, styles = np.arange(len(labels)), catalog.styles
    p_label = probabilities[rows, labels]
    others = probabilities.copy()
    others[rows, labels] = -1.0
    best = others.argmax(axis=1)
    p_other = others[rows, best]
    wrong, mislabelled = p_other > p_label, likely_mislabelled(probabilities, labels)
    order = np.argsort(p_label - p_other, kind="stable")

    def suspects(candidates: np.ndarray) -> tuple[Suspect, ...]:
        return tuple(
            Suspect(str(files[row]), styles[labels[row]], styles[best[row]], float(p_label[row]), float(p_other[row]))
            for row in candidates[:SHOWN]
        )

    by_confidence = np.argsort(-p_other, kind="stable")
    result = AuditResult(
        n=len(labels),
        folds=folds,
        top1=proportion(~wrong),
        mislabels=int(mislabelled.sum()),
        likely_mislabels=suspects(order[mislabelled[order]]),
        confident_mistakes=suspects(by_confidence[wrong[by_confidence]]),
        data_fingerprint=catalog.fingerprint,
    )
    return result, order


@styled
def suspects_figure(catalog: Catalog, suspects: Sequence[Suspect]) -> "Figure":
    """Likely mislabels: the style that the data gives, and the one that a network predicts."""
    return _sheet(catalog, suspects)


@styled
def confident_figure(catalog: Catalog, suspects: Sequence[Suspect]) -> "Figure":
    """Most confident mistakes: the style that the data gives, and the one that a network predicts."""
    return _sheet(catalog, suspects)


def _sheet(catalog: Catalog, suspects: Sequence[Suspect]) -> "Figure":
    rows = max(1, -(-len(suspects) // _COLUMNS))
    figure, grid = canvas(1.75 * rows, rows=rows, columns=_COLUMNS)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, suspect in zip(grid.flat, suspects, strict=False):
        try:
            image = decode(catalog.root / suspect.file, at_least=240).copy()
        except BadPictureError as error:
            raise InputError(f"{printable(suspect.file)}: {error}.", field=suspect.file) from error
        image.thumbnail((240, 240), Image.Resampling.LANCZOS)
        axes.imshow(np.asarray(image), interpolation="lanczos")
        label, predicted = (shortened(display_name(style), 22) for style in (suspect.label, suspect.predicted))
        axes.set_title(
            f"label: {label}\n{predicted} {100 * suspect.p_predicted:.0f} %",
            fontsize=TINY,
            fontweight="normal",
            loc="left",
        )
    return figure


def _suspects_table(title: str, suspects: Sequence[Suspect]) -> Table:
    rows = tuple(
        (
            printable(suspect.file),
            display_name(suspect.label),
            Number(suspect.p_label, "%", 0),
            display_name(suspect.predicted),
            Number(suspect.p_predicted, "%", 0),
        )
        for suspect in suspects
    )
    columns = ("file", "label", "its probability", "predicted", "probability")
    return Table(title, columns, rows, folded=True)


def _csv(
    files: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, order: np.ndarray, styles: Sequence[str]
) -> bytes:
    mislabelled = likely_mislabelled(probabilities, labels)
    rows = []
    for row in order:
        cells: list[object] = [files[row]]
        for style in (int(labels[row]), int(probabilities[row].argmax())):
            cells += [styles[style], f"{probabilities[row, style]:.4f}"]
        rows.append([*cells, int(mislabelled[row])])
    return csv_bytes(["file", "label", "p_label", "predicted", "p_predicted", "likely_mislabelled"], rows)
