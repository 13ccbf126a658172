"""What the faults happen to: a small set of paintings, a small base, and the long commands in tiny form."""

import copy
import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faults.child import ask, start
from wikiart_data.sample import SCENES, paint, scene
from wikiart_data.sample.painters import STYLES

HERE = ("Baroque", "Cubism", "Fauvism", "Pointillism", "Ukiyo_e")
NUMBERS = {"train": 9, "valid": 2, "test": 2}
"""Pictures of each style."""
SIZE = 48
TIMES = {"seconds", "clock", "train_seconds", "seconds_to_40_percent", "started"}
"""Figures that are a clock's: never the same twice."""


@dataclass(frozen=True)
class Command:
    """A long command in tiny form; every folder named in it is below the folder it is run in."""

    name: str
    main: Callable[[list[str]], int]
    arguments: tuple[str, ...]
    run: str = ""
    """The folder of its run, for commands that go on with --resume."""
    target: str = ""
    """What is whole as soon as it is there, and is not made twice."""
    needs: str = ""
    """A folder of the stage that must lie in the folder it is run in."""

    def next(self, folder: Path) -> list[str] | None:
        """How a user goes on, whatever happened before; None if everything is there."""
        if self.target and (folder / self.target).exists():
            return None
        if self.run and (folder / self.run / "run.json").exists():
            return ["--resume", self.run]
        return [*self.arguments, *(["--overwrite"] if (folder / self.run).exists() and self.run else [])]


class Stage:
    """Everything is made once, below one folder.

    Args:
        place: an empty folder.
    """

    def __init__(self, place: Path):
        self.place, self.data, self.base = place, place / "data", place / "base"
        self.home, self.number = place, 0
        paintings(self.data)
        for path in [self.data, *self.data.rglob("*")]:
            os.utime(path, (1_700_000_000, 1_700_000_000))  # a folder that was just written is not trusted yet

    def own(self, name: str) -> "Stage":
        """The same stage, with a folder of its own to run commands in."""
        other = copy.copy(self)
        other.home, other.number = self.place / name, 0
        other.home.mkdir()
        return other

    def fresh(self, command: Command | None = None) -> Path:
        """A new folder to run a command in."""
        self.number += 1
        folder = self.home / str(self.number)
        folder.mkdir()
        self.furnish(command, folder)
        return folder

    def furnish(self, command: Command | None, folder: Path) -> None:
        """Put into a folder what the command needs there."""
        if command and command.needs:
            shutil.copytree(self.place / command.needs, folder / command.needs)

    def commands(self) -> list[Command]:
        """The long commands, with all that they need."""
        from wikiart_autoencode.cluster_cli import main as cluster

        ask(small_base, self.base)
        trainings, (pack, download, unpack) = self.trainings(), self.without_torch()
        self.run(trainings[1])  # whose codes are clustered
        arguments = ("--clusters", "4", "--split", "all", "--device", "cpu", "--name", "one", "--overwrite")
        clustering = Command("cluster", cluster, (*arguments, "--data", str(self.data)), needs="runs/autoencode")
        return [pack, *trainings, clustering, download, unpack]

    def without_torch(self) -> list[Command]:
        """Those that only read and write pictures."""
        from wikiart_data.cli.main import main

        ask(hub_files, self.place / "hub", self.data)
        export(self.place / "export.zip", self.data)
        return [
            Command("pack", main, ("pack", "--size", "96", "--data", str(self.data))),
            Command("download", main, ("download", "data", "--size", "40", "--source", str(self.place / "hub"))),
            Command("import", main, ("import", str(self.place / "export.zip"), "--to", "data"), target="data"),
        ]

    def trainings(self) -> list[Command]:
        """The four of them that train."""
        from wikiart_autoencode.cli import main as autoencode
        from wikiart_classify.cli import main as classify
        from wikiart_lora.cli import main as lora
        from wikiart_stylegen.cli import main as stylegen

        common = ("--data", str(self.data), "--device", "cpu", "--ema", "0.5", "--name", "one")
        small = ("--size", "32", "--batch-size", "15", *common)
        thin = ("--width", "0.125", "--blocks", "1")
        steps = ("--size", "16", "--batch-size", "4", "--steps", "12", "--every", "3", "--rank", "2", "--sampling", "1")
        steps += ("--style", "Cubism", "--variants", "1")
        base = ("--base", str(self.base), "--precision", "fp32", "--lr", "0.01")
        return [
            Command("classify train", classify, ("--model", "tiny", "--epochs", "5", *small), "runs/classify/one"),
            Command("autoencode train", autoencode, (*thin, "--epochs", "5", *small), "runs/autoencode/one"),
            Command(
                "stylegen train",
                stylegen,
                (*thin, "--style", "8", "--epochs", "4", "--lessons", "1", *small),
                "runs/stylegen/one",
            ),
            Command("lora train", lora, (*base, *steps, *common), "runs/lora/one"),
        ]

    def run(self, command: Command, folder: Path | None = None) -> Path:
        """Run a command unbroken, in a folder or in the stage's own.

        Raises:
            RuntimeError: it did not end well.
        """
        folder = folder or self.place
        child = start(lambda: command.main(list(command.arguments)), folder, {"WIKIART_CACHE": str(folder / "cache")})
        if child.wait(1800) != 0:
            raise RuntimeError(f"{command.name} alone ends with {child.status}: {child.said[-2000:]}")
        return folder


def paintings(folder: Path, styles: tuple[str, ...] = HERE) -> None:
    """`folder/{train,valid,test}/<Style>/<artist>_<scene>-<number>.jpg` of the sample set's painters."""
    assert set(styles) <= set(STYLES)
    number = 0
    for split, count in NUMBERS.items():
        for style in styles:
            (folder / split / style).mkdir(parents=True)
            for _ in range(count):
                number += 1
                pixels = paint(scene(SCENES[number % len(SCENES)], number), style, SIZE)
                name = f"painter-{number % 3}_{SCENES[number % len(SCENES)]}-{number}.jpg"
                Image.fromarray(pixels).save(folder / split / style / name, quality=90)


def hub_files(folder: Path, data: Path) -> None:
    """The same pictures as parquet files of the hub's columns, two of them."""
    import datasets

    features = datasets.Features(
        {
            "image": datasets.Image(),
            "artist": datasets.ClassLabel(names=["Unknown Artist", "claude-monet", "../../Évil <b>"]),
            "genre": datasets.ClassLabel(names=["portrait", "landscape"]),
            "style": datasets.ClassLabel(names=list(HERE)),
        }
    )
    files = sorted(data.rglob("*.jpg"))
    folder.mkdir()
    datasets.disable_progress_bars()
    for number in range(4):
        mine = [files[place % len(files)] for place in range(number, 4 * 150, 4)]
        columns = {
            "image": [{"bytes": altered(file, place), "path": None} for place, file in enumerate(mine)],
            "artist": [place % 3 for place in range(len(mine))],
            "genre": [0] * len(mine),
            "style": [HERE.index(file.parent.name) for file in mine],
        }
        datasets.Dataset.from_dict(columns, features=features).to_parquet(folder / f"train-{number:05}.parquet")


def altered(file: Path, number: int) -> bytes:
    """The picture with its corner in another grey, so that no two are the same."""
    with Image.open(file) as picture:
        changed = picture.copy()
    changed.paste((number % 256,) * 3, (0, 0, 8, 8))
    content = io.BytesIO()
    changed.save(content, "JPEG", quality=90)
    return content.getvalue()


def export(archive: Path, data: Path) -> None:
    """The pictures, several times over, as a Roboflow export."""
    with zipfile.ZipFile(archive, "w") as opened:
        for number in range(6):
            for file in sorted(data.rglob("*.jpg")):
                name = file.relative_to(data)
                opened.writestr(f"{name.parent}/{file.stem}-{number}_jpg.rf.{number:04x}.jpg", file.read_bytes())


def small_base(folder: Path) -> None:
    """A pipeline of Stable Diffusion's kind with random weights, small enough for hundreds of runs."""
    import diffusers
    import torch
    import transformers

    from wikiart_lora.tiny_networks import make_scheduler
    from wikiart_lora.vocabulary import make_tokenizer

    torch.manual_seed(0)
    words = make_tokenizer(["a red lake", "a painting of a house"])
    text = transformers.CLIPTextConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=words.model_max_length, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        sample_size=16, block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, latent_channels=4, norm_num_groups=4,
        mid_block_add_attention=False,
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=16, attention_head_dim=2,
        norm_num_groups=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    scheduler = diffusers.DDIMScheduler.from_config(make_scheduler().config, prediction_type="epsilon")
    scheduler.register_to_config(rescale_betas_zero_snr=False)
    diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=transformers.CLIPTextModel(text), tokenizer=words, unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip


# -- what a command left, to be compared bit by bit ------------------------------------------------------------------


def left_by(folder: Path) -> dict[str, str]:
    """Every finished file below a folder → the digest of its content, without clocks. Call it in a child.

    Raises:
        Exception: a file of a finished name is not whole; what it raises depends on the kind of file.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_dir() or unfinished(inside) or inside.parts[:2] in (("cache", "manifests"), ("cache", "maps")):
            continue
        if path.name not in ("state.pt", "about.json", "run.json", ".lock") and path.suffix != ".lock":
            found[inside.as_posix()] = digest(path)
    return found


def unfinished(path: Path) -> bool:
    """Whether a name says that the file, or a folder it is in, is not finished: nothing reads such files."""
    return any(part.endswith((".part", ".next")) or part.startswith(".write-") for part in path.parts) or any(
        part.startswith(".") and part.endswith(".import") for part in path.parts
    )


def digest(path: Path) -> str:
    """Digest of a file's content, read as those do who use it; in colours, numbers and tensors, not in clocks."""
    if path.name == "last.safetensors":
        return _sum(checkpoint(path.parent))
    if path.suffix == ".safetensors":
        from wikiart_data.training.checkpoints import read_model

        tensors, about = read_model(path)
        return _sum([about, {name: value.numpy() for name, value in tensors.items()}])
    if path.suffix == ".json":
        return _sum(json.loads(path.read_text()))
    if path.suffix == ".jsonl":
        from wikiart_data.training.legacy_run import Run

        return _sum(Run(path.parent, {}).metrics())
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            return _sum({name: archive.read(name) for name in archive.namelist()})
    if path.suffix in (".png", ".jpg"):
        with Image.open(path) as picture:
            picture.load()
            # A learning curve may be drawn over seconds.
            return "a figure" if picture.format == "PNG" else _sum([path.read_bytes()])
    if path.name == "index.html":
        page = path.read_text(encoding="utf-8")
        if not page.rstrip().endswith("</html>"):
            raise ValueError(f"{path} is cut off")
        return "a page"  # it tells how long training took
    return _sum([path.read_bytes()])


def checkpoint(folder: Path) -> list[Any]:
    """Where training stands, as --resume reads it: weights, optimiser and progress."""
    import torch

    from wikiart_data.training.checkpoints import read_model
    from wikiart_data.training.legacy_run import Run
    from wikiart_data.training.run import read_run_record

    tensors, about = read_model(folder / "last.safetensors")
    state = Run(folder, read_run_record(folder))._state_of(about["state_crc32"])

    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.detach().float().numpy()
        if isinstance(value, dict):
            return {str(key): plain(one) for key, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, list | tuple) else value

    return [plain(tensors), about["styles"], plain(state)]


def _sum(value: Any) -> str:
    total = hashlib.sha256()

    def take(value: Any) -> None:
        if isinstance(value, dict):
            for key in sorted(value.keys() - TIMES - {"crc32", "state_crc32"}, key=str):
                total.update(f"{key}:".encode())
                take(value[key])
        elif isinstance(value, list | tuple):
            for one in value:
                take(one)
        elif isinstance(value, np.ndarray):
            total.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
        else:
            total.update(value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass"))

    take(value)
    return total.hexdigest()[:16]
