"""Latents and text embeddings, computed once and stored in the user's cache under a digest of all their inputs."""

import hashlib
import json
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from wikiart_data.console import echo, printable, track
from wikiart_data.errors import InputError
from wikiart_data.files import cache_root, writable_folder
from wikiart_data.images.batches import to_device
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.decode import BadPictureError, available_cores, decode
from wikiart_lora.base_models.families import TextEmbeddings, encode_captions, encode_images
from wikiart_lora.base_models.fingerprints import fingerprint
from wikiart_lora.base_models.loading import BaseModel
from wikiart_lora.buckets import nearest_bucket, resize_and_crop
from wikiart_lora.memory import Parts

_VERSION = 3
"""Part of every digest: increased when the code here changes."""
BATCH = 8
"""Images or captions that are encoded at once."""
ENCODE_PIXELS = 1 << 20
"""Pixels that are encoded at once: the autoencoder of Stable Diffusion takes 2.5 GiB for them."""
_CHUNK_BYTES = 1 << 24  # bytes of a file that are read at once


@dataclass(frozen=True)
class CachedLatents:
    """Latents of all images of a catalog, one memory map per bucket."""

    buckets: tuple[tuple[int, int], ...]
    bucket_of: np.ndarray
    """(N,) the bucket of each image; -1 where the file cannot be read."""
    index_of: np.ndarray
    """(N,) its index in its bucket."""
    maps: tuple[np.ndarray, ...]
    """Per bucket: (views, n, C, h, w) float16; the second view, if there is one, is mirrored."""

    def read(self, rows: np.ndarray, mirrored: np.ndarray | None = None) -> Tensor:
        """(B, C, h, w) float32 of rows of one bucket, some of them mirrored."""
        values = self.maps[self.bucket_of[rows[0]]]
        views = (
            np.zeros(len(rows), dtype=np.int64) if mirrored is None or len(values) == 1 else mirrored.astype(np.int64)
        )
        return torch.from_numpy(values[views, self.index_of[rows]].astype(np.float32))


@dataclass(frozen=True)
class CachedEmbeddings:
    """Embeddings of captions."""

    index_of: dict[str, int]
    """Caption → its row."""
    maps: dict[str, Tensor]
    """`embeds` and, for SDXL, `pooled`: (captions, …) bfloat16, memory-mapped."""

    def read(self, captions: Sequence[str], device: torch.device, dtype: torch.dtype) -> TextEmbeddings:
        """The embeddings of these captions, on the device."""
        indices = torch.tensor([self.index_of[caption] for caption in captions])
        return {name: to_device(values[indices].to(dtype), device) for name, values in self.maps.items()}


def cached_latents(
    base: BaseModel,
    catalog: Catalog,
    buckets: Sequence[tuple[int, int]],
    flip: bool,
    max_bad_fraction: float,
    cache_dir: Path | None,
) -> CachedLatents:
    """Open the latents of all images, encoding them first if necessary.

    Their digest covers the autoencoder's weights, the images (paths, sizes, times), the buckets and mirroring.

    Raises:
        InputError: too many files cannot be read, or the cache cannot be written.
    """
    about = {
        "autoencoder": fingerprint(base.pipeline.vae),
        "family": base.family,
        "root": str(catalog.root),
        "pictures": catalog.fingerprint,
        "times": hashlib.sha256(catalog.times.tobytes()).hexdigest(),
        "buckets": [list(bucket) for bucket in buckets],
        "flip": flip,
    }

    def write(folder: Path) -> None:
        bucket_of, index_of, counts = _assign_buckets(catalog, buckets, max_bad_fraction)
        maps: list[_ArrayFile | None] = [None] * len(buckets)
        work = [
            (bucket, rows) for bucket in range(len(buckets)) for rows in _chunks(np.flatnonzero(bucket_of == bucket))
        ]
        encode = [image_parts(height, width) for height, width in buckets]
        base.use("autoencoder")
        with ExitStack() as files, ThreadPoolExecutor(available_cores()) as pool:
            loaded = pool.map(lambda job: (*job, _read(catalog, job[1], buckets[job[0]])), work)
            for bucket, rows, pixels in track(loaded, len(work), "encoding images", "batches"):
                images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
                views = [images, images.flip(3)] if flip else [images]
                latents_of_views = [encode_in_parts(base, view, encode[bucket]) for view in views]
                values = torch.stack(latents_of_views).cpu().numpy().astype(np.float16)
                array = maps[bucket]
                if array is None:
                    shape = (len(values), int(counts[bucket]), *values.shape[2:])
                    _check_free_space(folder, 2 * int(np.prod(shape)), "the latents")
                    array = maps[bucket] = files.enter_context(_ArrayFile(folder / f"{bucket}.npy", np.float16, shape))
                for view, latents in enumerate(values):
                    array.write(view * int(counts[bucket]) + int(index_of[rows[0]]), latents)
        np.savez(folder / "rows.npz", bucket_of=bucket_of, index_of=index_of)

    folder = _cached_folder("latents", about, write, cache_dir)
    with np.load(folder / "rows.npz") as rows:
        bucket_of, index_of = rows["bucket_of"], rows["index_of"]
    empty = np.zeros((1, 0, 1, 1, 1), np.float16)
    files = [folder / f"{bucket}.npy" for bucket in range(len(buckets))]
    maps = tuple(np.load(file, mmap_mode="r") if file.exists() else empty for file in files)
    return CachedLatents(tuple(buckets), bucket_of, index_of, maps)


def cached_embeddings(base: BaseModel, captions: Sequence[str], cache_dir: Path | None) -> CachedEmbeddings:
    """Open the embeddings of captions, encoding them first if necessary; '' is always among them.

    Their digest covers the text encoders' weights, the tokenizers' vocabularies and the captions.

    Raises:
        InputError: the cache cannot be written.
    """
    texts = sorted({"", *captions})
    components = base.pipeline.components.items()
    tokenizers = [part for name, part in components if name.startswith("tokenizer") and part]
    about = {
        "encoders": fingerprint(*base.text_encoders.values()),
        "family": base.family,
        "vocabularies": [_digest(sorted(tokenizer.get_vocab().items())) for tokenizer in tokenizers],
        "lengths": [tokenizer.model_max_length for tokenizer in tokenizers],
        "captions": _digest(texts),
    }
    if base.family == "flux2":
        about["length"] = base.text.max_sequence_length
    if base.text.clip_skip:
        about["clip skip"] = base.text.clip_skip
    if base.family == "sdxl":
        about["empty captions"] = "zeros" if base.pipeline.config.force_zeros_for_empty_prompt else "encoded"

    def write(folder: Path) -> None:
        maps: dict[str, _ArrayFile] = {}
        base.use("text")
        encoded = Parts(BATCH, "encoding captions").map(len(texts), lambda part: _encode_captions(base, texts[part]))
        start = 0
        with ExitStack() as files:
            for embeddings in track(encoded, -(-len(texts) // BATCH), "encoding captions", "batches"):
                for name, values in embeddings.items():
                    shape = (len(texts), *values.shape[1:])
                    if name not in maps:
                        _check_free_space(folder, 2 * int(np.prod(shape)), "the captions' embeddings")
                        maps[name] = files.enter_context(_ArrayFile(folder / f"{name}.npy", np.uint16, shape))
                    # NumPy has no bfloat16: its bits are stored as integers.
                    bits = values.detach().to("cpu", torch.bfloat16).contiguous().view(torch.uint16).numpy()
                    maps[name].write(start, bits)
                start += len(embeddings["embeds"])

    folder = _cached_folder("text", about, write, cache_dir)
    maps = {}
    for file in sorted(folder.glob("*.npy")):
        maps[file.stem] = torch.from_numpy(np.load(file, mmap_mode="c")).view(torch.bfloat16)
    return CachedEmbeddings({caption: index for index, caption in enumerate(texts)}, maps)


@torch.no_grad()
def _encode_captions(base: BaseModel, captions: Sequence[str]) -> TextEmbeddings:
    return encode_captions(base, captions)


def image_parts(height: int, width: int) -> Parts:
    """Parts for encoding images of a size: fewer at once if they are large."""
    return Parts.by_pixels(ENCODE_PIXELS, height, width, "encoding images", most=BATCH)


def encode_in_parts(base: BaseModel, images: Tensor, parts: Parts) -> Tensor:
    """`encode_images` in parts that fit: (B, 3, H, W) in [-1, 1] → (B, C, h, w) on the CPU."""
    return torch.cat(list(parts.map(len(images), lambda part: encode_images(base, images[part]).cpu())))


def _cached_folder(kind: str, about: dict, write: Callable[[Path], None], cache_dir: Path | None) -> Path:
    """The cache folder of what `about` describes, written whole or not at all; a second process waits for the first.

    Its about.json holds a CRC-32 of every other file, which is compared here: a damaged folder is written anew.
    """
    key = _digest({"version": _VERSION, "kind": kind, **about})
    folder = cache_root(cache_dir) / "lora" / f"{kind}-{key}"
    if _is_whole(folder):
        return folder
    with FileLock(writable_folder(folder.parent) / f"{folder.name}.lock"):
        if _is_whole(folder):
            return folder
        if folder.exists():
            echo(f"{folder} is damaged and is written again.")
        part = folder.with_name(folder.name + ".part")
        try:
            shutil.rmtree(part, ignore_errors=True)  # left by a killed process
            part.mkdir()
            write(part)
            about = {**about, "crc32": _checksums(part)}
            (part / "about.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise InputError(
                f"The cache {part} cannot be written ({error.strerror or error}); free some space, choose another "
                "folder with --cache-dir DIR, or turn the cache off with --no-cache.",
                field="--cache-dir",
            ) from error
    return folder


def _is_whole(folder: Path) -> bool:
    try:
        return json.loads((folder / "about.json").read_text(encoding="utf-8"))["crc32"] == _checksums(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _checksums(folder: Path) -> dict[str, int]:
    """CRC-32 of each file but about.json; reading everything also warms the page cache for the first epoch."""
    checksums = {}
    for path in sorted(folder.glob("*.np[yz]")):
        crc = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                crc = zlib.crc32(chunk, crc)
        checksums[path.name] = crc
    return checksums


class _ArrayFile:
    """An .npy file written in parts. A full disk raises OSError here; through a memory map it would kill the process.

    Args:
        path: of the file.
        dtype: of the array.
        shape: of the whole array.
    """

    def __init__(self, path: Path, dtype: type, shape: tuple[int, ...]):
        self.file = path.open("wb")
        about = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, about)
        self.start = self.file.tell()

    def __enter__(self) -> "_ArrayFile":
        return self

    def __exit__(self, *exception: object) -> None:
        self.file.close()

    def write(self, first: int, values: np.ndarray) -> None:
        """Write rows (n, …) of the array's type; `first` counts rows of this shape from the start of the array."""
        data = np.ascontiguousarray(values)
        self.file.seek(self.start + first * data[0].nbytes)
        self.file.write(data.tobytes())


def _check_free_space(folder: Path, needed: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{what.capitalize()} need {needed / 1e9:.1f} GB and {folder.parent} has {free / 1e9:.1f} GB free: choose "
            "another folder with --cache-dir DIR, fewer --captions-per-image, a smaller "
            "--max-sequence-length (FLUX.2), or --no-cache.",
            field="--cache-dir",
        )


def _assign_buckets(
    catalog: Catalog, buckets: Sequence[tuple[int, int]], max_bad_fraction: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bucket of each image, -1 where it cannot be read; its index there; and images per bucket.

    Raises:
        InputError: too many files cannot be read.
    """

    def size_of(row: int) -> tuple[int, int] | str:
        try:
            return decode(catalog.root / catalog.files[row], at_least=64).size
        except BadPictureError as error:
            return str(error)

    with ThreadPoolExecutor(available_cores()) as pool:
        sizes = list(track(pool.map(size_of, range(len(catalog))), len(catalog), "reading image sizes", "files"))
    _check_unreadable(catalog, {row: size for row, size in enumerate(sizes) if isinstance(size, str)}, max_bad_fraction)
    bucket_of = np.array([-1 if isinstance(size, str) else nearest_bucket(*size, buckets) for size in sizes])
    index_of = np.zeros(len(catalog), dtype=np.int64)
    for bucket in range(len(buckets)):
        rows = np.flatnonzero(bucket_of == bucket)
        index_of[rows] = np.arange(len(rows))
    return bucket_of, index_of, np.bincount(bucket_of[bucket_of >= 0], minlength=len(buckets))


def _check_unreadable(catalog: Catalog, bad: dict[int, str], max_bad_fraction: float) -> None:
    """Name the files that are left out.

    Args:
        catalog: the data.
        bad: row → why it cannot be read.
        max_bad_fraction: of all files, the largest to accept.

    Raises:
        InputError: they are more.
    """
    if len(bad) > max_bad_fraction * len(catalog):
        listed = "\n".join(f"  {printable(catalog.files[row])}: {why}" for row, why in list(bad.items())[:20])
        raise InputError(
            f"{len(bad)} of {len(catalog)} images in {catalog.root} cannot be read, more than "
            f"{max_bad_fraction:.0%}:\n{listed}\nRun wikiart-data doctor for details; repair or remove them, or "
            "raise --max-bad-fraction.",
            field="--max-bad-fraction",
        )
    if bad:
        echo(f"{len(bad)} unreadable images are left out: " + ", ".join(printable(catalog.files[r]) for r in bad))


def _read(catalog: Catalog, rows: np.ndarray, bucket: tuple[int, int]) -> np.ndarray:
    """(B, height, width, 3) uint8."""
    return np.stack(
        [resize_and_crop(decode(catalog.root / catalog.files[row], at_least=max(bucket)), bucket) for row in rows]
    )


def read_images(catalog: Catalog, rows: np.ndarray, bucket: tuple[int, int]) -> Tensor:
    """Images of one bucket, decoded from their files: (B, 3, height, width) float32 in [-1, 1]."""
    return torch.from_numpy(_read(catalog, rows, bucket)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def bucket_of_images(catalog: Catalog, buckets: Sequence[tuple[int, int]], max_bad_fraction: float) -> np.ndarray:
    """(N,) the bucket of each image, -1 where it cannot be read.

    Raises:
        InputError: too many files cannot be read.
    """
    return _assign_buckets(catalog, buckets, max_bad_fraction)[0]


def _chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[:16]
