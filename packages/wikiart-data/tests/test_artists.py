import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from wikiart_data.errors import InputError
from wikiart_data.images.artists import _deal, _keep_styles_in_train, known_artist, split_by_artist
from wikiart_data.images.catalog import Catalog
from wikiart_data.styles import STYLES

NOWHERE = Path("/nowhere")

# One row a picture: its artist, a style, a split. Many pictures, few artists, some of them nobody.
pictures = some.lists(
    some.tuples(
        some.sampled_from(["", "unknown-artist", "Anonymous", *(f"artist-{i}" for i in range(30))]),
        some.integers(0, 5),
        some.sampled_from(["train", "train", "valid", "test"]),
    ),
    min_size=3,
    max_size=150,
)
quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def catalog_of(rows: Sequence[tuple[str, int, str]], root: Path = NOWHERE) -> Catalog:
    """A catalog in memory of (artist, style, split), in this order; an artist '' has a name that says nothing."""
    return Catalog(
        root=root,
        styles=STYLES[: max(style for _, style, _ in rows) + 1],
        files=tuple(
            f"{split}/{STYLES[style]}/{f'{artist}_{number}' if artist else number}.jpg"
            for number, (artist, style, split) in enumerate(rows)
        ),
        labels=np.array([style for _, style, _ in rows], dtype=np.int64),
        splits=np.array([split for _, _, split in rows], dtype="<U5"),
        sizes=np.arange(1, len(rows) + 1),
        times=np.zeros(len(rows), dtype=np.int64),
    )


@pytest.fixture
def gallery() -> Catalog:
    """1,600 pictures of eight styles by 120 artists, every tenth of whom paints in two styles; 15 % by nobody."""
    rng = np.random.default_rng(3)
    rows = []
    for artist in range(120):
        homes = [artist % 8, (artist + 1) % 8] if artist % 10 == 0 else [artist % 8]
        rows += [(f"artist-{artist:03d}", int(rng.choice(homes))) for _ in range(rng.geometric(0.08))]
    rows = rows[:1360] + [("unknown-artist", int(rng.integers(8))) for _ in range(240)]
    splits = rng.permutation(np.repeat(["train", "valid", "test"], [len(rows) - 400, 160, 240]))
    return catalog_of([(*row, str(split)) for row, split in zip(rows, splits, strict=True)])


def splits_of_artists(catalog: Catalog) -> dict[str, set[str]]:
    splits_of: dict[str, set[str]] = {}
    for artist, split in zip(catalog.artists, catalog.splits.tolist(), strict=True):
        splits_of.setdefault(artist, set()).add(split)
    return splits_of


# -- what always holds ---------------------------------------------------------------------------------------------


@quick
@given(pictures, some.integers(0, 2**40))
def test_no_artist_is_in_two_splits_and_every_style_is_in_train(rows, seed):
    before = catalog_of(rows)
    try:
        after = split_by_artist(before, seed)
    except InputError as error:
        assert str(error.field).startswith(str(NOWHERE))  # noqa: PT017
        return
    for artist, splits in splits_of_artists(after).items():
        assert len(splits) == 1
        assert known_artist(artist) or splits == {"train"}
    assert (after.counts("train") > 0).tolist() == (np.bincount(before.labels) > 0).tolist()
    assert set(after.splits.tolist()) == {"train", "valid", "test"}


@quick
@given(pictures, some.integers(0, 100), some.randoms())
def test_the_order_of_the_catalog_does_not_matter(rows, seed, random):
    mixed = random.sample(rows, len(rows))
    try:
        straight = split_by_artist(catalog_of(rows), seed)
    except InputError as error:
        with pytest.raises(InputError) as again:
            split_by_artist(catalog_of(mixed), seed)
        assert str(again.value) == str(error)  # noqa: PT017
        return
    assert splits_of_artists(split_by_artist(catalog_of(mixed), seed)) == splits_of_artists(straight)


def test_only_the_splits_change(gallery: Catalog):
    before = gallery.splits.copy()
    after = split_by_artist(gallery)
    assert np.array_equal(gallery.splits, before)  # the catalog it came from is left alone
    assert not np.array_equal(after.splits, before)
    assert after.splits.dtype == before.dtype
    assert after.fingerprint == gallery.fingerprint
    assert replace(after, splits=before).files == gallery.files
    assert (after.root, after.styles, after.files) == (gallery.root, gallery.styles, gallery.files)
    for same in ("labels", "sizes", "times"):
        assert np.array_equal(getattr(after, same), getattr(gallery, same))


# -- fractions-----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_fractions_come_near_those_of_the_catalog(gallery: Catalog, seed: int):
    after = split_by_artist(gallery, seed)
    known = np.array([known_artist(artist) for artist in gallery.artists])
    assert known.sum() == len(gallery) - 240
    for split in ("valid", "test"):
        share = len(gallery.rows(split)) / len(gallery)
        chosen = after.splits == split
        assert not (chosen & ~known).any()
        assert chosen.sum() / known.sum() == pytest.approx(share, abs=0.03)
        of_styles = after.counts(split) / np.bincount(gallery.labels[known])
        assert np.abs(of_styles - share).mean() < 0.08  # whole artists: a style has about 16 of them


def test_many_artists_of_one_picture_each_give_the_fractions_almost_exactly():
    rows = [(f"artist-{i}", i % 4, ["train"] * 16 + ["valid"] + ["test"] * 3) for i in range(400)]
    after = split_by_artist(catalog_of([(artist, style, of[i % 20]) for i, (artist, style, of) in enumerate(rows)]))
    assert after.counts("valid").tolist() == [5] * 4
    assert after.counts("test").tolist() == [15] * 4


@pytest.mark.parametrize(
    ("fractions", "folds", "counts"),
    [
        ((0.75, 0.1, 0.15), 20, [15, 2, 3]),
        ((0.94, 0.01, 0.05), 20, [18, 1, 1]),  # at least one each
        ((0.1, 0.4, 0.5), 3, [1, 1, 1]),
        ((0.01, 0.01, 0.98), 20, [1, 1, 18]),  # and one is left for train
    ],
)
def test_folds_are_dealt_by_fractions(fractions: tuple[float, ...], folds: int, counts: list[int]):
    assert np.bincount(_deal(np.array(fractions), folds)).tolist() == counts


def test_a_seed_is_a_split(gallery: Catalog):
    again = [split_by_artist(gallery, seed).splits.tolist() for seed in (0, 1, 2)]
    assert again == [split_by_artist(replace(gallery), seed).splits.tolist() for seed in (0, 1, 2)]
    assert again[0] != again[1] != again[2] != again[0]
    assert split_by_artist(gallery).splits.tolist() == again[0]


def test_seeds_differ_in_their_great_artists_too():
    # Folds alone would put the same great artist first with every seed: shuffling only mixes equals.
    rows = [(f"artist-{i}", 0, ("train", "valid", "test")[i % 3]) for i in range(9) for _ in range(20 + i)]
    held_out = [
        {artist for artist, splits in splits_of_artists(split_by_artist(catalog_of(rows), seed)).items()
         if splits == {"test"}}
        for seed in range(8)
    ]  # fmt: skip
    assert len(set().union(*held_out)) >= 5


def test_the_split_is_the_same_in_another_process(gallery: Catalog):
    # Strings hash differently in every process: an order taken from a set would show here.
    code = (
        "import numpy as np; from pathlib import Path; from wikiart_data.images.catalog import Catalog;"
        "from wikiart_data.images.artists import split_by_artist;"
        "n = 60; files = tuple(f'train/Baroque/painter-{i % 13}_{i}.jpg' for i in range(n));"
        "splits = np.array(['train', 'train', 'valid', 'test'])[np.arange(n) % 4]; one = np.ones(n, int);"
        "c = Catalog(Path('/nowhere'), ('Baroque',), files, 0 * one, splits, one, one);"
        "print(''.join(s[0] for s in split_by_artist(c, 5).splits.tolist()))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert len(said) == 1
    assert len(said.pop().strip()) == 60


# -- who is known --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("", False),
        (" ", False),
        ("unknown", False),
        ("Unknown", False),
        ("unknown-artist", False),
        ("unknown_artist", False),
        ("Unknown Artist", False),
        ("ANONYMOUS", False),
        ("claude-monet", True),
        ("unknown-master-of-flemalle", True),
        ("Émile Bernard", True),
    ],
)
def test_known_artist(name: str, known: bool):
    assert known_artist(name) is known


def test_a_style_by_nobody_is_all_in_train():
    rows = [(f"artist-{i % 12}", 0, ("train", "valid", "test")[i % 3]) for i in range(60)]
    rows += [("unknown-artist", 1, ("train", "valid", "test")[i % 3]) for i in range(30)] + [("", 1, "test")]
    after = split_by_artist(catalog_of(rows))
    assert after.counts("train")[1] == 31


def test_artists_from_a_table(tmp_path: Path):
    # No name tells an artist; by the table, eight artists painted 40 pictures and nobody known five.
    nameless = catalog_of([("", i % 2, ("train", "valid", "test")[i % 3]) for i in range(45)], tmp_path)
    with pytest.raises(InputError) as error:
        split_by_artist(nameless)
    assert error.value.field == str(tmp_path)
    lines = [f"{file},{f'painter {i % 8}' if i < 40 else 'Unknown_Artist'}" for i, file in enumerate(nameless.files)]
    (tmp_path / "artists.csv").write_text("\n".join(["file,artist", *lines]))
    after = split_by_artist(replace(nameless))
    found = splits_of_artists(after)
    assert len(found) == 9
    assert all(len(splits) == 1 for splits in found.values())
    assert found["Unknown_Artist"] == {"train"}


# -- every style stays in train ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_a_style_of_one_painter_is_learned_and_not_tested(seed: int):
    rows = [("lonely", 1, "test")] * 10
    rows += [(f"artist-{i % 10}", 0, ("train", "valid", "test")[i % 3]) for i in range(100)]
    after = split_by_artist(catalog_of(rows), seed)
    assert after.counts("train")[1] == 10


def test_the_smallest_painter_of_a_style_goes_back_to_train():
    counts = np.array([[18, 2, 0, 0], [0, 5, 0, 0], [9, 0, 0, 3], [0, 0, 6, 0], [0, 0, 6, 0], [7, 0, 0, 0]])
    splits = np.array([1, 2, 2, 2, 1, 0])  # train holds style 0 alone, and style 3 by nobody known
    kept = _keep_styles_in_train(splits, counts, unknown=np.array([0, 0, 0, 1]))
    # Of style 1 the artist with fewer pictures in all, though more in it; of style 2, where both have six, the first.
    assert kept.tolist() == [1, 0, 2, 0, 1, 0]
    assert splits.tolist() == [1, 2, 2, 2, 1, 0]


def test_one_style_of_three_painters_suffices():
    # Of 24 artists only three are not the sole painter of a style: hardly any draw finds them, but one does.
    rows = [(f"artist-{i}", i, ("train", "valid", "test")[k % 3]) for i in range(21) for k in range(4)]
    rows += [(f"other-{i}", 21, "train") for i in range(3) for _ in range(20)]
    after = split_by_artist(catalog_of(rows))
    assert after.counts("valid")[21] == after.counts("test")[21] == 20
    assert (after.counts("train") > 0).all()


def test_styles_of_two_pictures_each():
    # Smaller, all of them, than the number of folds: scikit-learn would refuse.
    rows = [(f"artist-{i}", i // 2, ("train", "valid", "test")[i % 3]) for i in range(12)]
    after = split_by_artist(catalog_of(rows))
    assert after.counts("train").min() == 1
    assert len(after.rows("valid")) >= 1 <= len(after.rows("test"))


# -- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("artists", [[], ["a"], ["a", "b"]])
def test_too_few_artists(artists: list[str]):
    rows = [(artist, 0, split) for artist in [*artists, "unknown-artist"] for split in ("train", "valid", "test")]
    with pytest.raises(InputError) as error:
        split_by_artist(catalog_of(rows))
    assert error.value.field == str(NOWHERE)
    assert f" {len(artists)} " in str(error.value)
    assert "artists.csv" in str(error.value)


def test_every_style_of_one_painter():
    rows = [(f"artist-{i}", i, split) for i in range(5) for split in ("train", "valid", "test")]
    with pytest.raises(InputError) as error:
        split_by_artist(catalog_of(rows))
    assert error.value.field == str(NOWHERE)
    assert "artists.csv" in str(error.value)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_catalog_that_lacks_a_split(split: str):
    rows = [(f"artist-{i % 9}", 0, "train" if i % 2 else {"valid": "test"}.get(split, "valid")) for i in range(90)]
    with pytest.raises(InputError) as error:
        split_by_artist(catalog_of(rows))
    assert error.value.field == str(NOWHERE / split)


def test_a_hostile_folder_name_is_shown_as_escapes():
    rows = [("", 0, split) for split in ("train", "valid", "test")]
    with pytest.raises(InputError) as error:
        split_by_artist(catalog_of(rows, Path("/a\n\x1b[31mb")))
    assert "/a\\n\\x1b[31mb" in str(error.value)


def test_importing_is_light():
    code = (
        "import sys, wikiart_data.images.artists; print([m for m in ('sklearn', 'scipy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
