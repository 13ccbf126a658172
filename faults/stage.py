"""Where faults are injected: a small data set, a small diffusion model, and the long commands at their smallest."""

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

from faults.child import call_in_child, start
from wikiart_data.sample import SCENES, paint, scene
from wikiart_data.sample.painters import STYLES

STYLES_USED = ("Baroque", "Cubism", "Fauvism", "Pointillism", "Ukiyo_e")
PER_STYLE = {"train": 9, "valid": 2, "test": 2}
"""Images per style."""
SIZE = 48
CLOCK_KEYS = {"seconds", "clock", "train_seconds", "seconds_to_40_percent", "started"}
"""JSON keys whose values are times, which differ from run to run."""


@dataclass(frozen=True)
class Command:
    """A long command at its smallest; every folder in its arguments is below its working directory."""

    name: str
    main: Callable[[list[str]], int]
    arguments: tuple[str, ...]
    run: str = ""
    """Its run folder, for commands that take --resume."""
    target: str = ""
    """What it makes, which appears only when complete and is not made again."""
    prerequisite: str = ""
    """A folder of the stage that must be copied into its working directory first."""

    def arguments_to_continue(self, folder: Path) -> list[str] | None:
        """What a user types next, whatever happened before; None if everything is complete."""
        if self.target and (folder / self.target).exists():
            return None
        if self.run and (folder / self.run / "run.json").exists():
            return ["--resume", self.run]
        return [*self.arguments, *(["--overwrite"] if (folder / self.run).exists() and self.run else [])]


class Stage:
    """Data, base model and commands, made once below one folder.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: Path):
        self.root, self.data, self.base = root, root / "data", root / "base"
        self.home, self.number = root, 0
        paint_data(self.data)
        for path in [self.data, *self.data.rglob("*")]:
            os.utime(path, (1_700_000_000, 1_700_000_000))  # the manifest does not trust a folder that has just changed

    def with_home(self, name: str) -> "Stage":
        """The same stage with another folder to run commands in."""
        other = copy.copy(self)
        other.home, other.number = self.root / name, 0
        other.home.mkdir()
        return other

    def new_folder(self, command: Command | None = None) -> Path:
        """A new folder to run a command in."""
        self.number += 1
        folder = self.home / str(self.number)
        folder.mkdir()
        self.copy_prerequisite(command, folder)
        return folder

    def copy_prerequisite(self, command: Command | None, folder: Path) -> None:
        """Copy what the command needs into its working directory."""
        if command and command.prerequisite:
            shutil.copytree(self.root / command.prerequisite, folder / command.prerequisite)

    def commands(self) -> list[Command]:
        """All long commands; makes what they need."""
        from wikiart_autoencode.clustering.cli import main as cluster

        call_in_child(make_base, self.base)
        training_commands, (pack, download, unpack) = self.training_commands(), self.data_commands()
        self.run(training_commands[1])  # its codes are clustered
        arguments = ("--clusters", "4", "--split", "all", "--device", "cpu", "--name", "one", "--overwrite")
        clustering = Command("cluster", cluster, (*arguments, "--data", str(self.data)), prerequisite="runs/autoencode")
        return [pack, *training_commands, clustering, download, unpack]

    def data_commands(self) -> list[Command]:
        """The commands that only read and write images, without torch."""
        from wikiart_data.cli.main import main

        call_in_child(write_hub_files, self.root / "hub", self.data)
        write_roboflow_export(self.root / "export.zip", self.data)
        return [
            Command("pack", main, ("pack", "--size", "96", "--data", str(self.data))),
            Command("download", main, ("download", "data", "--size", "40", "--source", str(self.root / "hub"))),
            Command("import", main, ("import", str(self.root / "export.zip"), "--to", "data"), target="data"),
        ]

    def training_commands(self) -> list[Command]:
        """The four commands that train."""
        from wikiart_autoencode.cli import main as autoencode
        from wikiart_classify.cli import main as classify
        from wikiart_lora.cli import main as lora
        from wikiart_stylegen.cli import main as stylegen

        common = ("--data", str(self.data), "--device", "cpu", "--ema", "0.5", "--name", "one")
        small = ("--size", "32", "--batch-size", "15", *common)
        thin = ("--width", "0.125", "--blocks", "1")
        steps = ("--size", "16", "--batch-size", "4", "--steps", "12", "--rank", "2")
        steps += ("--save-every", "3", "--num-inference-steps", "1", "--style", "Cubism", "--captions-per-image", "1")
        base = ("--base", str(self.base), "--precision", "fp32", "--lr", "0.01")
        return [
            Command("classify train", classify, ("--model", "tiny", "--epochs", "5", *small), "runs/classify/one"),
            Command("autoencode train", autoencode, (*thin, "--epochs", "5", *small), "runs/autoencode/one"),
            Command(
                "stylegen train",
                stylegen,
                (*thin, "--embedding-dim", "8", "--epochs", "4", "--warmup-epochs", "1", *small),
                "runs/stylegen/one",
            ),
            Command("lora train", lora, (*base, *steps, *common), "runs/lora/one"),
        ]

    def run(self, command: Command, folder: Path | None = None) -> Path:
        """Run a command without any fault, in a folder or in the stage's root.

        Raises:
            RuntimeError: its exit status is not 0.
        """
        folder = folder or self.root
        child = start(lambda: command.main(list(command.arguments)), folder, {"WIKIART_CACHE": str(folder / "cache")})
        if child.wait(1800) != 0:
            raise RuntimeError(f"{command.name} exits with {child.status}: {child.output[-2000:]}")
        return folder


def paint_data(folder: Path, styles: tuple[str, ...] = STYLES_USED) -> None:
    """Paint `folder/{train,valid,test}/<Style>/<artist>_<scene>-<number>.jpg` as the sample set is painted."""
    assert set(styles) <= set(STYLES)
    number = 0
    for split, count in PER_STYLE.items():
        for style in styles:
            (folder / split / style).mkdir(parents=True)
            for _ in range(count):
                number += 1
                pixels = paint(scene(SCENES[number % len(SCENES)], number), style, SIZE)
                name = f"painter-{number % 3}_{SCENES[number % len(SCENES)]}-{number}.jpg"
                Image.fromarray(pixels).save(folder / split / style / name, quality=90)


def write_hub_files(folder: Path, data: Path) -> None:
    """Write the same images as four parquet files with the columns of the hub's data set."""
    import datasets

    features = datasets.Features(
        {
            "image": datasets.Image(),
            "artist": datasets.ClassLabel(names=["Unknown Artist", "claude-monet", "../../Évil <b>"]),
            "genre": datasets.ClassLabel(names=["portrait", "landscape"]),
            "style": datasets.ClassLabel(names=list(STYLES_USED)),
        }
    )
    files = sorted(data.rglob("*.jpg"))
    folder.mkdir()
    datasets.disable_progress_bars()
    for number in range(4):
        shard = [files[index % len(files)] for index in range(number, 4 * 150, 4)]
        columns = {
            "image": [{"bytes": with_grey_corner(file, index), "path": None} for index, file in enumerate(shard)],
            "artist": [index % 3 for index in range(len(shard))],
            "genre": [0] * len(shard),
            "style": [STYLES_USED.index(file.parent.name) for file in shard],
        }
        datasets.Dataset.from_dict(columns, features=features).to_parquet(folder / f"train-{number:05}.parquet")


def with_grey_corner(file: Path, number: int) -> bytes:
    """The image with its corner in a grey that depends on `number`, so that no two files are equal."""
    with Image.open(file) as picture:
        changed = picture.copy()
    changed.paste((number % 256,) * 3, (0, 0, 8, 8))
    content = io.BytesIO()
    changed.save(content, "JPEG", quality=90)
    return content.getvalue()


def write_roboflow_export(archive: Path, data: Path) -> None:
    """Write the images, several times over, as a Roboflow export."""
    with zipfile.ZipFile(archive, "w") as opened:
        for number in range(6):
            for file in sorted(data.rglob("*.jpg")):
                name = file.relative_to(data)
                opened.writestr(f"{name.parent}/{file.stem}-{number}_jpg.rf.{number:04x}.jpg", file.read_bytes())


def make_base(folder: Path) -> None:
    """Save a Stable Diffusion pipeline with random weights, small enough for hundreds of runs."""
    import diffusers
    import torch
    import transformers

    from wikiart_lora.tiny_base.networks import make_scheduler
    from wikiart_lora.tiny_base.vocabulary import make_tokenizer

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


# -- digests of what a command wrote, for comparison bit by bit -------------------------------------------------------


def content_digests(folder: Path) -> dict[str, str]:
    """Path of every finished file below a folder → digest of its content without times. Call it in a child.

    Raises:
        Exception: a file with a final name is incomplete; the type depends on the kind of file.
    """
    digests = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_dir() or is_temporary(inside) or inside.parts[:2] in (("cache", "manifests"), ("cache", "maps")):
            continue
        if path.name not in ("state.pt", "about.json", "run.json", ".lock") and path.suffix != ".lock":
            digests[inside.as_posix()] = digest(path)
    return digests


def is_temporary(path: Path) -> bool:
    """Whether the name marks a file, or a folder that it is in, as unfinished: nothing reads such files."""
    return any(part.endswith((".part", ".next", ".lock")) or part.startswith(".write-") for part in path.parts) or any(
        part.startswith(".") and part.endswith(".import") for part in path.parts
    )


def digest(path: Path) -> str:
    """Digest of a file's content as its readers see it: pixels, numbers and tensors, without times."""
    if path.name == "last.safetensors":
        return _digest(checkpoint(path.parent))
    if path.suffix == ".safetensors":
        from wikiart_data.training.checkpoints import read_model

        tensors, metadata = read_model(path)
        return _digest([metadata, {name: value.numpy() for name, value in tensors.items()}])
    if path.suffix == ".json":
        return _digest(json.loads(path.read_text()))
    if path.suffix == ".jsonl":
        from wikiart_data.results.metrics_log import read_metrics

        return _digest(read_metrics(path))
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            return _digest({name: archive.read(name) for name in archive.namelist()})
    if path.suffix in (".png", ".jpg"):
        with Image.open(path) as picture:
            picture.load()
            # The axis of a learning curve may be seconds.
            return "a figure" if picture.format == "PNG" else _digest([path.read_bytes()])
    if path.name == "index.html":
        page = path.read_text(encoding="utf-8")
        if not page.rstrip().endswith("</html>"):
            raise ValueError(f"{path} is cut off")
        return "a page"  # it shows how long training took
    return _digest([path.read_bytes()])


def checkpoint(folder: Path) -> list[Any]:
    """The state of training as --resume reads it: weights, optimisers and progress."""
    import torch

    from wikiart_data.training.checkpoints import _read_state, read_model

    tensors, metadata = read_model(folder / "last.safetensors")

    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.detach().float().numpy()
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    return [plain(tensors), metadata["styles"], plain(_read_state(folder, metadata["state_crc32"]))]


def _digest(value: Any) -> str:
    total = hashlib.sha256()

    def update(value: Any) -> None:
        if isinstance(value, dict):
            for key in sorted(value.keys() - CLOCK_KEYS - {"crc32", "state_crc32"}, key=str):
                total.update(f"{key}:".encode())
                update(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                update(item)
        elif isinstance(value, np.ndarray):
            total.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
        else:
            total.update(value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass"))

    update(value)
    return total.hexdigest()[:16]
