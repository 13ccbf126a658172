"""A judge: a frozen, exported classifier that scores other parts' pictures, used without the code that trained it.

judge/
    model.pt2       torch.export of images (B, 3, size, size) in 0..1 → probabilities (B, styles), features (B, F)
    judge.json      class list, size, checksum over both files, how good the judge is on paintings it never saw
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wikiart_data.errors import InputError
from wikiart_data.images.augment import resized_crops


@dataclass(frozen=True)
class Judge:
    """A classifier that took no part in training what it scores."""

    styles: tuple[str, ...]
    """The class list; a column of the probabilities each."""
    size: int
    """Side of the pictures it looks at; others are resized to it, antialiased."""
    about: dict[str, Any]
    """The rest of judge.json: top1, balanced and per_style on its `split`, seed, parameters, data fingerprint."""
    module: nn.Module
    """(B, 3, size, size) float in 0..1 → (B, styles) float32 probabilities and (B, F) float32 features."""

    @classmethod
    def load(cls, folder: Path | str, device: torch.device | str = "cpu") -> "Judge":
        """Load a judge that `wikiart-classify export` wrote.

        Raises:
            InputError: there is none in that folder, or it is damaged.
        """
        folder = Path(folder)
        try:
            about = json.loads((folder / "judge.json").read_text(encoding="utf-8"))
            content = (folder / "model.pt2").read_bytes()
            # Judges of earlier versions carry a checksum of model.pt2 alone.
            if about["crc32"] not in (checksum(content, about), zlib.crc32(content)):
                raise InputError(f"{folder} is damaged: model.pt2 or judge.json does not match the checksum.")
            styles, size = tuple(about["styles"]), int(about["size"])
        except FileNotFoundError as error:
            raise InputError(f"{folder} holds no judge: make one with wikiart-classify export RUN --to DIR.") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder / 'judge.json'} cannot be read, or is damaged: {error}.") from error
        module = torch.export.load(folder / "model.pt2").module().to(device)
        return cls(styles, size, about, module)

    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) float in 0..1, of any size → probabilities (B, styles) float32 on the same device."""
        return self.look(images)[0]

    @torch.no_grad()
    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities as above, and features (B, F) float32: what the judge's last layer sees, for distances."""
        if images.shape[2:] != (self.size, self.size):
            whole = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0]]).expand(len(images), 5)
            images = resized_crops(images.permute(0, 2, 3, 1), whole, self.size)
        return self.module(images.contiguous().float())


def checksum(model: bytes, about: Mapping[str, Any]) -> int:
    """CRC-32 over model.pt2 and all of judge.json but the checksum itself: what a judge is called, and sees, too."""
    rest = {key: value for key, value in about.items() if key != "crc32"}
    return zlib.crc32(json.dumps(rest, sort_keys=True).encode(), zlib.crc32(model))
