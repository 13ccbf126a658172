"""Codes in few dimensions: PCA and SVD to compute with, t-SNE and UMAP to look at.

A map by t-SNE or UMAP bends distances: clusters are looked at there, never measured there.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import numpy as np

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.files import cache_root
from wikiart_data.images.decode import available_cores

Reduction = Literal["pca", "svd", "tsne", "umap"]

PERPLEXITY = 30.0
"""Neighbours that t-SNE keeps together, about; van der Maaten & Hinton 2008 advise 5 to 50."""
FIRST_PCA = 50
"""Maps are made of at most this many principal components: the rest is mostly noise, and costs time."""
EXACT_UP_TO = 20_000
"""Up to so many codes neighbours are found exactly, which is the quicker way and always the same."""
ALONE_UP_TO = 2_000
"""Up to so many codes one thread makes the map: several would wait for one another at each of 750 steps."""
FEWEST = 5
"""A map of fewer codes has no neighbourhoods to speak of."""

_VERSION = 1


def reduce(
    codes: np.ndarray, to: Reduction, dimensions: int = 2, seed: int = 0, cache_dir: Path | None = None
) -> np.ndarray:
    """Reduce codes to few dimensions; the same codes and seed give the same answer.

    - `pca` keeps the directions of most variance, centred. `svd` is the same of codes that are not centred.
    - `tsne`: t-SNE (van der Maaten & Hinton 2008), by openTSNE's interpolation (Linderman et al. 2019) for many codes,
      from the first principal components, which keeps the large picture (Kobak & Berens 2019).
    - `umap`: McInnes et al. 2018, also from the principal components; needs the extra `umap`.

    t-SNE and UMAP are kept in the cache under a digest of the codes and of all that the map depends on.

    Args:
        codes: (N, D) float, finite.
        to: the method.
        dimensions: at most the smaller of N and D; 1 or 2 for `tsne`.
        seed: of everything random.
        cache_dir: where maps are kept (default: the user's cache).

    Returns:
        (N, dimensions) float32.

    Raises:
        InputError: there are too few codes or dimensions, or umap is not installed.
    """
    codes = np.ascontiguousarray(codes, dtype=np.float32)
    most = min(codes.shape) if to != "tsne" else min(2, *codes.shape)
    if not 1 <= dimensions <= most:
        raise InputError(
            f"{len(codes):,} codes of {codes.shape[1]} numbers cannot be reduced to {dimensions} dimensions by {to}; "
            f"{most} is the most."
        )
    if to == "pca":
        return _pca(codes, dimensions, seed)
    if to == "svd":
        return _svd(codes, dimensions, seed)
    if len(codes) < FEWEST:
        raise InputError(f"{len(codes)} codes are too few for a map by {to}; {FEWEST} is the fewest.")
    make, package = {"tsne": (_tsne, "openTSNE"), "umap": (_umap, "umap-learn")}[to]
    try:
        settings = (to, dimensions, seed, PERPLEXITY, FIRST_PCA, EXACT_UP_TO, package, version(package))
    except PackageNotFoundError as error:
        raise InputError(
            f"{to} needs the package {package}, which is not installed: uv sync --extra {to}, or pip install {package}."
        ) from error
    return _kept(codes, settings, cache_dir, lambda: make(codes, dimensions, seed))


def _pca(codes: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    return PCA(dimensions, random_state=seed).fit_transform(codes).astype(np.float32)


def _svd(codes: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    from sklearn.decomposition import TruncatedSVD

    return TruncatedSVD(dimensions, random_state=seed).fit_transform(codes).astype(np.float32)


def _before_map(codes: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    return _pca(codes, max(dimensions, min(FIRST_PCA, *codes.shape)), seed)


def _tsne(codes: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    from openTSNE import TSNE
    from openTSNE.initialization import rescale

    components = _before_map(codes, dimensions, seed)
    # The gradient of a code is summed by one thread in a fixed order: how many threads there are changes no map.
    tsne = TSNE(
        n_components=dimensions,
        perplexity=min(PERPLEXITY, (len(codes) - 1) / 3),
        initialization=rescale(components[:, :dimensions]),
        neighbors="exact" if len(codes) <= EXACT_UP_TO else "approx",
        n_jobs=available_cores() if len(codes) > ALONE_UP_TO else 1,
        random_state=seed,
    )
    return np.asarray(tsne.fit(components), dtype=np.float32)


def _umap(codes: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    from umap import UMAP

    components = _before_map(codes, dimensions, seed)
    # One job: with a fixed seed UMAP uses one in any case, and warns when it was asked for more.
    umap = UMAP(n_neighbors=min(15, len(codes) - 1), n_components=dimensions, init="pca", random_state=seed, n_jobs=1)
    return np.asarray(umap.fit_transform(components), dtype=np.float32)


def _kept(codes: np.ndarray, settings: tuple, cache_dir: Path | None, make: Callable[[], np.ndarray]) -> np.ndarray:
    """What `make` returns, from the cache if it was made before; a damaged file there is made again."""
    digest = hashlib.sha256(repr((_VERSION, codes.shape, settings)).encode())
    digest.update(codes.tobytes())
    path = cache_root(cache_dir) / "maps" / f"{settings[0]}-{digest.hexdigest()[:24]}.npz"
    shape = (len(codes), settings[1])
    with suppress(Exception):  # a damaged zip raises nearly everything, from BadZipFile to RuntimeError
        # The file is opened here because np.load leaves a broken one open. Members of a zip carry a CRC-32.
        with path.open("rb") as file:
            kept = np.load(file, allow_pickle=False)["map"]
        if kept.shape == shape and kept.dtype == np.float32 and np.isfinite(kept).all():
            return kept
    made = make()
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez(file, map=made)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        echo(f"The map could not be kept in {path.parent} ({error.strerror}); another plot will make it again.")
    return made
