"""The sample set on disk: folder layout and class imbalance of the course's data, built once and atomically."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock
from PIL import Image

from wikiart_data.errors import InputError
from wikiart_data.files import cache_root
from wikiart_data.images.decode import available_cores
from wikiart_data.sample import MARK, is_sample_set
from wikiart_data.sample.painters import paint
from wikiart_data.sample.scenes import SCENES, Scene, title
from wikiart_data.styles import STYLES

VERSION = 1
"""Part of the folder's name: pictures of different versions are never mixed."""

SIZE = 160
"""Side of the pictures, in pixels: enough for random crops at 128; brush strokes are still visible at half of it."""

COURSE: dict[str, tuple[int, int]] = {
    "Abstract_Expressionism": (449, 17),
    "Action_painting": (18, 1),
    "Analytical_Cubism": (15, 2),
    "Art_Nouveau_Modern": (688, 32),
    "Baroque": (721, 34),
    "Color_Field_Painting": (268, 6),
    "Contemporary_Realism": (91, 3),
    "Cubism": (390, 15),
    "Early_Renaissance": (246, 9),
    "Expressionism": (1127, 52),
    "Fauvism": (163, 8),
    "High_Renaissance": (198, 9),
    "Impressionism": (2269, 101),
    "Mannerism_Late_Renaissance": (246, 12),
    "Minimalism": (212, 10),
    "Naive_Art_Primitivism": (373, 19),
    "New_Realism": (41, 1),
    "Northern_Renaissance": (413, 23),
    "Pointillism": (80, 6),
    "Pop_Art": (244, 15),
    "Post_Impressionism": (946, 51),
    "Realism": (1712, 82),
    "Rococo": (369, 13),
    "Romanticism": (1157, 51),
    "Symbolism": (679, 45),
    "Synthetic_Cubism": (38, 1),
    "Ukiyo_e": (197, 12),
}
"""Pictures per style in the course's train and test folders: 13,350 and 630, 151 to 1 between the styles."""

TOTALS: dict[str, tuple[int, int]] = {"train": (2700, 3), "valid": (270, 1), "test": (540, 2)}
"""Pictures in each split, and the least number per style."""

_POOLS = {"train": (0, 160), "valid": (160_000, 40), "test": (320_000, 60)}
# First seed and number of seeds per kind of scene: splits share no scene, styles of one split do.

_GIVEN = (
    "ada", "bruno", "celia", "dario", "elin", "fabrice", "greta", "hanno", "ilse", "jorun", "katya", "lorens", "mira",
    "nils", "odette", "pavel", "quirin", "runa", "sven", "tilda",
)  # fmt: skip
_FAMILY = (
    "ambrell", "brandvik", "corvane", "dellmar", "eskholt", "farrow-linde", "grunvald", "hallorin", "isbrand",
    "jellicor", "kastner", "lindqvane", "morrand",
)  # fmt: skip


class Plan(NamedTuple):
    """One picture of the set and its place in it."""

    split: str
    style: str
    artist: str
    scene: Scene

    @property
    def path(self) -> Path:
        """`train/Baroque/ada-morrand_still-life-on-a-table-17.jpg`."""
        name = f"{self.artist}_{_slug(title(self.scene))}-{self.scene.seed}.jpg"
        return Path(self.split, self.style, name)


def counts(split: str, fraction: float = 1.0) -> dict[str, int]:
    """Pictures per style of a split: the course's proportions, but at least the split's least number.

    Args:
        split: train, valid or test.
        fraction: of the full number of pictures.
    """
    total, least = TOTALS[split]
    column = np.array([COURSE[style][split == "test"] for style in STYLES], float)
    # Styles at the least number are set aside, the rest is rounded by largest remainders: the total is exact.
    goal = max(round(total * fraction), least * len(STYLES))
    exact = np.maximum(column * goal / column.sum(), least)
    for _ in range(20):
        free = exact > least
        if not free.any():
            break
        exact[free] *= (goal - exact[~free].sum()) / exact[free].sum()
        exact = np.maximum(exact, least)
    whole = np.floor(exact + 1e-9).astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: goal - whole.sum()]] += 1
    return dict(zip(STYLES, whole.tolist(), strict=True))


def artists(style: str, number: int) -> list[str]:
    """The invented artists of a style, as in file names: 3 to 12, for about 20 pictures each."""
    rng = np.random.default_rng([STYLES.index(style), 27])
    order = rng.permutation(len(_GIVEN) * len(_FAMILY))[: int(np.clip(number // 20, 3, 12))]
    return [f"{_GIVEN[i % len(_GIVEN)]}-{_FAMILY[i // len(_GIVEN)]}" for i in order]


def plan(fraction: float = 1.0) -> Iterator[Plan]:
    """Every picture of the set, in order; a `fraction` below 1 is a smaller set with the same imbalance."""
    large = counts("train")
    for split, (first, seeds) in _POOLS.items():
        pool = [Scene(kind, first + seed) for seed in range(seeds) for kind in SCENES]
        for style, number in counts(split, fraction).items():
            rng = np.random.default_rng([STYLES.index(style), first])
            names = artists(style, large[style])
            for index in rng.permutation(len(pool))[:number]:
                yield Plan(split, style, names[int(rng.integers(len(names)))], pool[index])


def scene_of(path: Path | str) -> Scene:
    """The scene of a picture of the sample set, from its file name.

    Raises:
        ValueError: it is not the name of such a picture.
    """
    match = re.fullmatch(rf"[a-z-]+_({'|'.join(map(_slug, SCENES))})-[a-z-]+-(\d+)\.jpg", Path(path).name)
    if not match:
        raise ValueError(f"{Path(path).name} is not a picture of the sample set: no <artist>_<kind>-<title>-<seed>.jpg")
    return Scene(match[1].replace("-", "_"), int(match[2]))


def build_sample_set(
    folder: Path | str,
    *,
    size: int = SIZE,
    fraction: float = 1.0,
    quality: int = 90,
    workers: int | None = None,
    echo: Callable[[str], None] = print,
) -> Path:
    """Paint the set into `folder`, laid out as `<folder>/{train,valid,test}/<Style>/<artist>_<title>-<seed>.jpg`.

    It is painted in a hidden folder that is renamed at the end, so `folder` is never incomplete. If another process is
    building the set, this one waits for it; an existing set is left as it is.

    Args:
        folder: the folder to make, with its parents.
        size: side of the pictures, in pixels.
        fraction: of the full number of pictures; every style keeps its least number.
        quality: of the JPEG files, 1 to 95.
        workers: number of processes (default: one per core).
        echo: called with each line of progress.

    Returns:
        The folder.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    folder = Path(folder).absolute()
    if is_sample_set(folder):
        return folder
    if folder.exists():
        raise InputError(
            f"{folder} exists and is not a sample set: give a folder that does not exist yet.", field=folder
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if not folder.is_dir():  # else another process has built it while we waited
                _build_locked(folder, size, fraction, quality, workers or available_cores(), echo)
    except OSError as error:
        raise InputError(
            f"The sample set cannot be written to {folder} ({error.strerror or error}); "
            "choose another folder with --cache-dir or the environment variable WIKIART_CACHE.",
            field=folder,
        ) from error
    return folder


def sample_root(cache_dir: Path | str | None = None, echo: Callable[[str], None] = print) -> Path:
    """The folder of the sample set, which is built on first use (about a minute).

    Args:
        cache_dir: where it is kept (default: `$WIKIART_CACHE`, else the user's cache folder).
        echo: called with each line of progress while it is built.

    Raises:
        InputError: the cache cannot be written.
    """
    return build_sample_set(cache_root(cache_dir) / f"sample-v{VERSION}", echo=echo)


def _build_locked(
    folder: Path, size: int, fraction: float, quality: int, workers: int, echo: Callable[[str], None]
) -> None:
    start = time.monotonic()
    number = sum(sum(counts(split, fraction).values()) for split in TOTALS)
    echo(f"Painting the sample set ({number:,} pictures, once, about {number * 0.02 / workers:.0f} s): {folder}")
    unfinished = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(unfinished, ignore_errors=True)  # what a killed build left
    for split in TOTALS:
        for style in STYLES:
            (unfinished / split / style).mkdir(parents=True)
    # Plain child processes, because multiprocessing needs a main guard in scripts and fails in notebooks.
    settings = [str(value) for value in (size, fraction, quality, workers, os.getpid())]
    command = [sys.executable, "-c", _WORKER, str(unfinished), *settings]
    children = [
        subprocess.Popen([*command, str(worker)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for worker in range(workers)
    ]
    try:
        errors = [(child.communicate()[1] or b"").decode(errors="replace") for child in children]
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
    if any(child.returncode for child in children):
        raise OSError(next((text for text in errors if text), "a worker was killed").strip().splitlines()[-1])
    (unfinished / MARK).touch()
    unfinished.rename(folder)
    echo(f"Painted {number:,} pictures in {time.monotonic() - start:.0f} s.")


def _paint_shard(
    folder: Path, size: int, fraction: float, quality: int, workers: int, parent: int, worker: int
) -> None:
    for number, picture in enumerate(plan(fraction)):
        if number % workers == worker:
            if os.getppid() != parent:
                sys.exit("the parent process has ended")
            pixels = paint(picture.scene, picture.style, size, picture.artist)
            Image.fromarray(pixels).save(folder / picture.path, quality=quality)


_WORKER = """
import sys
from pathlib import Path
from wikiart_data.sample.build import _paint_shard
folder, size, fraction, *rest = sys.argv[1:]
_paint_shard(Path(folder), int(size), float(fraction), *map(int, rest))
"""


def _slug(text: str) -> str:
    return re.sub(r"[^a-z]+", "-", text.lower())
