"""A trained autoencoder as an object: pictures to codes, codes to pictures."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from wikiart_autoencode.codes import Codes
from wikiart_autoencode.config import TrainConfig
from wikiart_autoencode.network import AutoencoderNet
from wikiart_data.console import track
from wikiart_data.errors import InputError
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.load import Picture, as_batch, load_batches, picture_name
from wikiart_data.images.manifest import SPLITS
from wikiart_data.images.names import style_key
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.training.checkpoints import load_config, load_weights, read_model
from wikiart_data.training.device import select_device, use_bf16
from wikiart_data.training.run import find_model

BATCH_SIZE = 256
UNKNOWN = "unknown"
"""The style of pictures that are not in a folder named after one."""


class Autoencoder:
    """A trained convolutional autoencoder; `code_shape` is the shape of a picture's code.

    >>> model = Autoencoder.load("runs/autoencode/001")
    >>> codes = model.encode(["monet.jpg", "photo.png"])
    >>> images = model.decode(codes)  # (2, 3, 128, 128)

    Args:
        network: the weights, moved to `device`.
        styles: the class list of the data it was trained on.
        config: the options it was trained with; `size` is the side of its images.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises:
        InputError: there is no such device.
    """

    def __init__(
        self,
        network: AutoencoderNet,
        styles: Sequence[str],
        config: TrainConfig,
        device: torch.device | str = "auto",
    ) -> None:
        self.device = select_device(device)
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval()
        self.styles = tuple(styles)
        self.config = config
        self.bf16 = use_bf16(self.device, config.precision)

    @classmethod
    def load(
        cls, run: Path | str | None = None, device: torch.device | str = "auto", *, runs: Path | str = "runs"
    ) -> "Autoencoder":
        """Load a trained autoencoder.

        Args:
            run: a run folder or its model.safetensors; None takes the newest run in `runs`/autoencode.
            device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`; or a torch.device.
            runs: parent folder of all runs, searched for the newest one.

        Raises:
            InputError: the file is missing, damaged, or holds another model, or there is no such device.
        """
        file = find_model(None if run is None else Path(run), Path(runs), "autoencode")
        tensors, metadata = read_model(file)
        if not {"code", "channels", "ssim_weight"} <= json.loads(metadata["config"]).keys():
            raise InputError(f"{file} is not a model of wikiart-autoencode.", field=file)
        config, styles = load_config(TrainConfig, metadata, file), json.loads(metadata["styles"])
        network = make_network(config)
        load_weights(network, tensors, file)
        return cls(network, styles, config, device)

    def __repr__(self) -> str:
        size, shape = self.config.size, " × ".join(map(str, self.code_shape))
        return f"Autoencoder({size} × {size} pixels → {shape} code, objective {self.config.objective}, {self.device})"

    @property
    def code_shape(self) -> tuple[int, ...]:
        """(D,) of a vector code, (C, S / 8, S / 8) of a spatial one."""
        side = self.config.size // 8
        return (self.config.code,) if self.config.code else (self.config.channels, side, side)

    @torch.no_grad()
    def encode(
        self,
        pictures: Catalog | Tensor | Picture | Iterable[Picture],
        *,
        cache_dir: Path | None = None,
        max_bad_fraction: float = 0.01,
        skip_unreadable: bool = False,
        progress: bool = False,
    ) -> Codes:
        """Encode pictures; each code is one row, a spatial code is flattened.

        Labels are indices into the class list of a catalog. Other pictures have the style of the folder that they lie
        in, in any spelling, or "unknown", and belong to the split "test". `files` are below the catalog's `root`, or as
        they were given: `image 1`, `image 2`, … for tensors and PIL images without a file name.

        Args:
            pictures: a catalog, images (N, 3, H, W), float in [0, 1] or uint8, or files and PIL images.
            cache_dir: for the packed pictures of a catalog (default: $WIKIART_CACHE, else the user's cache).
            max_bad_fraction: of a catalog's files, the largest fraction that may be unreadable; those are left out.
            skip_unreadable: leave out files that cannot be read; `files` holds the others.
            progress: show the progress on the console, as it always is for a catalog.

        Raises:
            InputError: a file cannot be read and `skip_unreadable` is not set (the error's field is the file), none of
                them can, or there is no picture.
            TypeError: something is no file name, PIL image, tensor or catalog.
            ValueError: the tensor has another shape or range.
        """
        if isinstance(pictures, Catalog):
            packed = pack(pictures, self.config.size, cache_dir=cache_dir, max_bad_fraction=max_bad_fraction)
            return encode_packed(self.network.encoder, packed, self.device, self.bf16)
        codes: list[Tensor] = []
        files: list[str] = []
        for names, images in self._batches(pictures, skip_unreadable, progress):
            codes.append(self.encode_batch(images).float().flatten(1).cpu())
            files += names
        labels, styles = self._styles_of_folders(files)
        return Codes(torch.cat(codes).numpy(), labels, np.array(files), styles, np.full(len(files), "test"))

    @torch.no_grad()
    def decode(self, codes: Codes | Tensor | np.ndarray) -> Tensor:
        """Codes (N, D), or (N, C, H, W) if spatial, to images (N, 3, S, S) float in [0, 1], on the CPU.

        Raises:
            ValueError: the codes have another shape.
        """
        rows = torch.as_tensor(codes.codes if isinstance(codes, Codes) else codes, dtype=torch.float32)
        numbers = math.prod(self.code_shape)
        if tuple(rows.shape[1:]) not in ((numbers,), self.code_shape):
            raise ValueError(f"expected codes of shape (N, {numbers}), got {tuple(rows.shape)}")
        batches = rows.reshape(len(rows), *self.code_shape).split(BATCH_SIZE)
        return torch.cat([self.decode_batch(batch.to(self.device)).cpu() for batch in batches])

    @torch.no_grad()
    def reconstruct(self, pictures: Tensor | Picture | Iterable[Picture]) -> Tensor:
        """Encode and decode: images (N, 3, S, S) float in [0, 1], on the CPU.

        Args:
            pictures: images (N, 3, H, W), float in [0, 1] or uint8, or files and PIL images.

        Raises:
            InputError: a picture cannot be read, or there is none.
            TypeError: something is no file name, PIL image or tensor.
            ValueError: the tensor has another shape or range.
        """
        batches = self._batches(pictures)
        return torch.cat([self.decode_batch(self.encode_batch(images)).cpu() for _, images in batches])

    def _batches(
        self, pictures: Tensor | Picture | Iterable[Picture], skip_unreadable: bool = False, progress: bool = False
    ) -> Iterator[tuple[list[str], Tensor]]:
        """Names of pictures, and their images (b, 3, S, S) in [0, 1] at the size of the network, on its device."""
        batch = as_batch(pictures)
        if not len(batch):
            raise InputError("There is no picture to encode.", field="pictures")
        found = False
        for names, images, _ in load_batches(
            batch,
            self.config.size,
            self.device,
            batch_size=BATCH_SIZE,
            skip_unreadable=skip_unreadable,
            progress="encoding" if progress else None,
        ):
            if names:
                found = True
                yield names, images
        if not found:
            raise InputError("None of the pictures can be read.", field=picture_name(batch[0], 0))

    def _styles_of_folders(self, files: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Labels (N,) int64 of files by the names of their folders, and the styles that they are indices into."""
        label_of = {style_key(style): label for label, style in enumerate(self.styles)}
        other = label_of.get(style_key(UNKNOWN), len(self.styles))
        labels = np.array([label_of.get(style_key(Path(file).parent.name), other) for file in files])
        return labels, np.array([*self.styles, UNKNOWN] if labels.max() == len(self.styles) else self.styles)

    def encode_batch(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) in [0, 1] → codes of `code_shape`, on the device; in autograd's graph."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.network.encoder(images.to(self.device))

    def decode_batch(self, code: Tensor) -> Tensor:
        """Codes of `code_shape` → images (B, 3, S, S) clamped to [0, 1], on the device; in autograd's graph."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.network.decoder(code).float().clamp(0, 1)


load = Autoencoder.load


def make_network(config: TrainConfig) -> AutoencoderNet:
    """An untrained network with the options' code and size."""
    return AutoencoderNet(config.code, config.channels, config.size, config.width, config.blocks)


@torch.no_grad()
def encode_packed(encoder: nn.Module, packed: PackedImages, device: torch.device, bf16: bool) -> Codes:
    """Codes of every readable picture of a pack, in the catalog's order; a spatial code is flattened.

    Args:
        encoder: images (B, 3, S, S) in [0, 1] → code (B, …).
        packed: the pictures, at the size that the encoder takes.
        device: of the encoder.
        bf16: whether it runs in bf16.
    """

    def batches() -> Iterator[Tensor]:
        images = DeviceImages(packed, device).in_order(rows, BATCH_SIZE, packed.size)
        for batch in track(images, -(-len(rows) // BATCH_SIZE), "encoding", "batches"):
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                yield encoder(batch).float().flatten(1).cpu()

    encoder.eval()
    rows = readable_rows(packed)
    return codes_of_rows(packed, rows, torch.cat(list(batches())).numpy())


def readable_rows(packed: PackedImages) -> np.ndarray:
    """(n,) int64: the rows of a pack that could be read, of all splits, in the catalog's order."""
    return np.sort(np.concatenate([packed.rows(split) for split in SPLITS]))


def codes_of_rows(packed: PackedImages, rows: np.ndarray, codes: np.ndarray) -> Codes:
    """Codes (n, D) of some rows of a pack, with the catalog's labels, files and splits."""
    catalog = packed.catalog
    files = np.array([catalog.files[row] for row in rows])
    return Codes(codes, catalog.labels[rows], files, np.array(catalog.styles), catalog.splits[rows])
