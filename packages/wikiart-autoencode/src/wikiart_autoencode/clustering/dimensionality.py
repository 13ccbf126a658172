"""Dimensionality reduction: PCA and SVD for computation, t-SNE and UMAP for display.

t-SNE and UMAP distort distances: clusters may be viewed on their maps, never measured there.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from wikiart_autoencode.clustering.config import Reduction
from wikiart_data.console import echo
from wikiart_data.errors import InputError, how_to_install
from wikiart_data.files import cache_root
from wikiart_data.images.decode import available_cores

PERPLEXITY = 30.0
"""Perplexity of t-SNE; van der Maaten & Hinton 2008 recommend 5 to 50."""
PCA_DIMENSIONS = 50
"""t-SNE and UMAP run on at most this many principal components: the rest is mostly noise, and takes time."""
EXACT_UP_TO = 20_000
"""Up to this many codes neighbours are found exactly, which is faster there, and deterministic."""
ONE_THREAD_UP_TO = 2_000
"""Up to this many codes one thread is faster: several would synchronise at each of 750 iterations."""
MIN_CODES = 5
"""Fewer codes have no neighbourhoods worth a map."""

_VERSION = 1


def reduce_dimensions(
    codes: np.ndarray, method: Reduction, dimensions: int = 2, seed: int = 0, cache_dir: Path | None = None
) -> np.ndarray:
    """Reduce codes to few dimensions; the same codes and seed give the same result.

    - `pca` keeps the directions of largest variance, centred. `svd` is the same without centring.
    - `tsne`: t-SNE (van der Maaten & Hinton 2008), by openTSNE's interpolation (Linderman et al. 2019) for many codes,
      initialised with the first principal components, which preserves global structure (Kobak & Berens 2019).
    - `umap`: McInnes et al. 2018, also from principal components; needs the extra `umap`.

    t-SNE and UMAP are cached under a digest of the codes and of everything else that the result depends on.

    Args:
        codes: (N, D) float, finite.
        method: one of the above.
        dimensions: at most the smaller of N and D; 1 or 2 for `tsne`.
        seed: of everything random.
        cache_dir: where results are cached (default: the user's cache).

    Returns:
        (N, dimensions) float32.

    Raises:
        InputError: there are too few codes or dimensions, or umap is not installed.
    """
    codes = np.ascontiguousarray(codes, dtype=np.float32)
    most = min(codes.shape) if method != "tsne" else min(2, *codes.shape)
    if not 1 <= dimensions <= most:
        raise InputError(
            f"{len(codes):,} codes of {codes.shape[1]} numbers cannot be reduced to {dimensions} dimensions by "
            f"{method}; at most {most} are possible.",
            field="dimensions",
        )
    if method == "pca":
        return _pca(codes, dimensions, seed)
    if method == "svd":
        return _svd(codes, dimensions, seed)
    if len(codes) < MIN_CODES:
        raise InputError(
            f"{len(codes)} codes are too few for a map by {method}; it needs at least {MIN_CODES}.", field="codes"
        )
    compute, package = {"tsne": (_tsne, "openTSNE"), "umap": (_umap, "umap-learn")}[method]
    try:
        settings = (method, dimensions, seed, PERPLEXITY, PCA_DIMENSIONS, EXACT_UP_TO, package, version(package))
    except PackageNotFoundError as error:
        raise InputError(
            f"{method} needs the package {package}, which is not installed: {how_to_install(method, package)}.",
            field="--reduce",
        ) from error
    return _cached(codes, settings, cache_dir, lambda: compute(codes, dimensions, seed))


def _pca(codes: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    return PCA(dimensions, random_state=seed).fit_transform(codes).astype(np.float32)


def _svd(codes: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    from sklearn.decomposition import TruncatedSVD

    return TruncatedSVD(dimensions, random_state=seed).fit_transform(codes).astype(np.float32)


def _pca_first(codes: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    return _pca(codes, max(dimensions, min(PCA_DIMENSIONS, *codes.shape)), seed)


def _tsne(codes: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    from openTSNE import TSNE
    from openTSNE.initialization import rescale

    components = _pca_first(codes, dimensions, seed)
    # The gradient of each code is summed by one thread in a fixed order: the number of threads changes no result.
    tsne = TSNE(
        n_components=dimensions,
        # openTSNE's annotations are narrower than what it takes.
        perplexity=min(PERPLEXITY, (len(codes) - 1) / 3),  # pyright: ignore[reportArgumentType]
        initialization=rescale(components[:, :dimensions]),  # pyright: ignore[reportArgumentType]
        neighbors="exact" if len(codes) <= EXACT_UP_TO else "approx",
        n_jobs=available_cores() if len(codes) > ONE_THREAD_UP_TO else 1,
        random_state=seed,
    )
    return np.asarray(tsne.fit(components), dtype=np.float32)


def _umap(codes: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    from umap import UMAP

    components = _pca_first(codes, dimensions, seed)
    # With a fixed seed UMAP uses one job in any case, and warns when given more.
    umap = UMAP(n_neighbors=min(15, len(codes) - 1), n_components=dimensions, init="pca", random_state=seed, n_jobs=1)
    return np.asarray(umap.fit_transform(components), dtype=np.float32)


def _cached(
    codes: np.ndarray, settings: tuple, cache_dir: Path | None, compute: Callable[[], np.ndarray]
) -> np.ndarray:
    """The result of `compute`, from the cache if it was computed before; a damaged file there is replaced."""
    digest = hashlib.sha256(repr((_VERSION, codes.shape, settings)).encode())
    digest.update(codes.tobytes())
    path = cache_root(cache_dir) / "maps" / f"{settings[0]}-{digest.hexdigest()[:24]}.npz"
    shape = (len(codes), settings[1])
    with suppress(Exception):  # a damaged zip raises nearly everything, from BadZipFile to RuntimeError
        # The file is opened here because np.load leaves a broken one open. Members of a zip carry a CRC-32.
        with path.open("rb") as file:
            cached = np.load(file, allow_pickle=False)["map"]
        if cached.shape == shape and cached.dtype == np.float32 and np.isfinite(cached).all():
            return cached
    points = compute()
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez(file, map=points)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        echo(f"The map could not be cached in {path.parent} ({error.strerror}); it will be computed again next time.")
    return points
