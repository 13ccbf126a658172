"""Codes on disk, `codes.npz`: what an encoder outputs for every picture, with its file, style and split."""

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from wikiart_data.console import printable
from wikiart_data.errors import InputError
from wikiart_data.images.manifest import SPLITS

ARRAYS = ("codes", "labels", "files", "styles", "split")


@dataclass(frozen=True, eq=False, repr=False)
class Codes:
    """The codes of N pictures: of an autoencoder, or pixel PCA, colour histograms, a judge's features.

    `codes` (N, D) float32, `labels` (N,) int64 indices into `styles` (S,), `files` (N,) and `split` (N,) text.

    Raises:
        ValueError: shapes do not match, a value is not finite, or a label or a split is out of range.
    """

    codes: np.ndarray
    """(N, D) float32. Spatial codes (N, C, H, W) are flattened: D = C·H·W."""
    labels: np.ndarray
    """(N,) int64, indices into `styles`."""
    files: np.ndarray
    """(N,) str, paths relative to the data folder. Untrusted: escape them before display."""
    styles: np.ndarray
    """(S,) str, the class list."""
    split: np.ndarray
    """(N,) str: train, valid or test."""

    def __post_init__(self) -> None:
        codes, labels, files, styles, split = (np.asarray(getattr(self, name)) for name in ARRAYS)
        number = len(codes) if codes.ndim else 0
        if codes.ndim < 2 or codes.size == 0:
            raise ValueError(f"codes have the shape {codes.shape}; expected (N, D) with at least one picture")
        if codes.dtype.kind not in "fiu" or labels.dtype.kind not in "iu":
            raise ValueError("codes must be numbers and labels integers")
        for name, array in (("labels", labels), ("files", files), ("split", split)):
            if array.shape != (number,):
                raise ValueError(f"there are {number} codes, but {name} has the shape {array.shape}")
        if {files.dtype.kind, styles.dtype.kind, split.dtype.kind} != {"U"} or styles.ndim != 1:
            raise ValueError("files, styles and split must be lists of text")
        if labels.min() < 0 or labels.max() >= len(styles):
            raise ValueError(f"labels range from {labels.min()} to {labels.max()}, but there are {len(styles)} styles")
        if unknown := set(np.unique(split).tolist()) - set(SPLITS):
            raise ValueError(f"{sorted(unknown)[0]!r} is not a split")
        with np.errstate(over="ignore"):  # values too large for float32 become infinite, which is refused below
            codes = np.ascontiguousarray(codes.reshape(number, -1), dtype=np.float32)
        if not np.isfinite(codes).all():
            raise ValueError(f"{int((~np.isfinite(codes)).any(axis=1).sum())} of {number} codes hold NaN or infinity")
        arrays = (codes, labels.astype(np.int64), files, styles, split)
        for name, array in zip(ARRAYS, arrays, strict=True):
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.codes)

    def __repr__(self) -> str:
        number, dimensions = self.codes.shape
        splits = ", ".join(f"{split} {n:,}" for split in SPLITS if (n := int((self.split == split).sum())))
        return f"Codes({number:,} × {dimensions:,}, {len(self.styles)} styles, {splits})"

    @classmethod
    def load(cls, path: Path | str) -> "Codes":
        """Read an .npz file of codes, written by `save` or by any other program.

        Args:
            path: the file, or the run folder with its codes.npz.

        Raises:
            InputError: the file is missing, damaged, lacks an array, or its arrays do not match.
        """
        path = Path(path)
        path = path / "codes.npz" if path.is_dir() else path
        try:
            # The file is opened here because np.load leaves a broken one open. Members of a zip carry a CRC-32, which
            # is compared only at a member's end: a flipped bit in an array's shape would truncate it unnoticed.
            with path.open("rb") as file:
                archive = np.load(file, allow_pickle=False)
                if not isinstance(archive, np.lib.npyio.NpzFile) or archive.zip is None:
                    raise InputError(
                        f"{path} is a single array; expected an .npz with {', '.join(ARRAYS)}.", field=path
                    )
                if missing := [name for name in ARRAYS if name not in archive.files]:
                    raise InputError(
                        f"{path} lacks {', '.join(missing)}; expected an .npz with {', '.join(ARRAYS)}.", field=path
                    )
                arrays = {
                    name: np.load(io.BytesIO(archive.zip.read(f"{name}.npy")), allow_pickle=False) for name in ARRAYS
                }
        except FileNotFoundError as error:
            raise InputError(
                f"There is no file {path}: wikiart-autoencode encode RUN writes one.", field=path
            ) from error
        except InputError:
            raise
        except Exception as error:  # a damaged zip raises nearly everything, even RuntimeError ("is encrypted")
            raise InputError(
                f"{path} cannot be read: damaged, or not an .npz of codes ({error}).", field=path
            ) from error
        try:
            return cls(**arrays)
        except ValueError as error:
            raise InputError(
                f"{path} cannot be used: {error}. Write it again with wikiart-autoencode encode.", field=path
            ) from error

    def save(self, path: Path | str) -> None:
        """Write an uncompressed .npz atomically; codes hardly compress.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        from wikiart_data.files import write_bytes

        content = io.BytesIO()
        np.savez(content, **{name: getattr(self, name) for name in ARRAYS})
        write_bytes(Path(path), content.getvalue())

    def rows(self, split: str) -> np.ndarray:
        """(n,) int64: rows of one split, in order.

        Raises:
            InputError: it is not train, valid or test.
        """
        if split not in SPLITS:
            raise InputError(f"There is no split {printable(str(split))}: expected {', '.join(SPLITS)}.", field="split")
        return np.flatnonzero(self.split == split)

    def select(self, rows: str | np.ndarray) -> "Codes":
        """The codes of one split (`"train"`, `"valid"`, `"test"`), or of some rows.

        Raises:
            InputError: there is no such split.
            ValueError: the split has no codes, or there are no rows.
        """
        rows = self.rows(rows) if isinstance(rows, str) else rows
        return Codes(self.codes[rows], self.labels[rows], self.files[rows], self.styles, self.split[rows])

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with the codes, labels, files, styles or splits."""
        digest = hashlib.sha256(f"{self.codes.shape}".encode())
        digest.update(self.codes.tobytes())
        digest.update(self.labels.tobytes())
        for names in (self.files, self.styles, self.split):
            # A file name may hold bytes that are not UTF-8, but never a NUL.
            digest.update("\0".join([*names.tolist(), ""]).encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()[:16]
