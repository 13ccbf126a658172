"""`--explain`: which places of a picture speak for a style, drawn over the picture."""

import difflib
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

from wikiart_classify.answers import probabilities
from wikiart_classify.checkpoint import Trained
from wikiart_classify.network import StyleNet
from wikiart_classify.recipes import side_to_pack
from wikiart_data.console import printable
from wikiart_data.errors import InputError
from wikiart_data.files import not_written, write_bytes
from wikiart_data.images.augment import resized_crops
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.decode import BadPictureError, decode, square
from wikiart_data.results.figures import TEXT, canvas, png, styled
from wikiart_data.styles import canonical_name, display_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_A_STYLE, OF_PICTURES = 6, 12
"""Most pictures on a sheet of `test` and of `predict`."""
ENDINGS = (".png", ".jpg", ".pdf", ".svg")
_HEAT, _ALPHA = "inferno", 0.6
_OVER = {"extent": (0, 1, 1, 0), "aspect": "auto", "interpolation": "bilinear"}
"""Picture and heat fill the same square, whatever their pixels; the axes stretch it to the picture's shape."""
_SIDE = 2.3
"""Inches, the width of a column."""
_SHOWN = 360
"""Longest side of a picture on the sheet, in pixels: about what a third of the sheet's width can show."""
_LONGEST = 30
"""Characters that fit above a picture."""


def grad_cam(network: nn.Module, images: Tensor, wanted: Tensor) -> Tensor:
    """Where a picture speaks for a style (Grad-CAM, Selvaraju et al. 2017, eq. 1 and 2).

    The last feature maps are weighed by how much each raises the style's logit, added up, and cut off below 0: what
    speaks against the style is not shown. Everything is in fp32; the network is left in eval mode.

    Args:
        network: a StyleNet.
        images: (B, 3, H, W) float in 0..1.
        wanted: (B,) int64, the place of the style in question, a picture.

    Returns:
        (B, H, W) float32 in 0..1, in shares of each picture's own maximum; all 0 if nothing speaks for the style.

    Raises:
        InputError: the network is no StyleNet.
    """
    network = explainable(network).eval()
    with torch.autocast(images.device.type, enabled=False):
        with torch.no_grad():
            maps = network.maps(images.float())
        with torch.enable_grad():
            maps.requires_grad_()
            logits = network.head(maps.mean(dim=(2, 3)))
            # In eval mode a picture's logits depend on that picture alone, so one sum has all the gradients in it.
            (slopes,) = torch.autograd.grad(logits.gather(1, wanted[:, None]).sum(), maps)
    alpha = slopes.mean(dim=(2, 3), keepdim=True)
    heat = F.relu((alpha * maps.detach()).sum(dim=1, keepdim=True))
    heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear", align_corners=False).squeeze(1)
    highest = heat.amax(dim=(1, 2), keepdim=True)
    return heat / torch.where(highest > 0, highest, 1.0)


def explainable(network: nn.Module) -> StyleNet:
    """The network itself, if `grad_cam` can be made of it.

    Raises:
        InputError: it is no StyleNet.
    """
    if not isinstance(network, StyleNet):
        raise InputError("--explain: only StyleNets (tiny, small, base) can be explained, and this is another network.")
    return network


def style_meant(name: str, styles: Sequence[str]) -> int:
    """The place of a style in a class list, by any spelling of its name.

    Raises:
        InputError: the list has no such style.
    """
    style = name if name in styles else canonical_name(name)
    if style not in styles:
        near = difflib.get_close_matches(style, styles, n=1)
        hint = f" Did you mean {printable(near[0])}?" if near else f" It knows {', '.join(map(printable, styles))}."
        raise InputError(f"--explain {printable(name)}: the network knows no such style.{hint}")
    return tuple(styles).index(style)


def check_target(target: Path) -> None:
    """Find out before the work whether a sheet can be written there.

    Raises:
        InputError: the ending is unknown, or there is no such folder.
    """
    shown = printable(str(target))
    if target.suffix.lower() not in ENDINGS:
        raise InputError(f"--explain {shown}: name a file that ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    if not target.parent.is_dir():
        raise InputError(f"--explain {shown} cannot be written: there is no folder {printable(str(target.parent))}.")


def explain_split(
    trained: Trained, pictures: DeviceImages, split: str, style: int, bf16: bool, folder: Path
) -> tuple[Path, int]:
    """Write the sheet of one style: up to OF_A_STYLE of its pictures, half of them wrongly named where there are such.

    Returns:
        The file below `folder`, and how many pictures are on it.

    Raises:
        InputError: the split has no picture of the style, one cannot be read any more, or the file cannot be written.
    """
    catalog, rows = pictures.packed.catalog, pictures.packed.rows(split)
    rows = rows[catalog.labels[rows] == style]
    name = catalog.styles[style]
    if not len(rows):
        raise InputError(f"--explain {printable(name)}: {catalog.root} has no picture of it in {split}.")
    batches = pictures.in_order(rows, 256, trained.config["size"])
    with torch.no_grad():
        named = [probabilities(trained.network, images, bf16).argmax(dim=1).cpu() for images in batches]
    chosen = rows[choose((torch.cat(named) == style).numpy(), OF_A_STYLE, seed=0)]
    files = [catalog.root / catalog.files[row] for row in chosen]
    figure = sheet(trained, files, [style] * len(files), bf16)
    target = folder / f"explain-{name}.png"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise not_written(target, error) from error
    write_figure(figure, target)
    return target, len(files)


def choose(right: np.ndarray, number: int, seed: int) -> np.ndarray:
    """(n,) bool, which pictures are rightly named → up to `number` places, rightly named ones first.

    Half are right and half wrong; where there are too few of one kind, the other fills up.
    """
    random = np.random.default_rng(seed)
    good, poor = random.permutation(np.flatnonzero(right)), random.permutation(np.flatnonzero(~right))
    goods = min(len(good), max(number - number // 2, number - len(poor)))
    return np.concatenate([good[:goods], poor[: number - goods]])


def sheet(trained: Trained, files: Sequence[Path], truths: Sequence[int | None], bf16: bool) -> "Figure":
    """Name the style of each file, explain it, and draw the sheet.

    Shares are means over a picture and its mirror image, as everywhere; the heat is that of the picture as it is.

    Args:
        trained: a StyleNet, on any device.
        files: pictures.
        truths: the place of each picture's true style; None where it is not known.
        bf16: whether shares are computed in bf16, so that they are the ones printed elsewhere; heat is always fp32.

    Raises:
        InputError: a file cannot be read, or the network is no StyleNet.
    """
    network, size = trained.network, trained.config["size"]
    side = side_to_pack(trained.config["model"], size)  # as in the pack: the network sees the very same pixels
    decoded = [_decoded(file, side) for file in files]
    device = next(network.parameters()).device
    pixels = torch.from_numpy(np.stack([square(picture, side) for picture in decoded])).to(device)
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0]])
    images = resized_crops(pixels, whole.expand(len(pixels), 5), size).div_(255.0)
    with torch.no_grad():
        shares = probabilities(network, images, bf16)
    ranked = shares.argsort(dim=1, descending=True, stable=True)
    known = torch.tensor([-1 if truth is None else truth for truth in truths], device=device)
    # Beside the style that was named: the true one, or where that is the same or not known, the second likeliest.
    second = ranked[:, min(1, len(trained.styles) - 1)]
    beside = torch.where((known >= 0) & (known != ranked[:, 0]), known, second)
    asked = torch.stack([ranked[:, 0], beside], dim=1)
    heat = torch.stack([grad_cam(network, images, asked[:, place]) for place in (0, 1)], dim=1)
    return explain_figure(
        [_reduced(picture) for picture in decoded],
        heat.cpu().numpy(),
        asked.cpu().numpy(),
        shares.gather(1, asked).cpu().numpy(),
        truths,
        [file.name for file in files],
        trained.styles,
    )


@styled
def explain_figure(
    pictures: Sequence[np.ndarray],
    heat: np.ndarray,
    asked: np.ndarray,
    shares: np.ndarray,
    truths: Sequence[int | None],
    names: Sequence[str],
    styles: Sequence[str],
) -> "Figure":
    """A row a picture: the picture, the heat for the style that was named, the heat for one beside it.

    Args:
        pictures: N of (H, W, 3) uint8, each of its own shape.
        heat: (N, 2, S, S) float in 0..1, stretched over the picture.
        asked: (N, 2) the styles' places.
        shares: (N, 2) their shares in 0..1.
        truths: the true styles' places, or None.
        names: file names, shown as they can be.
        styles: the class list.
    """
    # A long scroll would be a line: no side is drawn more than three times as long as the other.
    ratios = [min(3.0, max(1 / 3, picture.shape[0] / picture.shape[1])) for picture in pictures]
    heights = [_SIDE * min(1.0, ratio) for ratio in ratios]
    figure, grid = canvas(0.3 + sum(height + 0.42 for height in heights), rows=len(pictures), columns=3)
    grid[0, 0].get_gridspec().set_height_ratios(heights)
    for row, axes in enumerate(grid):
        picture, truth = pictures[row], truths[row]
        grey = np.asarray(Image.fromarray(picture).convert("L"))
        for place, pixels in zip(axes, (picture, grey, grey), strict=True):
            place.imshow(pixels, cmap="gray", vmin=0, vmax=255, **_OVER)
            place.set_box_aspect(ratios[row])
            place.set_anchor("NW")  # titles begin where their column does, however narrow the picture
            place.set_axis_off()
        titles = [shortened(printable(names[row])) + ("" if truth is None else f"\ntrue: {_name(styles, truth)}")]
        for column, (style, share) in enumerate(zip(asked[row].tolist(), shares[row].tolist(), strict=True)):
            one = heat[row, column]
            axes[column + 1].imshow(one, cmap=_HEAT, vmin=0, vmax=1, alpha=_ALPHA, **_OVER)
            role = "named" if column == 0 else "true" if style == truth else "second"
            nothing = "" if one.any() else ", nothing speaks for it"
            titles.append(f"{_name(styles, style)}\n{role}, {100 * share:.1f} %{nothing}")
        for place, title in zip(axes, titles, strict=True):
            place.set_title(title, fontsize=TEXT, fontweight="normal")
    legend = (
        "Heat: what speaks for the style above the picture, from nothing (dark) to the most in this picture (bright)"
    )
    figure.suptitle(legend, fontsize=TEXT, fontweight="bold", x=0.005, ha="left")
    return figure


def write_figure(figure: "Figure", target: Path) -> None:
    """Write a figure to a file, in the format of its ending.

    Raises:
        InputError: the file cannot be written.
    """
    content, ending = io.BytesIO(), target.suffix[1:].lower()
    with warnings.catch_warnings():
        # A file's name may hold letters that the font lacks; they are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph")
        if ending == "png":
            content.write(png(figure))
        else:
            figure.savefig(content, format=ending)
    write_bytes(target, content.getvalue())


def shortened(name: str, longest: int = _LONGEST) -> str:
    """A name of at most `longest` characters: the middle of a long one is left out."""
    if len(name) <= longest:
        return name
    end = (longest - 1) // 2
    return f"{name[: longest - 1 - end]}…{name[-end:]}"


def _name(styles: Sequence[str], place: int) -> str:
    return shortened(display_name(styles[place]))


def _decoded(file: Path, side: int) -> Image.Image:
    try:
        return decode(file, at_least=side)
    except BadPictureError as error:
        raise InputError(f"--explain: {printable(str(file))}: {error}.") from error


def _reduced(picture: Image.Image) -> np.ndarray:
    small = picture.copy()
    small.thumbnail((_SHOWN, _SHOWN), reducing_gap=2.0)
    return np.asarray(small)
