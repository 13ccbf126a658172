"""Shared fixtures: a cache for each test, tiny folders of paintings, and runs of a tiny network."""

import dataclasses
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from wikiart_data.images import packed as packed_module
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.images.decode import decode

# What needs torch imports it where it is used: most tests here do without, and start sooner.
if TYPE_CHECKING:
    import torch
    from torch import nn

    from wikiart_data.training.run import Run

    from .training_loop import TrainOptions

# Uneven on purpose: Rococo has no test pictures, and four styles differ in number.
SMALL = {
    "train": {"Baroque": 12, "Cubism": 6, "Rococo": 4, "Ukiyo_e": 3},
    "valid": {"Baroque": 2, "Cubism": 1, "Rococo": 1, "Ukiyo_e": 1},
    "test": {"Baroque": 3, "Cubism": 2, "Ukiyo_e": 1},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of this test; it does not exist yet."""
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
                style_folder = tmp_path / name / split / style
                style_folder.mkdir(parents=True, exist_ok=True)
                for file in [f"{i:03d}.jpg" for i in range(files)] if isinstance(files, int) else files:
                    number += 1
                    if real:
                        paint(style_folder / file, number)
                    else:  # scanning opens no picture
                        (style_folder / file).write_bytes(b"x" * number)
        return tmp_path / name

    return folder


@pytest.fixture
def backdate() -> Callable[..., None]:
    """Set the times of a tree an hour back: a cached manifest is trusted only if nothing was changed recently."""

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


# -- catalogs; the tests import what is no fixture -------------------------------------------------------------------


def labels_of(catalog: Catalog) -> dict[str, tuple[str, str]]:
    """File → its style and split."""
    return {
        file: (catalog.styles[label], split)
        for file, label, split in zip(catalog.files, catalog.labels, catalog.splits.tolist(), strict=True)
    }


def touch(root: Path, files: Iterable[str]) -> Path:
    for number, file in enumerate(files, 1):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"x" * number)
    return root


def printed(catalog: Catalog) -> str:
    return "\n".join(catalog.notes)


# -- packs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def catalog(folder: Callable[..., Path]) -> Catalog:
    return scan(folder())


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that packing decodes, as it goes."""
    names: list[str] = []

    def counted(source: Path, at_least: int | None = None) -> object:
        names.append(source.name)
        return decode(source, at_least)

    monkeypatch.setattr(packed_module, "decode", counted)
    return names


# -- runs; the tests import what is no fixture ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Config:
    runs: Path
    name: str | None = None
    overwrite: bool = False
    seed: int = 7
    lr: float = 0.1
    sizes: tuple[int, ...] = (3, 4)
    paths: tuple[Path, ...] = (Path("a"),)


@pytest.fixture
def git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking git takes longer than all else that a test does here."""
    from wikiart_data.training import provenance as provenance_module

    monkeypatch.setattr(provenance_module, "git_commit", lambda: "0123abc+")


@pytest.fixture
def start(folder: Callable[..., Path], git: None, tmp_path: Path) -> Callable[..., "Run"]:
    """Start a run of a `Config` with these options."""
    from wikiart_data.training.run import Part, Run

    catalog = scan(folder(real=False))
    part = Part("classify", "A classifier", "wikiart-classify", ("wikiart-classify predict PICTURE --model RUN",))

    def start(**options: Any) -> Run:
        return Run.start(part, Config(tmp_path / "runs", **options), catalog)

    return start


@pytest.fixture
def dispositions() -> Iterator[None]:
    """What signals do is put back after the test."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def options(folder: Callable[..., Path], tmp_path: Path) -> "TrainOptions":
    """Options of the training loop in training_loop.py."""
    from .training_loop import TrainOptions

    return TrainOptions(data=str(folder()), runs=tmp_path / "runs")


def net(seed: int = 0, width: int = 5) -> "nn.Module":
    import torch
    from torch import nn

    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 4))


def optimizer_of(model: "nn.Module") -> "torch.optim.Optimizer":
    import torch

    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)


def train(model: "nn.Module", optimizer: "torch.optim.Optimizer", steps: range) -> None:
    import torch
    from torch import nn

    model.train()
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        x, y = torch.randn(8, 3, generator=generator), torch.randint(0, 4, (8,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def saved(run: "Run", seed: int = 0, steps: int = 3, **progress: Any) -> tuple["nn.Module", "torch.optim.Optimizer"]:
    """Train a little and save a checkpoint."""
    model = net(seed)
    optimizer = optimizer_of(model)
    train(model, optimizer, range(steps))
    save(run, model, optimizer, **{"epoch": steps, **progress})
    return model, optimizer


def save(run: "Run", model: "nn.Module", optimizer: "torch.optim.Optimizer", **progress: Any) -> None:
    from wikiart_data.training.checkpoints import finish_writing, save_checkpoint

    save_checkpoint(run.folder, run.identity(), {"network": model}, {"optimizer": optimizer}, progress)
    finish_writing(run.folder)


def resumed(run: "Run") -> tuple["nn.Module", "torch.optim.Optimizer", dict[str, Any] | None]:
    """Load the checkpoint of a run's folder, as a new process would."""
    from wikiart_data.training.checkpoints import load_checkpoint
    from wikiart_data.training.run import read_run_record

    model = net(99)
    optimizer = optimizer_of(model)
    record = read_run_record(run.folder)
    progress = load_checkpoint(run.folder, record, {"network": model}, {"optimizer": optimizer})
    return model, optimizer, progress


def equal(one: "nn.Module", other: "nn.Module") -> bool:
    import torch

    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
