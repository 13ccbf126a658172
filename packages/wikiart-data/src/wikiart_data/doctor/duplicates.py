"""The same picture several times: by bytes, by pixels, by look, by name.

What survives resizing, another JPEG quality, a change of brightness or a loss of colour is a *perceptual hash*: here
256 bits, the signs of the lowest 16 × 16 cosine coefficients of the grey picture about their median (pHash; Zauner
2010, with 16 × 16 coefficients instead of 8 × 8). Two pictures look alike if few bits differ and their grey thumbnails
correlate. On 6,000 real paintings unrelated pairs differ by 54 bits or more; a copy at half the size or at JPEG quality
40 by at most 22 in 99 of 100, one that lost 2 % on each side by at most 44 in 95 of 100; colour fields have little to
hash, and 94 in 100 of their copies are found. Mirrored or strongly cropped copies are not.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image

from wikiart_data.images.names import artist_of, artwork_of

BITS = 256
MOST_BITS_APART = 44
LEAST_CORRELATION = 0.88
FLATTEST = 5.0
"""Standard deviation (of 255) of the grey picture below which its hash is noise: a monochrome painting."""
LEVELS = ("same bytes", "same pixels", "look alike", "same name")
"""Evidence that two files are one artwork, strongest first."""

_GREY = 32
_COSINES = np.cos(np.pi * np.outer(np.arange(16), 2 * np.arange(_GREY) + 1) / (2 * _GREY)).astype(np.float32)
_BLOCK = 4096


def perceptual_hash(picture: Image.Image) -> tuple[np.ndarray, np.ndarray] | None:
    """Hash and thumbnail of a picture, or None if it is too flat to be recognised by them.

    Returns:
        Packed bits (32,) uint8, and a grey thumbnail (256,) uint8.
    """
    grey = picture.convert("L").resize((_GREY, _GREY), Image.Resampling.BOX)
    values = np.asarray(grey, dtype=np.float32)
    if values.std() < FLATTEST:
        return None
    low = (_COSINES @ values @ _COSINES.T).ravel()
    bits = low > np.median(low[1:])  # the first coefficient is the mean brightness: it says nothing
    return np.packbits(bits), np.asarray(grey.resize((16, 16), Image.Resampling.BOX), dtype=np.uint8).ravel()


def similar_pairs(hashes: np.ndarray, thumbnails: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs of rows that look alike.

    With bits as ±1, `bits apart = (BITS - dot product) / 2`: all pairs are one matrix product, taken in blocks, so
    80,000 pictures need about 20 s on two cores and 300 MB.

    Args:
        hashes: (N, 32) uint8, packed bits.
        thumbnails: (N, 256) uint8.
    """
    if not len(hashes):
        return
    # Thousands of copies of one picture would make millions of pairs: each distinct hash is compared once.
    _, first, which = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    same = first[which.ravel()]
    pairs = np.stack([same, np.arange(len(hashes))], axis=1)[same != np.arange(len(hashes))]
    yield from _correlating(pairs, thumbnails)
    signs = np.unpackbits(hashes[first], axis=1).astype(np.float32) * 2 - 1
    for a in range(0, len(first), _BLOCK):
        for b in range(a, len(first), _BLOCK):
            dots = signs[a : a + _BLOCK] @ signs[b : b + _BLOCK].T
            near = np.argwhere(dots >= BITS - 2 * MOST_BITS_APART) + (a, b)
            yield from _correlating(first[near[near[:, 0] < near[:, 1]]], thumbnails)


def _correlating(pairs: np.ndarray, thumbnails: np.ndarray) -> Iterator[tuple[int, int]]:
    for part in np.array_split(pairs, max(1, len(pairs) // 100_000)):
        first, second = (_normalised(thumbnails[part[:, side]]) for side in (0, 1))
        similar = part[(first * second).sum(axis=1) >= LEAST_CORRELATION]
        yield from ((int(a), int(b)) for a, b in similar)


def _normalised(thumbnails: np.ndarray) -> np.ndarray:
    centred = thumbnails.astype(np.float32)
    centred -= centred.mean(axis=1, keepdims=True)
    return centred / (np.linalg.norm(centred, axis=1, keepdims=True) + 1e-6)


def same_key(keys: Iterable[object]) -> Iterator[tuple[int, int]]:
    """Pairs (first row with this key, this row); a row whose key is None or empty is in no pair."""
    first: dict[object, int] = {}
    for row, key in enumerate(keys):
        if key and first.setdefault(key, row) != row:
            yield first[key], row


def artwork_key(file: str) -> str | None:
    """Artist and title by the file's name; None if it names none (`IMG_001.jpg`, `<artist>_untitled.jpg`)."""
    artist, artwork = artist_of(file), artwork_of(file)
    title = artwork.removeprefix(f"{artist.lower()}_")
    has_title = any(c.isalpha() for c in title) and title not in ("untitled", "unknown", "unknown-title")
    return artwork if artist and has_title else None


def groups(count: int, evidence: Sequence[Iterable[tuple[int, int]]]) -> Iterator[list[list[int]]]:
    """Rows joined by the evidence so far: after the first kind of pairs, after the first two, and so on.

    Args:
        count: number of rows.
        evidence: pairs of rows, strongest kind first.

    Yields:
        The groups of more than one row, each sorted, in the order of their first row.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.zeros((0, 2), dtype=np.int64)
    for more in evidence:
        pairs = np.concatenate([pairs, np.array(list(more), dtype=np.int64).reshape(-1, 2)])
        graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
        _, component_of = connected_components(graph, directed=False)
        members: dict[int, list[int]] = {}
        for row, component in enumerate(component_of.tolist()):
            members.setdefault(component, []).append(row)
        yield [rows for rows in members.values() if len(rows) > 1]
