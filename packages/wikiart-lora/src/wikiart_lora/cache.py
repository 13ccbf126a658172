"""Latents and text embeddings, computed once and kept in the user's cache under the digest of all they depend on."""

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
from torch import Tensor, nn

from wikiart_data.console import echo, printable, track
from wikiart_data.errors import InputError
from wikiart_data.files import cache_root, writable_folder
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.decode import BadPictureError, available_cores, decode
from wikiart_lora.buckets import fitted, nearest
from wikiart_lora.families import Text, encode_pictures, encode_text
from wikiart_lora.pipelines import Base, fingerprint

_VERSION = 2
"""Part of every digest: changed code here makes a new cache."""
BATCH = 8
"""Pictures or captions that are encoded at once."""
_PIECE = 1 << 24  # bytes of a file that are looked at at once


@dataclass(frozen=True)
class Latents:
    """Latents of all pictures of a catalog, a memory map a bucket."""

    buckets: tuple[tuple[int, int], ...]
    bucket_of: np.ndarray
    """(N,) the bucket of each picture; -1 where the file cannot be read."""
    place_of: np.ndarray
    """(N,) its place in its bucket."""
    maps: tuple[np.ndarray, ...]
    """A bucket: (views, n, C, h, w) float16; the second view, if there is one, is mirrored."""

    def read(self, rows: np.ndarray, mirrored: np.ndarray | None = None) -> Tensor:
        """(B, C, h, w) float32 of rows of one bucket, some of them mirrored."""
        values = self.maps[self.bucket_of[rows[0]]]
        views = (
            np.zeros(len(rows), dtype=np.int64) if mirrored is None or len(values) == 1 else mirrored.astype(np.int64)
        )
        return torch.from_numpy(values[views, self.place_of[rows]].astype(np.float32))


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of captions, by the caption."""

    place_of: dict[str, int]
    maps: dict[str, Tensor]
    """`embeds` and, for some families, `pooled`: (captions, …) bfloat16, memory-mapped."""

    def read(self, captions: Sequence[str], device: torch.device, dtype: torch.dtype) -> Text:
        """The rows of these captions, on the device."""
        places = torch.tensor([self.place_of[caption] for caption in captions])
        return {name: values[places].to(device, dtype) for name, values in self.maps.items()}


def latents_of(
    base: Base,
    catalog: Catalog,
    buckets: Sequence[tuple[int, int]],
    flip: bool,
    bad_limit: float,
    cache_dir: Path | None,
) -> Latents:
    """Open the latents of all pictures, encoding them first if need be.

    Their digest covers the autoencoder's weights, the pictures (paths, sizes, times), the buckets and mirroring.

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
        bucket_of, place_of, counts, bad = _sorted_into(catalog, buckets)
        if len(bad) > bad_limit * len(catalog):
            named = "\n".join(f"  {printable(catalog.files[row])}: {why}" for row, why in list(bad.items())[:20])
            raise InputError(
                f"{len(bad)} of {len(catalog)} pictures in {catalog.root} cannot be read, more than {bad_limit:.0%}:\n"
                f"{named}\nwikiart-data doctor says more; mend or remove them, or raise --bad-limit."
            )
        if bad:
            echo(f"{len(bad)} unreadable pictures are left out: " + ", ".join(printable(catalog.files[r]) for r in bad))
        maps: list[_Filled | None] = [None] * len(buckets)
        work = [
            (bucket, rows) for bucket in range(len(buckets)) for rows in _chunks(np.flatnonzero(bucket_of == bucket))
        ]
        with ExitStack() as files, ThreadPoolExecutor(available_cores()) as pool:
            loaded = pool.map(lambda job: (*job, _read(catalog, job[1], buckets[job[0]])), work)
            for bucket, rows, pixels in track(loaded, len(work), "encoding pictures", "batches"):
                images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
                views = [encode_pictures(base, images)] + ([encode_pictures(base, images.flip(3))] if flip else [])
                values = torch.stack(views).cpu().numpy().astype(np.float16)
                if maps[bucket] is None:
                    shape = (len(values), int(counts[bucket]), *values.shape[2:])
                    _room_for(folder, 2 * int(np.prod(shape)), "the latents")
                    maps[bucket] = files.enter_context(_Filled(folder / f"{bucket}.npy", np.float16, shape))
                for view, latents in enumerate(values):
                    maps[bucket].put(view * int(counts[bucket]) + int(place_of[rows[0]]), latents)
        np.savez(folder / "rows.npz", bucket_of=bucket_of, place_of=place_of)

    folder = _kept("latents", about, write, cache_dir)
    with np.load(folder / "rows.npz") as rows:
        bucket_of, place_of = rows["bucket_of"], rows["place_of"]
    empty = np.zeros((1, 0, 1, 1, 1), np.float16)
    files = [folder / f"{bucket}.npy" for bucket in range(len(buckets))]
    maps = tuple(np.load(file, mmap_mode="r") if file.exists() else empty for file in files)
    return Latents(tuple(buckets), bucket_of, place_of, maps)


def embeddings_of(base: Base, captions: Sequence[str], cache_dir: Path | None) -> Embeddings:
    """Open the embeddings of captions, encoding them first if need be; '' is always among them.

    Their digest covers the text encoders' weights, the tokenizers' vocabularies and the captions.

    Raises:
        InputError: the cache cannot be written.
    """
    words = sorted({"", *captions})
    tokenizers = [one for name, one in base.pipeline.components.items() if name.startswith("tokenizer") and one]
    about = {
        "encoders": fingerprint(*base.text_encoders.values()),
        "family": base.family,
        "vocabularies": [_digest(sorted(one.get_vocab().items())) for one in tokenizers],
        "lengths": [one.model_max_length for one in tokenizers],
        "captions": _digest(words),
    }

    def write(folder: Path) -> None:
        maps: dict[str, _Filled] = {}
        starts = range(0, len(words), BATCH)
        with ExitStack() as files:
            for start in track(starts, len(starts), "encoding captions", "batches"):
                with torch.no_grad():
                    found = encode_text(base, words[start : start + BATCH])
                for name, values in found.items():
                    shape = (len(words), *values.shape[1:])
                    if name not in maps:
                        _room_for(folder, 2 * int(np.prod(shape)), "the captions' embeddings")
                        maps[name] = files.enter_context(_Filled(folder / f"{name}.npy", np.uint16, shape))
                    # NumPy knows no bfloat16: its bits are kept as whole numbers.
                    bits = values.detach().to("cpu", torch.bfloat16).contiguous().view(torch.uint16).numpy()
                    maps[name].put(start, bits)

    folder = _kept("text", about, write, cache_dir)
    maps = {}
    for file in sorted(folder.glob("*.npy")):
        maps[file.stem] = torch.from_numpy(np.load(file, mmap_mode="c")).view(torch.bfloat16)
    return Embeddings({caption: place for place, caption in enumerate(words)}, maps)


def _kept(kind: str, about: dict, write: Callable[[Path], None], cache_dir: Path | None) -> Path:
    """The folder of what `about` describes, made whole or not at all; a second process waits for the first.

    Its about.json holds a CRC-32 of every other file, and is compared here: damage makes it new.
    """
    key = _digest({"version": _VERSION, "kind": kind, **about})
    folder = cache_root(cache_dir) / "lora" / f"{kind}-{key}"
    if _is_whole(folder):
        return folder
    with FileLock(writable_folder(folder.parent) / f"{folder.name}.lock"):
        if _is_whole(folder):
            return folder
        if folder.exists():
            echo(f"{folder} is damaged; making it again.")
        part = folder.with_name(folder.name + ".part")
        try:
            shutil.rmtree(part, ignore_errors=True)  # what a killed process left
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
                "place with --cache-dir DIR, or leave the cache out with --no-cache."
            ) from error
    return folder


def _is_whole(folder: Path) -> bool:
    try:
        return json.loads((folder / "about.json").read_text(encoding="utf-8"))["crc32"] == _checksums(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _checksums(folder: Path) -> dict[str, int]:
    """CRC-32 of each file but about.json; reading it all also warms the page cache for the first epoch."""
    found = {}
    for path in sorted(folder.glob("*.np[yz]")):
        crc = 0
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                crc = zlib.crc32(piece, crc)
        found[path.name] = crc
    return found


class _Filled:
    """An .npy file that is filled piece by piece. A full disk is an OSError here; through a memory map it would kill.

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

    def __enter__(self) -> "_Filled":
        return self

    def __exit__(self, *exception: object) -> None:
        self.file.close()

    def put(self, first: int, values: np.ndarray) -> None:
        """Write rows (n, …) of the array's type; `first` counts rows of this shape from the array's beginning."""
        data = np.ascontiguousarray(values)
        self.file.seek(self.start + first * data[0].nbytes)
        self.file.write(data.tobytes())


def _room_for(folder: Path, needed: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{what.capitalize()} need {needed / 1e9:.1f} GB and {folder.parent} has {free / 1e9:.1f} GB free: choose "
            "another place with --cache-dir DIR, fewer --variants, or --no-cache."
        )


def _sorted_into(catalog: Catalog, buckets: Sequence[tuple[int, int]]):
    """The bucket of each picture and its place there, pictures per bucket, and what cannot be read."""

    def size_of(row: int) -> tuple[int, int] | str:
        try:
            return decode(catalog.root / catalog.files[row], at_least=64).size
        except BadPictureError as error:
            return str(error)

    with ThreadPoolExecutor(available_cores()) as pool:
        sizes = list(track(pool.map(size_of, range(len(catalog))), len(catalog), "looking at pictures", "files"))
    bad = {row: size for row, size in enumerate(sizes) if isinstance(size, str)}
    bucket_of = np.array([-1 if isinstance(size, str) else nearest(*size, buckets) for size in sizes])
    place_of = np.zeros(len(catalog), dtype=np.int64)
    for bucket in range(len(buckets)):
        rows = np.flatnonzero(bucket_of == bucket)
        place_of[rows] = np.arange(len(rows))
    return bucket_of, place_of, np.bincount(bucket_of[bucket_of >= 0], minlength=len(buckets)), bad


def _read(catalog: Catalog, rows: np.ndarray, bucket: tuple[int, int]) -> np.ndarray:
    """(B, height, width, 3) uint8."""
    return np.stack([fitted(decode(catalog.root / catalog.files[row], at_least=max(bucket)), bucket) for row in rows])


def read_pictures(catalog: Catalog, rows: np.ndarray, bucket: tuple[int, int]) -> Tensor:
    """Pictures of one bucket, decoded now: (B, 3, height, width) float32 in -1..1."""
    return torch.from_numpy(_read(catalog, rows, bucket)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def sorted_pictures(catalog: Catalog, buckets: Sequence[tuple[int, int]]) -> np.ndarray:
    """(N,) the bucket of each picture, -1 where it cannot be read: what training without a cache needs."""
    return _sorted_into(catalog, buckets)[0]


def _chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def free_encoders(base: Base, keep_text: bool) -> None:
    """After caching, move autoencoder and text encoders off the GPU: the denoiser needs the room."""
    networks: list[nn.Module] = [base.pipeline.vae, *([] if keep_text else base.text_encoders.values())]
    for network in networks:
        network.to("cpu")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
