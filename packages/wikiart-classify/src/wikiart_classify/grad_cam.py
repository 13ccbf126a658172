"""Grad-CAM: which regions of an image the network's logit for a style depends on, drawn over the image."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from wikiart_classify.classifier import Classifier, predict_split
from wikiart_classify.network import StyleNet
from wikiart_data.console import printable
from wikiart_data.errors import InputError
from wikiart_data.files import not_written, write_bytes
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.decode import BadPictureError, decode
from wikiart_data.images.load import load_images
from wikiart_data.images.packed import PackedImages
from wikiart_data.results.figures import TEXT, canvas, png, styled
from wikiart_data.results.page import renew_page
from wikiart_data.styles import display_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_IMAGES_PER_STYLE, MAX_IMAGES = 6, 12
"""Largest number of images on a sheet of `evaluate` and of `predict`."""
ENDINGS = (".png", ".jpg", ".pdf", ".svg")
_COLUMN_WIDTH = 2.3
"""Inches."""
_SHOWN_SIZE = 360
"""Longest side of an image on a sheet, in pixels: about what a third of the sheet's width can show."""
_MAX_TITLE = 30
"""Characters that fit above an image."""


def grad_cam(network: nn.Module, images: Tensor, styles: Tensor) -> Tensor:
    """Grad-CAM heatmaps (Selvaraju et al. 2017, eq. 1 and 2).

    The last feature maps are weighted by the mean gradient of the style's logit, summed, and clipped at 0, so that
    evidence against the style is not shown. Everything is in fp32; the network is left in eval mode.

    Args:
        network: a StyleNet.
        images: (B, 3, H, W) float in [0, 1].
        styles: (B,) int64, the style of each image's heatmap.

    Returns:
        (B, H, W) float32 in [0, 1], relative to each image's own maximum; all 0 if there is no evidence for the style.

    Raises:
        InputError: the network is not a StyleNet.
    """
    network = require_style_net(network).eval()
    with torch.autocast(images.device.type, enabled=False):
        with torch.no_grad():
            maps = network.feature_maps(images.float())
        with torch.enable_grad():
            maps.requires_grad_()
            logits = network.head(maps.mean(dim=(2, 3)))
            # In eval mode an image's logits depend on that image alone, so one sum gives the gradients of all images.
            (gradients,) = torch.autograd.grad(logits.gather(1, styles[:, None]).sum(), maps)
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    heatmaps = F.relu((weights * maps.detach()).sum(dim=1, keepdim=True))
    heatmaps = F.interpolate(heatmaps, size=images.shape[2:], mode="bilinear", align_corners=False).squeeze(1)
    maxima = heatmaps.amax(dim=(1, 2), keepdim=True)
    return heatmaps / torch.where(maxima > 0, maxima, 1.0)


def require_style_net(network: nn.Module) -> StyleNet:
    """The network itself, if `grad_cam` supports it.

    Raises:
        InputError: it is not a StyleNet.
    """
    if not isinstance(network, StyleNet):
        raise InputError("--grad-cam supports the networks tiny, small and base only.", field="--grad-cam")
    return network


def check_figure_path(target: Path) -> None:
    """Check that a sheet can be written to a file, before any work.

    Raises:
        InputError: the ending is unknown, or the folder does not exist.
    """
    shown = printable(str(target))
    if target.suffix.lower() not in ENDINGS:
        endings = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        raise InputError(f"--grad-cam {shown}: the file name must end in {endings}.", field="--grad-cam")
    if not target.parent.is_dir():
        raise InputError(
            f"--grad-cam {shown} cannot be written: there is no folder {printable(str(target.parent))}.",
            field="--grad-cam",
        )


def write_style_sheet(
    classifier: Classifier, packed: PackedImages, split: str, style: int, folder: Path
) -> tuple[Path, int]:
    """Write heatmaps for one style: up to MAX_IMAGES_PER_STYLE of its images, half of them misclassified if possible.

    Returns:
        The file in `folder`, and the number of images on it.

    Raises:
        InputError: the split has no image of the style, a file can no longer be read, or the sheet cannot be written.
    """
    catalog, rows = packed.catalog, packed.rows(split)
    name = catalog.styles[style]
    of_style = catalog.labels[rows] == style
    if not of_style.any():
        raise InputError(
            f"--grad-cam {printable(name)}: {catalog.root} has no image of this style in {split}.", field="--grad-cam"
        )
    images = DeviceImages(packed, classifier.device)
    predicted = predict_split(classifier.network, images, split, classifier.config.size, classifier.bf16)
    correct = predicted[of_style].argmax(axis=1) == style
    files = [catalog.root / catalog.files[row] for row in rows[of_style][choose(correct, MAX_IMAGES_PER_STYLE, seed=0)]]
    figure = grad_cam_sheet(classifier, files, [style] * len(files))
    target = folder / f"grad-cam-{name}.png"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise not_written(target, error) from error
    write_figure(figure, target)
    return target, len(files)


def write_examples(classifier: Classifier, packed: PackedImages, folder: Path) -> None:
    """Write heatmaps of up to MAX_IMAGES_PER_STYLE right and as many wrong predictions to figures/ of a run.

    Args:
        classifier: of a StyleNet.
        packed: the data.
        folder: of the run, which has predictions.npz.

    Raises:
        InputError: a file can no longer be read, or a sheet cannot be written.
    """
    catalog = packed.catalog
    with np.load(folder / "predictions.npz") as arrays:
        files, labels = arrays["files"], arrays["labels"]
        correct = arrays["probabilities"].argmax(axis=1) == labels
    for name, candidates in (("right-predictions", correct), ("wrong-predictions", ~correct)):
        rows = np.random.default_rng(0).permutation(np.flatnonzero(candidates))[:MAX_IMAGES_PER_STYLE]
        if len(rows):
            paths = [catalog.root / file for file in files[rows].tolist()]
            figure = grad_cam_sheet(classifier, paths, labels[rows].tolist())
            write_figure(figure, folder / "figures" / f"{name}.png")
    renew_page(folder)


def choose(correct: np.ndarray, number: int, seed: int) -> np.ndarray:
    """(n,) bool, which images are classified correctly → indices of up to `number` of them, correct ones first.

    Half are correct and half are not, as far as there are enough of both.
    """
    random = np.random.default_rng(seed)
    right, wrong = random.permutation(np.flatnonzero(correct)), random.permutation(np.flatnonzero(~correct))
    from_right = min(len(right), max(number - number // 2, number - len(wrong)))
    return np.concatenate([right[:from_right], wrong[: number - from_right]])


def grad_cam_sheet(
    classifier: Classifier, files: Sequence[Path], true_styles: Sequence[int | None] | None = None
) -> "Figure":
    """Classify files and draw the heatmaps of two styles for each: the predicted style and one to compare it with.

    The second is the true style if it is known and was not predicted, else the second most probable one. Probabilities
    are means over an image and its mirror image, as everywhere; heatmaps are those of the image itself.

    Args:
        classifier: of a StyleNet.
        files: image files.
        true_styles: index of each file's true style, None where it is unknown (default: unknown everywhere).

    Raises:
        InputError: a file cannot be read, or the network is not a StyleNet.
    """
    true_styles = [None] * len(files) if true_styles is None else true_styles
    size, packed_size = classifier.config.size, classifier.config.packed_size
    decoded = [_decoded(file, packed_size) for file in files]
    images = load_images(decoded, size, classifier.device, packed_size=packed_size)
    probabilities = classifier.predict_proba(images)
    ranked = probabilities.argsort(dim=1, descending=True, stable=True)
    known = torch.tensor([-1 if style is None else style for style in true_styles], device=images.device)
    runner_up = ranked[:, min(1, len(classifier.styles) - 1)]
    second = torch.where((known >= 0) & (known != ranked[:, 0]), known, runner_up)
    styles = torch.stack([ranked[:, 0], second], dim=1)
    heatmaps = torch.stack([grad_cam(classifier.network, images, styles[:, column]) for column in (0, 1)], dim=1)
    return heatmap_figure(
        [_thumbnail(image) for image in decoded],
        heatmaps.cpu().numpy(),
        styles.cpu().numpy(),
        probabilities.gather(1, styles).cpu().numpy(),
        true_styles,
        [file.name for file in files],
        classifier.styles,
    )


@styled
def heatmap_figure(
    images: Sequence[np.ndarray],
    heatmaps: np.ndarray,
    styles: np.ndarray,
    probabilities: np.ndarray,
    true_styles: Sequence[int | None],
    names: Sequence[str],
    class_list: Sequence[str],
) -> "Figure":
    """One row per image: the image, the heatmap of the predicted style, the heatmap of a second style.

    Args:
        images: N of (H, W, 3) uint8, each of its own shape.
        heatmaps: (N, 2, S, S) float in [0, 1], stretched over the image.
        styles: (N, 2) int, the styles of the heatmaps.
        probabilities: (N, 2) float in [0, 1], their probabilities.
        true_styles: index of each true style, or None.
        names: file names.
        class_list: names of the styles.
    """
    # Limited to 3:1, or a long scroll would become a line.
    ratios = [min(3.0, max(1 / 3, image.shape[0] / image.shape[1])) for image in images]
    heights = [_COLUMN_WIDTH * min(1.0, ratio) for ratio in ratios]
    figure, grid = canvas(0.3 + sum(height + 0.42 for height in heights), rows=len(images), columns=3)
    grid[0, 0].get_gridspec().set_height_ratios(heights)
    # Image and heatmap fill the same square, whatever their resolution; the axes stretch it to the image's shape.
    fill = {"extent": (0, 1, 1, 0), "aspect": "auto", "interpolation": "bilinear"}
    for row, axes in enumerate(grid):
        image, true_style = images[row], true_styles[row]
        grey = np.asarray(Image.fromarray(image).convert("L"))
        for panel, pixels in zip(axes, (image, grey, grey), strict=True):
            panel.imshow(pixels, cmap="gray", vmin=0, vmax=255, **fill)
            panel.set_box_aspect(ratios[row])
            panel.set_anchor("NW")  # titles start where their column does, however narrow the image
            panel.set_axis_off()
        truth = "" if true_style is None else f"\ntrue: {_style_name(class_list, true_style)}"
        titles = [shortened(printable(names[row])) + truth]
        for column, (style, probability) in enumerate(
            zip(styles[row].tolist(), probabilities[row].tolist(), strict=True)
        ):
            heatmap = heatmaps[row, column]
            axes[column + 1].imshow(heatmap, cmap="inferno", vmin=0, vmax=1, alpha=0.6, **fill)
            role = "predicted" if column == 0 else "true" if style == true_style else "second"
            empty = "" if heatmap.any() else ", no evidence"
            titles.append(f"{_style_name(class_list, style)}\n{role}, {100 * probability:.1f} %{empty}")
        for panel, title in zip(axes, titles, strict=True):
            panel.set_title(title, fontsize=TEXT, fontweight="normal")
    legend = "Grad-CAM heatmaps of the style above each image: bright regions raise its logit most"
    figure.suptitle(legend, fontsize=TEXT, fontweight="bold", x=0.005, ha="left")
    return figure


def write_figure(figure: "Figure", target: Path) -> None:
    """Write a figure to a file, in the format of its ending.

    Raises:
        InputError: the file cannot be written.
    """
    content, ending = io.BytesIO(), target.suffix[1:].lower()
    with warnings.catch_warnings():
        # File names may have letters that the font lacks; they are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph")
        if ending == "png":
            content.write(png(figure))
        else:
            figure.savefig(content, format=ending)
    write_bytes(target, content.getvalue())


def shortened(name: str, longest: int = _MAX_TITLE) -> str:
    """A name of at most `longest` characters: the middle of a long one is left out."""
    if len(name) <= longest:
        return name
    end = (longest - 1) // 2
    return f"{name[: longest - 1 - end]}…{name[-end:]}"


def _style_name(class_list: Sequence[str], style: int) -> str:
    return shortened(display_name(class_list[style]))


def _decoded(file: Path, at_least: int) -> Image.Image:
    try:
        return decode(file, at_least=at_least)
    except BadPictureError as error:
        raise InputError(f"{printable(str(file))}: {error}.", field=file) from error


def _thumbnail(image: Image.Image) -> np.ndarray:
    small = image.copy()
    small.thumbnail((_SHOWN_SIZE, _SHOWN_SIZE), reducing_gap=2.0)
    return np.asarray(small)
