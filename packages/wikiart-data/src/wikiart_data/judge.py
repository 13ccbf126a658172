"""A judge: a frozen, exported classifier that scores pictures of other parts, usable without the code that trained it.

judge/
    model.pt2       torch.export of images (B, 3, size, size) in 0..1 → probabilities (B, styles), features (B, F)
    judge.json      the fields of JudgeInfo, and a checksum over both files
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wikiart_data.errors import InputError
from wikiart_data.images.load import load_images
from wikiart_data.training.device import select_device


@dataclass(frozen=True)
class StyleRecall:
    """How well a judge recognises one style."""

    style: str
    n: int
    """Pictures of the style that it was tested on."""
    recall: float | None
    """Fraction of them that it classified as the style; None without any."""


@dataclass(frozen=True)
class JudgeInfo:
    """What judge.json says. Only styles and size are always known."""

    styles: tuple[str, ...]
    """The class list; the columns of the probabilities."""
    size: int
    """Side of the images that the model takes, in pixels."""
    input: str | None = None
    """What the model expects of its images, in words."""
    seed: int | None = None
    network: str | None = None
    width: float | None = None
    parameters: int | None = None
    split: str | None = None
    """The split that the figures below were measured on; the judge was not trained on it."""
    data_fingerprint: str | None = None
    n: int | None = None
    """Pictures of that split."""
    top1: float | None = None
    top3: float | None = None
    majority: float | None = None
    """Accuracy of always answering with the most frequent style."""
    balanced: float | None = None
    """Mean recall over styles."""
    per_style: tuple[StyleRecall, ...] = ()

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "JudgeInfo":
        """Read what `json.load` made of judge.json; keys that are no fields are ignored.

        Raises:
            KeyError, TypeError, ValueError: it is no description of a judge.
        """
        known = {field.name: record[field.name] for field in fields(cls) if field.name in record}
        known["styles"], known["size"] = tuple(record["styles"]), int(record["size"])
        known["per_style"] = tuple(
            StyleRecall(row["style"], row["n"], row["recall"]) for row in record.get("per_style", ())
        )
        return cls(**known)


@dataclass(frozen=True, repr=False, eq=False)
class Judge:
    """A frozen classifier that scores the pictures of networks in whose training it took no part.

    It maps images (B, 3, H, W) float in 0..1, of any size, to probabilities (B, styles) and features (B, F).
    """

    info: JudgeInfo
    module: nn.Module
    """(B, 3, size, size) float in 0..1 → (B, styles) float32 probabilities and (B, F) float32 features."""
    device: torch.device | str = "cpu"
    """The device of the module."""

    @classmethod
    def load(cls, folder: Path | str, device: torch.device | str = "cpu") -> "Judge":
        """Load a judge that `wikiart-classify export` wrote.

        Args:
            folder: that it was exported to.
            device: of its network: auto, cpu, cuda, cuda:N or mps.

        Raises:
            InputError: the folder holds no judge, or a damaged one, or this machine has no such device.
        """
        folder = Path(folder).expanduser()
        try:
            record = json.loads((folder / "judge.json").read_text(encoding="utf-8"))
            content = (folder / "model.pt2").read_bytes()
            # Judges of earlier versions carry a checksum of model.pt2 alone.
            if record["crc32"] not in (checksum(content, record), zlib.crc32(content)):
                raise InputError(
                    f"{folder} is damaged: model.pt2 or judge.json does not match the checksum.", field=folder
                )
            info = JudgeInfo.from_json(record)
        except FileNotFoundError as error:
            raise InputError(
                f"{folder} holds no judge: make one with wikiart-classify export RUN --to DIR.", field=folder
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder / 'judge.json'} cannot be read, or is damaged: {error}.", field=folder / "judge.json"
            ) from error
        device = select_device(device)
        module = torch.export.load(folder / "model.pt2").module().to(device)
        return cls(info, module, device)

    def __repr__(self) -> str:
        accuracy = "" if self.info.top1 is None else f", top-1 {100 * self.info.top1:.1f} % on {self.info.split}"
        return f"Judge({len(self.styles)} styles, {self.size} px{accuracy}, {self.device})"

    @property
    def styles(self) -> tuple[str, ...]:
        """The class list; the columns of the probabilities."""
        return self.info.styles

    @property
    def size(self) -> int:
        """Side of the images that the model takes, in pixels; others are resized to it, antialiased."""
        return self.info.size

    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) float in 0..1, of any size → probabilities (B, styles) float32 on the judge's device."""
        return self.predict(images)[0]

    @torch.no_grad()
    def predict(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities as above, and features (B, F) float32: the input of the judge's last layer, for distances."""
        return self.module(load_images(images, self.size, self.device).contiguous().float())

    def predict_batches(self, images: Tensor | Iterable[Tensor], batch_size: int = 128) -> tuple[Tensor, Tensor]:
        """Probabilities (N, styles) and features (N, F) float32 of many images, on the CPU.

        Args:
            images: (N, 3, H, W) float in 0..1, or batches of such images.
            batch_size: how many of a tensor's images are scored at a time.

        Raises:
            ValueError: there are no images.
        """
        batches = images.split(batch_size) if isinstance(images, Tensor) else images
        scored = [tuple(part.cpu() for part in self.predict(batch)) for batch in batches if len(batch)]
        if not scored:
            raise ValueError("no images to score")
        probabilities, features = zip(*scored, strict=True)
        return torch.cat(probabilities), torch.cat(features)


def checksum(model: bytes, record: Mapping[str, Any]) -> int:
    """CRC-32 over model.pt2 and all of judge.json but the checksum itself."""
    rest = {key: value for key, value in record.items() if key != "crc32"}
    return zlib.crc32(json.dumps(rest, sort_keys=True).encode(), zlib.crc32(model))
