"""Flipped bits and truncated files: every reader notices or reads the same values; nothing changes silently."""

import contextlib
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.child import call_in_child
from faults.stage import Stage, content_digests
from faults.tally import Tally
from wikiart_data.errors import InputError


@dataclass(frozen=True)
class Artefact:
    """A file that a later command reads."""

    name: str
    file: Path
    read: Callable[[], Any]
    """Reads it as the commands do; returns a value that can be compared."""
    repaired: bool = False
    """Whether a damaged file is made again, so that reading never fails."""
    slow: bool = False
    """Whether making it again takes long: then it is damaged less often."""


def flip(stage: Stage, kind: str, flips: int, seed: int, tally: Tally) -> None:
    """Flip a bit at many random positions of each file of a kind, and truncate it at some."""
    for artefact in ARTEFACTS[kind](stage):
        trials = flips // 5 if artefact.slow else flips
        for fault, outcome, reason in call_in_child(damage, artefact, trials, seed):
            tally.lose(fault, reason) if outcome == "lost" else tally.add(fault, outcome)


def damage(artefact: Artefact, flips: int, seed: int) -> list[tuple[str, str, str]]:
    """Damage a file again and again, and read it each time. Call it in a child.

    Returns:
        For each trial the fault, the outcome, and the reason if it is a loss.
    """
    whole, rng = artefact.file.read_bytes(), random.Random(f"{seed} {artefact.name}")
    expected, outcomes = artefact.read(), []
    if artefact.file.read_bytes() != whole or artefact.read() != expected:
        return [(artefact.name, "lost", "reading it twice gives different values")]
    cuts = [0, 1, len(whole) // 2, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(flips // 10))]
    header = min(400, len(whole))  # headers and trailers are short, so they get flips of their own
    positions = [rng.randrange(header if trial % 3 == 0 else len(whole)) for trial in range(flips)]
    positions += [len(whole) - 1 - rng.randrange(header) for _ in range(flips // 3)]
    for position in [*positions, *cuts]:
        flipped = bytearray(whole)
        is_cut = len(outcomes) >= len(positions)
        flipped[position] ^= 1 << rng.randrange(8)
        replace_content(artefact.file, whole[:position] if is_cut else bytes(flipped))
        fault = f"{artefact.name}, {'truncated' if is_cut else 'bit flipped'}"
        where = f"at byte {position} of {len(whole)}"
        try:
            same = artefact.read() == expected
            still_damaged = artefact.file.exists() and artefact.file.read_bytes() != whole
            outcome = ("no effect" if still_damaged else "recovered") if same else "lost"
            outcomes.append((fault, outcome, f"other values are read {where}"))
        except InputError as error:
            allowed = str(error) and not artefact.repaired
            outcomes.append((fault, "refused" if allowed else "lost", f"not repaired {where}: {error}"))
        except Exception as error:
            outcomes.append((fault, "lost", f"{type(error).__name__} {where}: {error}"))
        replace_content(artefact.file, whole)
    return outcomes


def replace_content(file: Path, content: bytes) -> None:
    """Replace a file by a new one: a process that has mapped the old one into memory keeps it."""
    file.parent.mkdir(exist_ok=True)
    file.with_name("replacement").write_bytes(content)
    file.with_name("replacement").replace(file)


def quietly(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function without its output."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        return function(*arguments)


def pack_artefacts(stage: Stage) -> list[Artefact]:
    """A pack's two files and the manifest of a data folder."""
    from wikiart_data.images.catalog import scan
    from wikiart_data.images.packed import pack

    cache = stage.new_folder()
    catalog = scan(stage.data, cache_dir=cache)
    folder = pack(catalog, 24, cache_dir=cache, workers=1).folder

    def read_pack() -> tuple:
        packed = pack(catalog, 24, cache_dir=cache, workers=1)
        return packed.images.tobytes(), packed.bad

    def read_manifest() -> tuple:
        scanned = scan(stage.data, cache_dir=cache)
        return scanned.files, scanned.sizes.tobytes(), scanned.times.tobytes(), scanned.labels.tobytes()

    manifest = next((cache / "manifests").glob("*.npz"))
    return [
        Artefact("pack (images.u8)", folder / "images.u8", read_pack, repaired=True),
        Artefact("pack (index.npz)", folder / "index.npz", read_pack, repaired=True),
        Artefact("manifest", manifest, read_manifest, repaired=True),
    ]


def run_artefacts(stage: Stage) -> list[Artefact]:
    """The weights of each kind of network, and the checkpoints that --resume reads."""
    artefacts = []
    for command in stage.training_commands():
        part, folder = command.name.split()[0], stage.run(command, stage.home) / command.run
        artefacts.append(Artefact(f"weights of {part}", folder / "model.safetensors", weights_reader(part, folder)))
        if part in ("classify", "stylegen"):
            files = ("last.safetensors", "state.pt", "run.json")
            artefacts += [Artefact(f"checkpoint ({name})", folder / name, checkpoint_reader(folder)) for name in files]
    return artefacts


def weights_reader(part: str, folder: Path) -> Callable[[], Any]:
    """How a package loads its weights for use."""
    import importlib

    file = folder / "model.safetensors"

    def of_network() -> Any:
        trained = importlib.import_module(f"wikiart_{part}").load(file, device="cpu")
        values = {name: value.numpy().tobytes() for name, value in trained.network.state_dict().items()}
        return values, trained.styles, str(trained.config)

    def of_adapter() -> Any:
        from wikiart_lora.pipeline import load_run

        trained = quietly(load_run, file, Path("runs"), "cpu")
        network = trained.base.denoiser.state_dict()
        values = {name: value.float().numpy().tobytes() for name, value in network.items() if "lora_" in name}
        return values, trained.styles, str(trained.config)

    return of_adapter if part == "lora" else of_network


def checkpoint_reader(folder: Path) -> Callable[[], Any]:
    """How --resume reads the state of a run: its options, weights, optimisers and progress."""
    import torch
    from torch import nn

    from wikiart_data.training.checkpoints import _read_state, load_checkpoint, read_model
    from wikiart_data.training.run import read_run_record

    tensors, metadata = read_model(folder / "last.safetensors")
    modules = sorted({name.partition("/")[0] for name in tensors})
    states = sorted(_read_state(folder, metadata["state_crc32"])["states"])

    class AnyModule(nn.Module):
        """Stands in for a network: it has whatever tensors were saved."""

        def __init__(self, name: str):
            super().__init__()
            self.tensors = {
                key.partition("/")[2]: value.clone() for key, value in tensors.items() if key.startswith(f"{name}/")
            }

        def state_dict(self) -> dict:
            return self.tensors

        def load_state_dict(self, state: dict) -> None:
            self.tensors = state

    class AnyState:
        """Stands in for an optimiser or a scheduler."""

        state: Any = None

        def load_state_dict(self, state: dict) -> None:
            self.state = state

    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return str(value.dtype), tuple(value.shape), value.detach().float().numpy().tobytes()
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    def read() -> Any:
        record = read_run_record(folder)
        own_modules, own_states = {name: AnyModule(name) for name in modules}, {name: AnyState() for name in states}
        progress = load_checkpoint(folder, record, own_modules, own_states)
        weights = {name: plain(module.tensors) for name, module in own_modules.items()}
        rest = {name: plain(state.state) for name, state in own_states.items()}
        return {key: record[key] for key in ("config", "styles")}, weights, rest, plain(progress)

    return read


def export_artefacts(stage: Stage) -> list[Artefact]:
    """Codes and a judge."""
    from wikiart_autoencode.cli import main as autoencode
    from wikiart_autoencode.codes import Codes
    from wikiart_classify.cli import main as classify
    from wikiart_data.judge import Judge

    codes, judge = stage.home / "codes.npz", stage.home / "judge"
    classifier, encoder, *_ = stage.training_commands()

    def export() -> None:
        encoding = ["encode", str(stage.home / encoder.run), "--to", str(codes), "--device", "cpu"]
        assert quietly(autoencode, encoding) == 0
        assert quietly(classify, ["export", str(stage.home / classifier.run), "--to", str(judge)]) == 0

    stage.run(classifier, stage.home)
    stage.run(encoder, stage.home)
    call_in_child(export)

    def read_judge() -> Any:
        loaded = Judge.load(judge)
        values = {name: value.numpy().tobytes() for name, value in loaded.module.state_dict().items()}
        return loaded.styles, loaded.size, loaded.info, values

    return [
        Artefact("codes.npz", codes, lambda: Codes.load(codes).fingerprint),
        Artefact("judge (judge.json)", judge / "judge.json", read_judge),
        Artefact("judge (model.pt2)", judge / "model.pt2", read_judge),
    ]


def cache_artefacts(stage: Stage) -> list[Artefact]:
    """What wikiart-lora and the maps keep in the cache."""
    import numpy as np

    from wikiart_autoencode.clustering.dimensionality import reduce_dimensions
    from wikiart_data.images.catalog import scan
    from wikiart_lora.buckets import make_buckets

    cache = stage.new_folder()
    catalog = scan(stage.data, cache_dir=cache)
    base: list[Any] = []

    def open_model() -> Any:
        from wikiart_lora.base_models.loading import load_base

        if not base:
            base.append(load_base(str(stage.base)))
        return base[0]

    def latents() -> Any:
        from wikiart_lora.cache import cached_latents

        cached = quietly(cached_latents, open_model(), catalog, make_buckets(16, 4, False), False, 0.01, cache)
        values = [np.array(latent).tobytes() for latent in cached.maps]
        return cached.bucket_of.tobytes(), cached.index_of.tobytes(), values

    def captions() -> Any:
        from wikiart_lora.cache import cached_embeddings

        cached = quietly(cached_embeddings, open_model(), ["a red lake", "a house"], cache)
        return {name: value.float().numpy().tobytes() for name, value in cached.maps.items()}

    points = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)

    def tsne_map() -> Any:
        return quietly(reduce_dimensions, points, "tsne", 2, 0, cache).tobytes()

    call_in_child(lambda: [bool(read()) for read in (latents, captions, tsne_map)])
    artefacts = [Artefact("cached map", next((cache / "maps").glob("*.npz")), tsne_map, repaired=True, slow=True)]
    for folder, read in (("latents-*", latents), ("text-*", captions)):
        for file in sorted((cache / "lora").glob(f"{folder}/*")):
            kind = "latents" if read is latents else "embeddings"
            artefacts.append(Artefact(f"wikiart-lora's {kind} ({file.name})", file, read, repaired=True, slow=True))
    return artefacts


def download_artefacts(stage: Stage) -> list[Artefact]:
    """The file that records the progress of an interrupted download."""
    from wikiart_data.acquire import download as module

    partial, complete = stage.new_folder() / "data", stage.new_folder() / "data"
    options = {"source": str(stage.root / "hub"), "size": 40, "limit": 0}

    def interrupted() -> None:
        count, write = 0, module._write

        def write_until_full(path: Path, content: bytes) -> None:
            nonlocal count
            count += 1
            if count > 200:
                raise OSError(28, "No space left on device")
            write(path, content)

        quietly(module.download, module.DownloadOptions(complete, **options))
        module._write = write_until_full
        with contextlib.suppress(InputError):
            quietly(module.download, module.DownloadOptions(partial, **options))

    call_in_child(interrupted)
    before = partial.with_name("before")
    partial.rename(before)

    def continued() -> Any:
        """Continue in a copy; returns the digests of its images."""
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(before, partial)
        quietly(module.download, module.DownloadOptions(partial, **options))
        return content_digests(partial)

    return [Artefact("progress of a download", before / module.PROGRESS, continued)]


ARTEFACTS = {
    "packs": pack_artefacts,
    "runs": run_artefacts,
    "exports": export_artefacts,
    "caches": cache_artefacts,
    "download": download_artefacts,
}
"""Files in which bits are flipped, by kind."""
