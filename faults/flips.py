"""Flipped bits and cut files: everything that is read again notices, or reads the same; nothing changes silently."""

import contextlib
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.child import ask
from faults.stage import Stage, left_by
from faults.tally import Tally
from wikiart_data.errors import InputError


@dataclass(frozen=True)
class Kept:
    """Something on disk that is read again."""

    what: str
    file: Path
    read: Callable[[], Any]
    """Reads it as the commands do, and says what was read in a value that can be compared."""
    mended: bool = False
    """Whether what is damaged is made again, so that reading it never fails."""
    slow: bool = False
    """Whether making it again takes long: it is damaged less often."""


def flip(stage: Stage, kind: str, flips: int, seed: int, tally: Tally) -> None:
    """Flip one bit at each of many random positions of each file of a kind, and cut it at some."""
    for kept in KEPT[kind](stage):
        for what, ending, why in ask(damaged, kept, flips // 5 if kept.slow else flips, seed):
            tally.lose(what, why) if ending == "lost" else tally.add(what, ending)


def damaged(kept: Kept, flips: int, seed: int) -> list[tuple[str, str, str]]:
    """Damage a file again and again, and read it. Call it in a child.

    Returns:
        Of each trial what was tried, how it ended, and why it is a loss.
    """
    whole, dice = kept.file.read_bytes(), random.Random(f"{seed} {kept.what}")
    truth, found = kept.read(), []
    if kept.file.read_bytes() != whole or kept.read() != truth:
        return [(kept.what, "lost", "reading it twice is not the same")]
    cuts = [0, 1, len(whole) // 2, len(whole) - 1, *(dice.randrange(len(whole)) for _ in range(flips // 10))]
    early = min(400, len(whole))  # headers are short, and what is odd happens there
    places = [dice.randrange(early if turn % 3 == 0 else len(whole)) for turn in range(flips)]
    places += [len(whole) - 1 - dice.randrange(early) for _ in range(flips // 3)]
    for place in [*places, *cuts]:
        flipped = bytearray(whole)
        is_cut = len(found) >= len(places)
        flipped[place] ^= 1 << dice.randrange(8)
        put(kept.file, whole[:place] if is_cut else flipped)
        what, where = f"{kept.what}, {'cut' if is_cut else 'bit flipped'}", f"at byte {place} of {len(whole)}"
        try:
            same = kept.read() == truth
            damage = kept.file.exists() and kept.file.read_bytes() != whole
            ending = ("no effect" if damage else "made good") if same else "lost"
            found.append((what, ending, f"other values are read {where}"))
        except InputError as error:
            good = str(error) and not kept.mended
            found.append((what, "refused" if good else "lost", f"not mended {where}: {error}"))
        except Exception as error:
            found.append((what, "lost", f"{type(error).__name__} {where}: {error}"))
        put(kept.file, whole)
    return found


def put(file: Path, content: bytes) -> None:
    """Write a file as another one of that name: whoever has the old one mapped into memory keeps it."""
    file.parent.mkdir(exist_ok=True)
    file.with_name("put").write_bytes(content)
    file.with_name("put").replace(file)


def quietly(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, without what it says."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        return function(*arguments)


def packs(stage: Stage) -> list[Kept]:
    """A pack's two files, and the manifest of a data folder."""
    from wikiart_data.images.catalog import scan
    from wikiart_data.images.packed import pack

    cache = stage.fresh()
    catalog = scan(stage.data, cache_dir=cache)
    folder = pack(catalog, 24, cache_dir=cache, workers=1).folder

    def pictures() -> tuple:
        packed = pack(catalog, 24, cache_dir=cache, workers=1)
        return packed.images.tobytes(), packed.bad

    def listed() -> tuple:
        found = scan(stage.data, cache_dir=cache)
        return found.files, found.sizes.tobytes(), found.times.tobytes(), found.labels.tobytes()

    manifest = next((cache / "manifests").glob("*.npz"))
    return [
        Kept("pack (images.u8)", folder / "images.u8", pictures, mended=True),
        Kept("pack (index.npz)", folder / "index.npz", pictures, mended=True),
        Kept("manifest", manifest, listed, mended=True),
    ]


def runs(stage: Stage) -> list[Kept]:
    """The weights of each kind of network as it is used, and the checkpoint that --resume reads."""
    found = []
    for command in stage.trainings():
        part, folder = command.name.split()[0], stage.run(command, stage.home) / command.run
        found.append(Kept(f"weights of {part}", folder / "model.safetensors", weights(part, folder)))
        if part in ("classify", "stylegen"):
            files = ("last.safetensors", "state.pt", "run.json")
            found += [Kept(f"checkpoint ({name})", folder / name, standing(folder)) for name in files]
    return found


def weights(part: str, folder: Path) -> Callable[[], Any]:
    """How the weights of a part are loaded to be used."""
    import importlib

    file = folder / "model.safetensors"

    def of_network() -> Any:
        trained = importlib.import_module(f"wikiart_{part}.checkpoint").load_network(file)
        values = {name: value.numpy().tobytes() for name, value in trained.network.state_dict().items()}
        return values, trained.styles, json.dumps(trained.config, sort_keys=True)

    def of_adapter() -> Any:
        from wikiart_lora.generate import open_trained

        trained = quietly(open_trained, file, Path("runs"), "cpu", 1.0)
        network = trained.base.denoiser.state_dict()
        values = {name: value.float().numpy().tobytes() for name, value in network.items() if "lora_" in name}
        return values, trained.styles, json.dumps(trained.config, sort_keys=True)

    return of_adapter if part == "lora" else of_network


def standing(folder: Path) -> Callable[[], Any]:
    """How --resume reads where a run stands: its options, weights, optimiser and progress."""
    import torch
    from torch import nn

    from wikiart_data.training.checkpoints import read_model
    from wikiart_data.training.legacy_run import Run

    tensors, _ = read_model(folder / "last.safetensors")
    models = sorted({name.partition("/")[0] for name in tensors})

    class Held(nn.Module):
        """Stands for the networks: holds tensors of the names that were saved."""

        def __init__(self, name: str):
            super().__init__()
            self.own = {
                key.partition("/")[2]: value.clone() for key, value in tensors.items() if key.startswith(f"{name}/")
            }

        def state_dict(self) -> dict:
            return self.own

        def load_state_dict(self, state: dict) -> None:
            self.own = state

    class Steps:
        """Stands for the optimiser."""

        state: Any = None

        def load_state_dict(self, state: dict) -> None:
            self.state = state

    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return str(value.dtype), tuple(value.shape), value.detach().float().numpy().tobytes()
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, list | tuple) else value

    def read() -> Any:
        run, held, steps = Run.resume(folder), {name: Held(name) for name in models}, Steps()
        progress = run.resumed(held, steps)
        facts = {key: run.record[key] for key in ("config", "styles")}
        return facts, {name: plain(one.own) for name, one in held.items()}, plain(steps.state), plain(progress)

    return read


def exports(stage: Stage) -> list[Kept]:
    """Codes, and a judge."""
    from wikiart_autoencode.cli import main as autoencode
    from wikiart_autoencode.codes import Codes
    from wikiart_classify.cli import main as classify
    from wikiart_data.judge import Judge

    codes, judge = stage.home / "codes.npz", stage.home / "judge"
    classifier, encoder, *_ = stage.trainings()

    def make() -> None:
        encoding = ["encode", str(stage.home / encoder.run), "--to", str(codes), "--device", "cpu"]
        assert quietly(autoencode, encoding) == 0
        assert quietly(classify, ["export", str(stage.home / classifier.run), "--to", str(judge)]) == 0

    stage.run(classifier, stage.home)
    stage.run(encoder, stage.home)
    ask(make)

    def judged() -> Any:
        found = Judge.load(judge)
        values = {name: value.numpy().tobytes() for name, value in found.module.state_dict().items()}
        return found.styles, found.size, found.info, values

    return [
        Kept("codes.npz", codes, lambda: Codes.load(codes).fingerprint),
        Kept("judge (judge.json)", judge / "judge.json", judged),
        Kept("judge (model.pt2)", judge / "model.pt2", judged),
    ]


def caches(stage: Stage) -> list[Kept]:
    """What lora and the maps keep in the cache."""
    import numpy as np

    from wikiart_autoencode.reduce import reduce
    from wikiart_data.images.catalog import scan
    from wikiart_lora.buckets import make_buckets

    cache = stage.fresh()
    catalog = scan(stage.data, cache_dir=cache)
    base: list[Any] = []

    def opened() -> Any:
        from wikiart_lora.pipelines import open_base

        if not base:
            base.append(open_base(str(stage.base)))
        return base[0]

    def latents() -> Any:
        from wikiart_lora.cache import latents_of

        found = quietly(latents_of, opened(), catalog, make_buckets(16, 4, False), False, 0.01, cache)
        return found.bucket_of.tobytes(), found.place_of.tobytes(), [np.array(one).tobytes() for one in found.maps]

    def captions() -> Any:
        from wikiart_lora.cache import embeddings_of

        found = quietly(embeddings_of, opened(), ["a red lake", "a house"], cache)
        return {name: value.float().numpy().tobytes() for name, value in found.maps.items()}

    points = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)

    def mapped() -> Any:
        return quietly(reduce, points, "tsne", 2, 0, cache).tobytes()

    ask(lambda: [bool(read()) for read in (latents, captions, mapped)])
    found = [Kept("map kept in the cache", next((cache / "maps").glob("*.npz")), mapped, mended=True, slow=True)]
    for folder, read in (("latents-*", latents), ("text-*", captions)):
        for file in sorted((cache / "lora").glob(f"{folder}/*")):
            kind = "latents" if read is latents else "embeddings"
            found.append(Kept(f"lora's {kind} ({file.name})", file, read, mended=True, slow=True))
    return found


def download(stage: Stage) -> list[Kept]:
    """The file that says how far a download got, of one that was broken off."""
    from wikiart_data.acquire import download as module

    made, whole = stage.fresh() / "data", stage.fresh() / "data"
    options = {"source": str(stage.place / "hub"), "size": 40, "limit": 0}

    def broken_off() -> None:
        count, write = 0, module._write

        def nearly_full(path: Path, content: bytes) -> None:
            nonlocal count
            count += 1
            if count > 200:
                raise OSError(28, "No space left on device")
            write(path, content)

        quietly(module.download, module.DownloadOptions(whole, **options))
        module._write = nearly_full
        with contextlib.suppress(InputError):
            quietly(module.download, module.DownloadOptions(made, **options))

    ask(broken_off)
    before = made.with_name("before")
    made.rename(before)

    def gone_on() -> Any:
        """Go on in a copy, and compare with the unbroken download's pictures."""
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(before, made)
        quietly(module.download, module.DownloadOptions(made, **options))
        return left_by(made)

    return [Kept("progress of a download", before / module.PROGRESS, gone_on)]


KEPT = {"packs": packs, "runs": runs, "exports": exports, "caches": caches, "download": download}
"""What is flipped in, by kind."""
