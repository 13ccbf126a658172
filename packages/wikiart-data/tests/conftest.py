"""What the tests share: a cache of their own, and tiny folders of paintings."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# Uneven on purpose: Rococo has no test pictures, and four styles differ in number.
SMALL = {
    "train": {"Baroque": 12, "Cubism": 6, "Rococo": 4, "Ukiyo_e": 3},
    "valid": {"Baroque": 2, "Cubism": 1, "Rococo": 1, "Ukiyo_e": 1},
    "test": {"Baroque": 3, "Cubism": 2, "Ukiyo_e": 1},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of this test alone; it does not exist yet."""
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    # Forcing bytes to the disk is for a power cut, which no test plays; on a busy disk it is what takes the time.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return tmp_path / "cache"


@pytest.fixture
def paint() -> Callable[..., Path]:
    """Write one small picture; `number` decides its pixels, so no two numbers look alike."""

    def paint(path: Path, number: int = 0, size: tuple[int, int] = (20, 16)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path, "JPEG", quality=90)
        return path

    return paint


@pytest.fixture
def folder(tmp_path: Path, paint: Callable[..., Path]) -> Callable[..., Path]:
    """Make a data folder of `{split: {style: number of pictures, or their names}}`."""

    def folder(
        content: Mapping[str, Mapping[str, int | list[str]]] = SMALL, name: str = "data", real: bool = True
    ) -> Path:
        number = 0
        for split, styles in content.items():
            for style, files in styles.items():
                place = tmp_path / name / split / style
                place.mkdir(parents=True, exist_ok=True)
                for file in [f"{i:03d}.jpg" for i in range(files)] if isinstance(files, int) else files:
                    number += 1
                    if real:
                        paint(place / file, number)
                    else:  # scanning opens no picture
                        (place / file).write_bytes(b"x" * number)
        return tmp_path / name

    return folder


@pytest.fixture
def backdate() -> Callable[..., None]:
    """Make a tree look as if nothing had been changed in it for an hour: only then is a remembered listing trusted."""

    def backdate(root: Path, seconds: float = 3600) -> None:
        when = time.time_ns() - int(seconds * 1e9)
        for path in [root, *root.rglob("*")]:
            os.utime(path, ns=(when, when))

    return backdate


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, tuple[int, int]]]:
    """Every path below a folder with its size and time, to prove that nothing was written there."""

    def snapshot(root: Path) -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in [root, *root.rglob("*")]}

    return snapshot
