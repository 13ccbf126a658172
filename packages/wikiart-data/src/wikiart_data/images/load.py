"""Picture files, PIL images or a tensor as one batch of square images; captions of picture files."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wikiart_data.console import printable, track
from wikiart_data.errors import InputError
from wikiart_data.images.augment import resize
from wikiart_data.images.decode import BadPictureError, available_cores, decode, square, upright_rgb
from wikiart_data.training.device import select_device

Picture: TypeAlias = str | Path | Image.Image
_LOWEST, _HIGHEST = -0.5, 1.5
# of floats that may be images in [0, 1]: resizing may overshoot, normalised images and those in 0..255 go beyond


def load_images(
    images: Tensor | np.ndarray | Picture | Iterable[Picture],
    size: int,
    device: torch.device | str = "cpu",
    *,
    packed_size: int | None = None,
) -> Tensor:
    """Read pictures, squash them to squares and put them on a device.

    Args:
        images: picture files, PIL images, or a mixture of both; a single one is a batch of one. Or a tensor
            (N, 3, H, W) or (3, H, W), float in [0, 1] or uint8 in 0..255; or an array (H, W, 3) uint8.
        size: side of the result, in pixels.
        device: where the result goes: auto, cpu, cuda, cuda:N or mps; a tensor is resized there as well.
        packed_size: files and PIL images are first squashed to this side, as `pack` does it, and then resized to
            `size`. For files, these are exactly the pixels of a pack of that size; a PIL image of a JPEG that is at
            least twice as large differs slightly, because the file would be reduced while it is decoded (default:
            `size`).

    Returns:
        (N, 3, size, size) float32 in [0, 1], laid out channels-last. A tensor that has this size already keeps its
        layout, and if it is float32 on this device, it is returned itself.

    Raises:
        InputError: a file cannot be read as a picture, and the error's field is the file; or this machine has no such
            device.
        TypeError: something is no file name, PIL image or tensor.
        ValueError: a tensor or array has another shape or range, or the size is below 1.
    """
    device = select_device(device)
    if size < 1:
        raise ValueError(f"expected a size of at least 1 pixel, got {size}")
    images = as_batch(images)
    if isinstance(images, Tensor):
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"expected images of shape (N, 3, H, W), got {tuple(images.shape)}")
        check_range(images)
        pixels = images.to(device).permute(0, 2, 3, 1)
    else:
        side = packed_size or size
        with ThreadPoolExecutor(available_cores()) as pool:
            squares = list(pool.map(lambda picture: _square(picture, side), images))
        stacked = np.stack(squares) if squares else np.empty((0, side, side, 3), dtype=np.uint8)
        pixels = torch.from_numpy(stacked).to(device)
    resized = resize(pixels, size)
    return resized if pixels.is_floating_point() else resized.div_(255.0)


def as_batch(images: Tensor | np.ndarray | Picture | Iterable[Picture]) -> Tensor | list[Picture]:
    """What `load_images` takes, as a tensor (N, 3, H, W) or a list of pictures; a single image is a batch of one."""
    if isinstance(images, Tensor):
        return images[None] if images.ndim == 3 else images
    return as_list(images)


def as_list(pictures: np.ndarray | Picture | Iterable[Picture]) -> list[Picture]:
    """Pictures as a list; a single one, which may be an array (H, W, 3) uint8, as a list of one.

    Raises:
        ValueError: an array has another shape or type.
    """
    if isinstance(pictures, np.ndarray):
        if pictures.ndim != 3 or pictures.shape[2] != 3 or pictures.dtype != np.uint8:
            raise ValueError(f"expected an array (H, W, 3) uint8, got {pictures.shape} {pictures.dtype}")
        return [Image.fromarray(pictures)]
    return [pictures] if isinstance(pictures, str | Path | Image.Image) else list(pictures)


def picture_name(picture: object, index: int) -> str:
    """What a picture is called in results: its file name, or `image 1`, `image 2`, … if it has none.

    Args:
        picture: a file, a PIL image, which may know its file, or a tensor.
        index: its place among the pictures that were given, from 0.
    """
    if isinstance(picture, str | Path):
        return str(picture)
    return str(getattr(picture, "filename", "") or f"image {index + 1}")


def load_batches(
    pictures: Tensor | Sequence[Picture],
    size: int,
    device: str | torch.device = "cpu",
    *,
    batch_size: int,
    packed_size: int | None = None,
    skip_unreadable: bool = False,
    progress: str | None = None,
) -> Iterator[tuple[list[str], Tensor, list[str]]]:
    """Load pictures a batch at a time, so that any number of them fits into memory.

    Args:
        pictures: as `as_batch` returns them.
        size: for `load_images`.
        device: for `load_images`.
        batch_size: pictures in a batch.
        packed_size: for `load_images`.
        skip_unreadable: leave out files that cannot be read.
        progress: what is being done, to show the progress on the console; None shows none.

    Yields:
        For each batch the pictures' names, the images (b, 3, size, size) float32 in [0, 1], and one sentence for each
        file that was left out. There may be no image.

    Raises:
        InputError: a file cannot be read and `skip_unreadable` is not set; the error's field is the file.
    """
    starts = range(0, len(pictures), batch_size)
    for start in track(starts, len(starts), progress, "batches") if progress else starts:
        batch = pictures[start : start + batch_size]
        indices, messages = list(range(len(batch))), []
        try:
            images = load_images(batch, size, device, packed_size=packed_size)
        except InputError:
            if not skip_unreadable or isinstance(batch, Tensor):
                raise
            indices, messages = _readable(batch)
            images = load_images([batch[index] for index in indices], size, device, packed_size=packed_size)
        yield [picture_name(batch[index], start + index) for index in indices], images, messages


def _readable(pictures: Sequence[Picture]) -> tuple[list[int], list[str]]:
    """Indices of the pictures that can be read, and one sentence for each of the others."""
    readable, messages = [], []
    for index, picture in enumerate(pictures):
        try:
            load_images(picture, 1)
            readable.append(index)
        except InputError as error:
            messages.append(str(error))
    return readable, messages


def read_picture(picture: Picture, at_least: int | None = None) -> Image.Image:
    """One picture as upright RGB on white.

    Args:
        picture: a file or a PIL image.
        at_least: for `decode`.

    Raises:
        InputError: the file cannot be read as a picture; the error's field is the file.
        TypeError: it is no file name and no PIL image.
    """
    if isinstance(picture, Image.Image):
        try:
            return upright_rgb(picture)
        except (OSError, SyntaxError, ValueError) as error:  # Pillow reads a file, and finds damage, at first use only
            name = getattr(picture, "filename", "") or "a PIL image"
            raise InputError(f"{printable(str(name))}: {error}", field=name) from error
    if not isinstance(picture, str | Path):
        raise TypeError(
            f"expected a file name or a PIL image, got {type(picture).__name__}; PIL.Image.fromarray makes an image of "
            "an array (H, W, 3) uint8, torch.stack a batch (N, 3, H, W) of tensors"
        )
    path = Path(picture)
    try:
        return decode(path, at_least)
    except BadPictureError as error:
        reason = "a folder, not a picture; pass the files in it" if path.is_dir() else str(error)
        raise InputError(f"{printable(str(picture))}: {reason}", field=picture) from error


def read_captions(path: Path, pictures: Sequence[Path]) -> list[str]:
    """A caption `Artist, Title (year)` for each picture, from a CSV file.

    Args:
        path: with the columns file (name without folder), artist, title and year.
        pictures: the files.

    Raises:
        InputError: the file cannot be read, lacks a column, or has no row for a picture.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = {row["file"]: f"{row['artist']}, {row['title']} ({row['year']})" for row in csv.DictReader(file)}
    except (OSError, ValueError) as error:
        raise InputError(f"--captions {path} cannot be read: {error}.", field="--captions") from error
    except KeyError as error:
        raise InputError(f"--captions {path} has no column {error}.", field="--captions") from error
    if missing := [picture.name for picture in pictures if picture.name not in rows]:
        raise InputError(f"--captions {path} has no row for {printable(missing[0])}.", field="--captions")
    return [rows[picture.name] for picture in pictures]


def _square(picture: Picture, side: int) -> np.ndarray:
    """(side, side, 3) uint8."""
    return square(read_picture(picture, side), side)


def check_range(images: Tensor) -> None:
    """Reject float images that are not in [0, 1].

    Raises:
        ValueError: they are in 0..255, normalised, or NaN.
    """
    if not images.is_floating_point() or not images.numel():
        return
    low, high = (value.item() for value in images.aminmax())
    if not _LOWEST <= low <= high <= _HIGHEST:  # NaN is rejected too
        raise ValueError(
            f"expected float images in [0, 1], not normalised by mean and deviation, got {low:.3g} to {high:.3g}"
        )
