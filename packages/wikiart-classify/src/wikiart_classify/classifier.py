"""`Classifier`: a trained network with everything that is needed to apply it to images."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from wikiart_classify.baselines import InClass, ThreeBlock
from wikiart_classify.config import TrainConfig, load_catalog, load_packed
from wikiart_classify.imbalance.methods import METHODS
from wikiart_classify.network import PRESETS, StyleNet
from wikiart_classify.scores import Scores, score
from wikiart_data.console import printable
from wikiart_data.errors import InputError
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.layout import DataSource
from wikiart_data.images.load import Picture, as_batch, load_batches, load_images
from wikiart_data.images.packed import PackedImages
from wikiart_data.training.checkpoints import load_config, load_weights, read_model
from wikiart_data.training.device import select_device, use_bf16
from wikiart_data.training.run import find_model, read_run_record

Network: TypeAlias = StyleNet | InClass | ThreeBlock
BASELINES = {"inclass": InClass, "threeblock": ThreeBlock}
_BATCH_SIZE = 128


@dataclass(frozen=True, eq=False)
class Predictions:
    """Style probabilities of N images: `probabilities` (N, styles) float32, a row for each of `files`."""

    probabilities: np.ndarray
    """(N, styles) float32, rows sum to 1."""
    styles: tuple[str, ...]
    """The class list: one style per column."""
    files: tuple[str, ...]
    """(N,) file names; `image 1`, `image 2`, … for images that were given as tensors or without a file name."""
    unreadable: tuple[str, ...] = ()
    """One sentence per file that could not be read; these files have no row."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.files)

    def __repr__(self) -> str:
        first = ""
        if len(self):
            style, probability = self.top(1)[0][0]
            first = f"; {printable(self.files[0])}: {printable(style)} {100 * probability:.1f} %"
        return f"Predictions({len(self):,} images, {len(self.styles)} styles{first})"

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64: index of the most probable style of each image."""
        return self.probabilities.argmax(axis=1)

    def top(self, k: int = 5) -> list[list[tuple[str, float]]]:
        """The `k` most probable styles of each image with their probabilities, in descending order.

        Raises:
            ValueError: `k` is below 1.
        """
        if k < 1:
            raise ValueError(f"expected at least one style per image, got {k}")
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :k]
        return [
            [(self.styles[style], float(row[style])) for style in indices]
            for row, indices in zip(self.probabilities, order, strict=True)
        ]


class Classifier:
    """A trained classifier of painting styles.

    The network has pre-activation residual blocks (He et al. 2016) with squeeze-and-excitation (Hu et al. 2018).

        classifier = Classifier.load("runs/classify/001")
        print(classifier.predict("photo.jpg").top(3))

    Args:
        network: the trained network; or one of your own, from images (N, 3, size, size) float in [0, 1] to logits
            (N, styles). For `features` it needs a method of that name.
        styles: the class list, in the order of the logits.
        config: the config it was trained with; for a network of your own, `TrainConfig(data="paintings", size=64)`.
        device: to run on: auto, cpu, cuda, cuda:N or mps.
        path: the file it was loaded from, for messages.

    Raises:
        InputError: this machine has no such device.
    """

    def __init__(
        self,
        network: nn.Module,
        styles: Sequence[str],
        config: TrainConfig,
        device: torch.device | str = "cpu",
        path: Path | None = None,
    ):
        self.device = select_device(device)
        self.network = network.to(self.device).eval()
        self.styles, self.config, self.path = tuple(styles), config, path
        self.bf16 = use_bf16(self.device, config.precision)

    @classmethod
    def load(
        cls, run: Path | str | None = None, device: torch.device | str = "auto", *, runs: Path | str = "runs"
    ) -> "Classifier":
        """Load a trained network.

        Args:
            run: a run folder or its model.safetensors; None for the newest run in `runs`/classify.
            device: auto, cpu, cuda, cuda:1 or mps; or a torch.device.
            runs: parent folder of all runs, searched for the newest one.

        Raises:
            InputError: the file is missing, damaged, or holds another model, or there is no such device.
        """
        path = find_model(None if run is None else Path(run), Path(runs), "classify")
        tensors, metadata = read_model(path)
        values, styles = json.loads(metadata["config"]), json.loads(metadata["styles"])
        if values.get("model") not in (*PRESETS, *BASELINES):
            raise InputError(f"{path} holds no network of wikiart-classify.", field=path)
        config = load_config(TrainConfig, metadata, path)
        network = create_network(len(styles), config)
        load_weights(network, tensors, path)
        return cls(network, styles, config, select_device(device), path)

    def __repr__(self) -> str:
        name = "" if self.path is None else f"{printable(str(self.path))!r}, "
        network = self.config.model if isinstance(self.network, Network) else type(self.network).__name__
        return f"Classifier({name}{network}, {len(self.styles)} styles, {self.config.size} px, {self.device})"

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) float in [0, 1], of any size → logits (N, styles) float32, of the images as they are."""
        images = self._load(images)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.network(images).float()

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) float in [0, 1], of any size → (N, F) float32, the input of the last layer."""
        images = self._load(images)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.network.features(images).float()  # pyright: ignore[reportCallIssue]  (any module)

    @torch.no_grad()
    def predict_proba(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) float in [0, 1], of any size → probabilities (N, styles) float32.

        They are the mean over each image and its mirror image; the baselines see each image once.
        """
        return probabilities(self.network, self._load(images), self.bf16)

    def predict(
        self,
        images: Tensor | np.ndarray | Picture | Iterable[Picture],
        *,
        skip_unreadable: bool = False,
        progress: bool = False,
    ) -> Predictions:
        """Predict the styles of images.

        Args:
            images: files, PIL images, or a tensor (N, 3, H, W), float in [0, 1] or uint8. A single file, a PIL image, a
                tensor (3, H, W) or an array (H, W, 3) uint8 is a batch of one. Images of any size and shape are
                squashed to squares, as in training.
            skip_unreadable: leave out unreadable files and list them in `Predictions.unreadable`.
            progress: show the progress on the console.

        Raises:
            InputError: a file cannot be read and `skip_unreadable` is not set; the error's field is the file.
            TypeError: something is no file name, PIL image or tensor.
            ValueError: the tensor or array has another shape or range.
        """
        batches = load_batches(
            as_batch(images),
            self.config.size,
            self.device,
            batch_size=_BATCH_SIZE,
            packed_size=self.config.packed_size,
            skip_unreadable=skip_unreadable,
            progress="predicting" if progress else None,
        )
        outputs, files, unreadable = [np.empty((0, len(self.styles)), np.float32)], [], []
        for names, loaded, messages in batches:
            files += names
            unreadable += messages
            if names:
                outputs.append(self.predict_proba(loaded).cpu().numpy())
        return Predictions(np.concatenate(outputs), self.styles, tuple(files), tuple(unreadable))

    def load_packed(
        self, data: Path | str | None = None, *, cache_dir: Path | None = None, max_bad_fraction: float = 0.01
    ) -> PackedImages:
        """A data folder, packed for this network.

        The folder that the network was trained on, or a copy of it, is split as it was for training (`split`,
        `artist_half`); any other folder as it is given.

        Args:
            data: the folder (default: the one the network was trained on).
            cache_dir: folder for packed images (default: $WIKIART_CACHE, else the user's cache).
            max_bad_fraction: largest fraction of unreadable image files to accept.

        Raises:
            InputError: the folder cannot be used, or has other styles than the network.
        """
        root = self.config.data if data is None else str(Path(data).expanduser())
        config = replace(self.config, data=root, cache_dir=cache_dir, max_bad_fraction=max_bad_fraction)
        if not self._is_training_data(config):
            config = replace(config, split="given", artist_half="all")
        self._check_styles(load_catalog(config))
        return load_packed(config)

    def evaluate(
        self, data: PackedImages | Path | str | None = None, split: Literal["test", "valid", "train"] = "test"
    ) -> Scores:
        """All metrics of the network on one split.

        Args:
            data: a data folder, or one that `load_packed` packed (default: the folder it was trained on).
            split: the split.

        Raises:
            InputError: the folder cannot be used, has other styles than the network, or no images in this split.
        """
        packed = data if isinstance(data, PackedImages) else self.load_packed(data)
        self._check_styles(packed.catalog)
        if not len(packed.rows(split)):
            raise InputError(f"{packed.catalog.root} has no images in {split}.", field="--split")
        images = DeviceImages(packed, self.device)
        return score_split(predict_split(self.network, images, split, self.config.size, self.bf16), packed, split)

    def _is_training_data(self, config: TrainConfig) -> bool:
        """Whether a config names the images that the network was trained on, by their folder or else their fingerprint.

        Splitting other images as those of training were split would evaluate on some that are not in their test split,
        and fail where they have no artists.
        """
        if (config.split, config.artist_half) == ("given", "all"):
            return True  # it makes no difference
        if _resolved(config.data) == _resolved(self.config.data):
            return True
        run = None if self.path is None else self.path.parent
        if run is None or not (run / "run.json").is_file():
            return False
        try:
            fingerprint = load_catalog(config).fingerprint
        except InputError:  # it cannot even be split like that
            return False
        return fingerprint == read_run_record(run).get("data", {}).get("fingerprint")

    def _check_styles(self, catalog: Catalog) -> None:
        if catalog.styles != self.styles:
            different = sorted(set(catalog.styles) ^ set(self.styles))
            raise InputError(
                f"{catalog.root} has other styles than {self.path or 'the network'} was trained on: "
                f"{', '.join(map(printable, different[:5]))} differ.",
                field="--data",
            )

    def _load(self, images: Tensor | Sequence[Picture]) -> Tensor:
        return load_images(images, self.config.size, self.device, packed_size=self.config.packed_size)


load = Classifier.load


def create_network(styles: int, config: TrainConfig) -> Network:
    """A randomly initialised network on the CPU, in channels-last memory format.

    Args:
        styles: number of styles.
        config: its `model`, `size`, `width`, `stem` and `balance` are read.
    """
    if config.model in BASELINES:
        network: Network = BASELINES[config.model](styles, config.size)
    else:
        network = StyleNet(styles, config.model, config.width, METHODS[config.balance].cosine_head, config.stem)
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  (not in its type hints)


def probabilities(network: nn.Module, images: Tensor, bf16: bool) -> Tensor:
    """Images (B, 3, H, W) float in [0, 1] → (B, styles) float32: the mean over each image and its mirror image.

    A network with `flip_averaging = False` sees each image once.
    """
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        result = network(images).float().softmax(dim=1)
        if not getattr(network, "flip_averaging", True):
            return result
        return (result + network(images.flip(3)).float().softmax(dim=1)) / 2


@torch.no_grad()
def predict_split(network: nn.Module, images: DeviceImages, split: str, size: int, bf16: bool) -> np.ndarray:
    """(n, styles) float32: the network's probabilities for the images of a split, in the order of its rows.

    Raises:
        InputError: a probability is NaN: weights and losses can be finite while activations overflow.
    """
    network.eval()
    rows = images.packed.rows(split)
    outputs = [probabilities(network, batch, bf16).cpu() for batch in images.in_order(rows, 256, size)]
    result = torch.cat(outputs).numpy()
    if not np.isfinite(result).all():
        raise InputError(
            f"The network's predictions on {split} are not finite. Its activations overflow: try a smaller --lr.",
            field="--lr",
        )
    return result


@torch.no_grad()
def tta_logits(network: nn.Module, images: DeviceImages, split: str, size: int, bf16: bool) -> Tensor:
    """(2, N, C) float32 on the CPU: logits of a split's images and of their mirror images (test-time augmentation)."""
    network.eval()
    outputs = []
    for batch in images.in_order(images.packed.rows(split), 256, size):
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=bf16):
            outputs.append(torch.stack([network(batch), network(batch.flip(3))]).float().cpu())
    return torch.cat(outputs, dim=1)


def score_split(predictions: np.ndarray, packed: PackedImages, split: str) -> Scores:
    """All metrics of probabilities (n, styles) for the images of a split."""
    catalog = packed.catalog
    return score(predictions, catalog.labels[packed.rows(split)], catalog.styles, catalog.counts("train"))


def _resolved(data: str) -> DataSource:
    """What `--data` names, with symbolic links and `..` resolved."""
    source = DataSource.parse(data)
    labels = None if source.labels is None else source.labels.resolve()
    return replace(source, root=source.root.resolve(), labels=labels)
