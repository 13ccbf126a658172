"""Codes on disk, `codes.npz`: what an encoder outputs for every picture, with what is known of the pictures."""

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from wikiart_data.errors import InputError
from wikiart_data.images.manifest import SPLITS

ARRAYS = ("codes", "labels", "files", "styles", "split")


@dataclass(frozen=True, eq=False)
class Codes:
    """The codes of N pictures, whoever made them: an autoencoder, pixel-PCA, a colour histogram, a judge.

    Raises:
        ValueError: the arrays do not fit one another, a number is not finite, or a label or a split is unknown.
    """

    codes: np.ndarray
    """(N, D) float32. Spatial codes (N, C, H, W) are flattened: D = C·H·W."""
    labels: np.ndarray
    """(N,) int64, places in `styles`."""
    files: np.ndarray
    """(N,) str, paths relative to the data folder. Untrusted: escape them before they are shown."""
    styles: np.ndarray
    """(27,) str, the class list."""
    split: np.ndarray
    """(N,) str: train, valid or test."""

    def __post_init__(self) -> None:
        codes, labels, files, styles, split = (np.asarray(getattr(self, name)) for name in ARRAYS)
        number = len(codes) if codes.ndim else 0
        if codes.ndim < 2 or codes.size == 0:
            raise ValueError(f"codes of the shape {codes.shape} are not (N, D) with at least one picture")
        if codes.dtype.kind not in "fiu" or labels.dtype.kind not in "iu":
            raise ValueError("codes must be numbers and labels whole numbers")
        for name, array in (("labels", labels), ("files", files), ("split", split)):
            if array.shape != (number,):
                raise ValueError(f"there are {number} codes, but {name} has the shape {array.shape}")
        if {files.dtype.kind, styles.dtype.kind, split.dtype.kind} != {"U"} or styles.ndim != 1:
            raise ValueError("files, styles and split must be lists of text")
        if labels.min() < 0 or labels.max() >= len(styles):
            raise ValueError(f"labels run from {labels.min()} to {labels.max()}, and there are {len(styles)} styles")
        if odd := set(np.unique(split).tolist()) - set(SPLITS):
            raise ValueError(f"{sorted(odd)[0]!r} is no split")
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and that is refused below
            codes = np.ascontiguousarray(codes.reshape(number, -1), dtype=np.float32)
        if not np.isfinite(codes).all():
            raise ValueError(f"{int((~np.isfinite(codes)).any(axis=1).sum())} of {number} codes hold NaN or infinity")
        whole = (codes, labels.astype(np.int64), files, styles, split)
        for name, array in zip(ARRAYS, whole, strict=True):
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def load(cls, path: Path | str) -> "Codes":
        """Read what `save` wrote, or what any program wrote in that format.

        Raises:
            InputError: the file is missing, damaged, lacks an array, or its arrays do not fit one another.
        """
        path = Path(path)
        try:
            # The file is opened here because np.load leaves a broken one open. Members of a zip carry a CRC-32, which
            # is compared at a member's end only: a flip in an array's shape would have it read in part, and unnoticed.
            with path.open("rb") as file:
                archive = np.load(file, allow_pickle=False)
                if not isinstance(archive, np.lib.npyio.NpzFile):
                    raise InputError(f"{path} is one array; codes are an .npz with {', '.join(ARRAYS)}.")
                if lacking := [name for name in ARRAYS if name not in archive.files]:
                    raise InputError(f"{path} lacks {', '.join(lacking)}; codes are an .npz with {', '.join(ARRAYS)}.")
                arrays = {
                    name: np.load(io.BytesIO(archive.zip.read(f"{name}.npy")), allow_pickle=False) for name in ARRAYS
                }
        except FileNotFoundError as error:
            raise InputError(f"There is no file {path}: wikiart-autoencode encode RUN writes one.") from error
        except InputError:
            raise
        except Exception as error:  # a damaged zip raises nearly everything, up to RuntimeError ("is encrypted")
            raise InputError(f"{path} cannot be read, it is damaged or no .npz of codes ({error}).") from error
        try:
            return cls(**arrays)
        except ValueError as error:
            raise InputError(
                f"{path} cannot be used: {error}. Make it again with wikiart-autoencode encode."
            ) from error

    def save(self, path: Path) -> None:
        """Write an uncompressed .npz, atomically; codes are noise to a compressor.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        from wikiart_data.files import write_bytes  # imports torch, which reading codes does without

        content = io.BytesIO()
        np.savez(content, **{name: getattr(self, name) for name in ARRAYS})
        write_bytes(path, content.getvalue())

    def rows(self, split: str) -> np.ndarray:
        """(n,) int64: rows of one split, in order."""
        return np.flatnonzero(self.split == split)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the content: other codes, labels, files, styles or splits have another."""
        digest = hashlib.sha256(f"{self.codes.shape}".encode())
        digest.update(self.codes.tobytes())
        digest.update(self.labels.tobytes())
        for names in (self.files, self.styles, self.split):
            # A file name may hold bytes that are no UTF-8, but never a NUL.
            digest.update("\0".join([*names.tolist(), ""]).encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()[:16]
