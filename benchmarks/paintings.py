"""A folder of many JPEG paintings for the other benchmarks: some are painted, the rest are hard links to them."""

import os
from pathlib import Path

from PIL import Image

from wikiart_data.sample import SCENES, paint, scene
from wikiart_data.styles import STYLES


def make_folder(root: Path, pictures: int, side: int = 416, distinct: int = 300) -> float:
    """Make `pictures` JPEG files of side × side pixels in 27 style folders below root/train.

    Args:
        root: a folder that does not exist yet.
        pictures: number of files.
        side: of each picture, in pixels.
        distinct: number of pictures that are painted; the others are hard links (a file can have 65,000 at most).

    Returns:
        Mean file size in bytes.
    """
    for style in STYLES[:pictures]:
        (root / "train" / style).mkdir(parents=True)
    painted = min(distinct, pictures)
    for number in range(painted):
        style = STYLES[number % len(STYLES)]
        pixels = paint(scene(SCENES[number % len(SCENES)], number), style, side)
        Image.fromarray(pixels).save(root / f"{number}.jpg", quality=90)
    for number in range(pictures):
        style = STYLES[number % len(STYLES)]
        os.link(root / f"{number % painted}.jpg", root / "train" / style / f"{number}.jpg")
    return sum((root / f"{number}.jpg").stat().st_size for number in range(painted)) / painted
