"""`wikiart-classify predict`: the most probable styles of images, and of folders full of them."""

import csv
import sys
from pathlib import Path

from wikiart_classify.classifier import Classifier, Predictions
from wikiart_classify.command_options import PredictOptions
from wikiart_classify.grad_cam import MAX_IMAGES, check_figure_path, grad_cam_sheet, require_style_net, write_figure
from wikiart_data.console import echo, printable
from wikiart_data.errors import InputError
from wikiart_data.images.manifest import pictures_in
from wikiart_data.styles import display_name

_MAX_PRINTED = 40


def predict(options: PredictOptions) -> int:
    """Print or write the most probable styles of each image.

    Returns:
        The exit status: 0, or 1 if some of the images could not be read.

    Raises:
        InputError: there is no such model, or no image can be read.
    """
    classifier = Classifier.load(options.model, options.device, runs=options.runs)
    if options.grad_cam is not None:
        check_figure_path(options.grad_cam)
        require_style_net(classifier.network)
    predictions = classifier.predict(pictures_in(options.images), skip_unreadable=True, progress=True)
    if options.csv is not None:
        _write_csv(options.csv, predictions, options.top)
    else:
        _print(predictions, options.top)
    for message in predictions.unreadable:
        print(f"wikiart-classify: {message}", file=sys.stderr)
    if not len(predictions):
        raise InputError("None of the images can be read.", field=options.images[0])
    if options.grad_cam is not None:
        shown = [Path(file) for file in predictions.files[:MAX_IMAGES]]
        write_figure(grad_cam_sheet(classifier, shown), options.grad_cam)
        number = f"{len(shown)} of {len(predictions):,} images"
        echo(f"Grad-CAM heatmaps for the predictions of {number}: {printable(str(options.grad_cam))}")
    return 1 if predictions.unreadable else 0


def _print(predictions: Predictions, top: int) -> None:
    for file, styles in zip(predictions.files[:_MAX_PRINTED], predictions.top(top), strict=False):
        echo(printable(file))
        for style, probability in styles:
            echo(f"{100 * probability:5.1f} %  {display_name(style)}")
    if len(predictions) > _MAX_PRINTED:
        echo(f"… and {len(predictions) - _MAX_PRINTED:,} more images; --csv FILE writes them all.")


def _write_csv(target: Path, predictions: Predictions, top: int) -> None:
    ranks = range(1, min(top, len(predictions.styles)) + 1)
    header = ["file", *(f"{column}{rank}" for rank in ranks for column in ("style", "probability"))]
    rows = [
        [file, *(cell for style, probability in styles for cell in (style, f"{probability:.4f}"))]
        for file, styles in zip(predictions.files, predictions.top(top), strict=True)
    ]
    if str(target) == "-":
        csv.writer(sys.stdout, lineterminator="\n").writerows([header, *rows])
        return
    try:
        with target.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    except OSError as error:
        raise InputError(f"--csv {target} cannot be written ({error.strerror}).", field="--csv") from error
    echo(f"{len(rows):,} images written to {target}.")
