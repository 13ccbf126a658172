"""A split in which no artist is in two splits: does a classifier recognise styles, or only painters?"""

from dataclasses import replace
from typing import Literal

import numpy as np

from wikiart_data.console import counted, printable
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.manifest import SPLITS
from wikiart_data.images.names import artwork_of

_UNKNOWN = {"", "unknown", "unknown-artist", "anonymous"}
_MOST_FOLDS = 20
"""Fractions are kept to within a fold: a twentieth of the pictures."""
_DRAWS = 20
"""More would come nearer to the catalog's fractions, but every seed would then choose much the same artists."""
_MOST_DRAWS = 1000
"""Only where a draw hardly ever leaves both valid and test a picture: nearly every style has one painter."""
_WHERE_ARTISTS_ARE_NAMED = (
    "artists are read from file names like <artist>_<title>.jpg, or from a file artists.csv in the data folder with "
    "the columns file,artist"
)


def known_artist(name: str) -> bool:
    """Whether a name tells one artist from another; '', 'Unknown Artist' and 'anonymous' do not."""
    return name.strip().casefold().replace("_", "-").replace(" ", "-") not in _UNKNOWN


def split_by_artist(catalog: Catalog, seed: int = 0) -> Catalog:
    """Split all pictures anew so that no artist is in two splits; an artist is one over all the styles painted.

    Of the pictures with a known artist, valid and test get about the fractions they have of the whole catalog, style by
    style as well as whole artists permit. Pictures of unknown artists all go to train, because they may be by anybody;
    some of them may still be by an artist of valid or test. Every style keeps a picture in train, so one that a single
    artist painted is in no other split unless it has pictures of unknown artists, too.

    The known artists are divided into up to 20 folds of even size and style (`StratifiedGroupKFold`). Which folds
    become valid and test is drawn 20 times, and the draw nearest to the catalog's fractions is kept. The draw matters:
    the folds alone begin with the most productive artists in an order that hardly depends on the seed.

    Only `splits` changes: order, files and labels stay, so a pack of the catalog fits the new one too.

    Args:
        catalog: with pictures in valid and test, whose fractions are kept.
        seed: the same seed gives the same split, whatever order the catalog is in.

    Raises:
        InputError: the catalog has no valid or no test pictures, knows fewer than three artists, or its artists
            cannot be divided so that neither valid nor test is empty.
    """
    folder = printable(str(catalog.root))
    fractions = np.array([len(catalog.rows(split)) for split in SPLITS]) / max(len(catalog), 1)
    for split, fraction in zip(SPLITS[1:], fractions[1:], strict=True):
        if not fraction:
            raise InputError(
                f"{folder} has no {split} pictures, and a split by artist keeps the fractions of valid and test: add "
                f"a folder '{split}' with some pictures by any artists.",
                field=catalog.root / split,
            )
    rows = np.array([row for row, name in enumerate(catalog.artists) if known_artist(name)], dtype=np.int64)
    names = sorted({catalog.artists[row] for row in rows})
    index = {name: artist for artist, name in enumerate(names)}
    artists = np.array([index[catalog.artists[row]] for row in rows], dtype=np.int64)
    counts = np.zeros((len(names), len(catalog.styles)), dtype=np.int64)  # pictures of each artist in each style
    np.add.at(counts, (artists, catalog.labels[rows]), 1)
    if len(names) < 3:
        raise InputError(
            f"{folder} has {counted(len(names), 'known artist')}, and a split by artist needs at least three: "
            f"{_WHERE_ARTISTS_ARE_NAMED}.",
            field=catalog.root,
        )

    unknown = np.bincount(np.delete(catalog.labels, rows), minlength=len(catalog.styles))
    targets = fractions[:, None] * counts.sum(axis=0)
    rng = np.random.default_rng(seed)
    number = min(_MOST_FOLDS, len(names))
    folds = _folds(catalog.labels[rows], artists, number, int(rng.integers(2**32)))
    split_of_fold = _deal(fractions, number)
    nearest, best = np.inf, None
    for draw in range(_MOST_DRAWS):
        if draw >= _DRAWS and best is not None:
            break
        splits = _keep_styles_in_train(rng.permutation(split_of_fold)[folds], counts, unknown)
        drawn = np.array([counts[splits == split].sum(axis=0) for split in range(len(SPLITS))])
        distance = float(np.abs(drawn - targets).sum())
        if drawn[1:].any(axis=1).all() and distance < nearest:
            nearest, best = distance, splits
    if best is None:
        raise InputError(
            f"{folder} has {len(names)} known artists, but with a painter of every style kept in train none is left "
            f"for valid or test: add pictures by more artists, or name the unknown ones; {_WHERE_ARTISTS_ARE_NAMED}.",
            field=catalog.root,
        )
    new = np.zeros(len(catalog), dtype=np.int64)  # unknown artists stay in train
    new[rows] = best[artists]
    return replace(catalog, splits=np.array(SPLITS)[new])


def keep_half_of_artists(catalog: Catalog, half: Literal["first", "second"]) -> Catalog:
    """Leave out of train the pictures of the other half of the artists.

    A judge trained on one half and a generator on the other saw no artist in common. The halves are even in size and
    style (`StratifiedGroupKFold`) and always the same for a catalog; pictures of unknown artists are divided by their
    artwork. valid and test stay.

    Only `splits` changes, where pictures that are left out have ''.

    Raises:
        InputError: fewer than two artists are known.
    """
    rows = catalog.rows("train")
    names = [catalog.artists[row] for row in rows]
    if len({name for name in names if known_artist(name)}) < 2:
        raise InputError(
            f"{printable(str(catalog.root))} has fewer than two known artists in train, so there are no halves of "
            f"them: {_WHERE_ARTISTS_ARE_NAMED}.",
            field="--artist-half",
        )
    # An artwork of an unknown artist counts as an artist of its own.
    groups = [
        name if known_artist(name) else f"\0{artwork_of(catalog.files[row])}"
        for name, row in zip(names, rows, strict=True)
    ]
    index = {name: group for group, name in enumerate(sorted(set(groups)))}
    numbers = np.array([index[name] for name in groups])
    folds = _folds(catalog.labels[rows], numbers, 2, seed=0)
    splits = catalog.splits.copy()
    splits[rows[folds[numbers] != ("first", "second").index(half)]] = ""
    return replace(catalog, splits=splits)


def _folds(labels: np.ndarray, artists: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Divide whole artists into folds that are even in size and in styles.

    Args:
        labels: (n,) int64, the style of each picture with a known artist.
        artists: (n,) int64, its artist, in 0..A-1.
        number: of folds, in 2..A.
        seed: in 0..2^32-1.

    Returns:
        (A,) int64: the fold of each artist, in 0..number-1. With hardly more artists than folds, one may stay empty.
    """
    import warnings

    from sklearn.model_selection import StratifiedGroupKFold  # a second to import

    if np.bincount(labels).max() < number:
        # scikit-learn refuses styles that are all smaller than the number of folds; these are balanced by size alone.
        labels = np.zeros_like(labels)
    folds = np.zeros(artists.max() + 1, dtype=np.int64)
    with warnings.catch_warnings():
        # Small styles are expected here, and every style is kept in train afterwards.
        warnings.filterwarnings("ignore", message="The least populated class in y has only", category=UserWarning)
        splitter = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
        for fold, (_, members) in enumerate(splitter.split(labels, labels, artists)):
            folds[artists[members]] = fold
    return folds


def _deal(fractions: np.ndarray, folds: int) -> np.ndarray:
    """(folds,) int64, indices into SPLITS: every split gets folds by its fraction, at least one.

    Args:
        fractions: (3,) of train, valid and test; they sum to 1.
        folds: at least 3.
    """
    others = np.maximum(1, np.round(fractions[1:] * folds).astype(np.int64))
    while others.sum() >= folds:
        others[others.argmax()] -= 1
    return np.repeat(np.arange(len(SPLITS)), [folds - others.sum(), *others])


def _keep_styles_in_train(splits: np.ndarray, counts: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Move to train the smallest artist of each style that has no picture there.

    Args:
        splits: (A,) int64, indices into SPLITS, one per artist.
        counts: (A, styles) int64, pictures of each artist in each style.
        unknown: (styles,) int64, pictures of unknown artists; they are in train.

    Returns:
        (A,) int64: a copy with the artists moved; of equally small ones the first by name.
    """
    splits = splits.copy()
    sizes = counts.sum(axis=1)
    for style in np.flatnonzero(counts.any(axis=0) & (unknown == 0)):
        painters = np.flatnonzero(counts[:, style])
        if splits[painters].all():  # train is 0
            splits[painters[sizes[painters].argmin()]] = 0
    return splits
