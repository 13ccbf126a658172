"""The second task of training: naming the artist."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from wikiart_classify.artists import LEAST, BothTasks, two_tasks
from wikiart_classify.cli import main
from wikiart_classify.losses import partial_cross_entropy
from wikiart_classify.network import StyleNet
from wikiart_data.images.augment import mixup_cutmix
from wikiart_data.images.catalog import Catalog, scan

QUICK = ["--model", "tiny", "--size", "32", "--batch-size", "16", "--device", "cpu"]
STYLES = ("Baroque", "Cubism", "Rococo")


def catalog_of(*groups: tuple[str, int, str, int]) -> Catalog:
    """A catalog in memory of (artist, style, split, number of pictures)."""
    rows = [group[:3] for group in groups for _ in range(group[3])]
    return Catalog(
        root=Path("/nowhere"),
        styles=STYLES,
        files=tuple(f"{split}/{STYLES[style]}/{artist}_{i}.jpg" for i, (artist, style, split) in enumerate(rows)),
        labels=np.array([style for _, style, _ in rows], dtype=np.int64),
        splits=np.array([split for _, _, split in rows], dtype="<U5"),
        sizes=np.ones(len(rows), dtype=np.int64),
        times=np.zeros(len(rows), dtype=np.int64),
    )


@pytest.fixture
def gallery() -> Catalog:
    return catalog_of(
        ("monet", 0, "train", 4),
        ("monet", 1, "train", 3),
        ("goya", 1, "train", LEAST),
        ("seldom", 1, "train", LEAST - 1),
        ("unknown-artist", 2, "train", 9),
        ("", 0, "train", 8),
        ("guest", 0, "valid", 20),
        ("monet", 2, "test", 2),
        ("goya", 1, "test", 1),
    )


def test_each_picture_has_its_style_and_where_it_is_known_its_artist(gallery):
    tasks = two_tasks(gallery, with_artists=True)
    assert tasks.to_artists.shape[1] == 2
    styles, artists = tasks.to_styles[tasks.labels], tasks.to_artists[tasks.labels]
    assert styles.argmax(dim=1).tolist() == gallery.labels.tolist()
    assert (styles.sum(dim=1) == 1).all()
    names = {"goya": [1.0, 0.0], "monet": [0.0, 1.0]}
    assert artists.tolist() == [names.get(artist, [0.0, 0.0]) for artist in gallery.artists]


def test_an_artist_of_several_styles_makes_a_pair_with_each(gallery):
    tasks = two_tasks(gallery, with_artists=True)
    of_monet = {tasks.labels[row] for row, artist in enumerate(gallery.artists) if artist == "monet"}
    assert len(of_monet) == 3
    pairs = {(int(s), n) for s, n in zip(gallery.labels, map(known, gallery.artists), strict=True)}
    assert len(tasks.to_styles) == len(tasks.to_artists) == len(pairs) == 7
    assert tasks.labels.dtype == np.int64
    assert sorted(set(tasks.labels.tolist())) == list(range(7))


def known(artist: str) -> str:
    return artist if artist in ("monet", "goya") else ""


@pytest.mark.parametrize(
    "groups",
    [
        [("", 0, "train", 20), ("unknown artist", 1, "train", 20), ("", 2, "train", 5)],
        [("monet", 0, "train", 20), ("", 1, "train", 20), ("goya", 2, "train", LEAST - 1)],
        [("monet", 0, "valid", 20), ("goya", 1, "test", 20), ("", 2, "train", 5)],
    ],
)
def test_with_fewer_than_two_artists_to_name_there_is_no_second_task(groups):
    catalog = catalog_of(*groups)
    tasks = two_tasks(catalog, with_artists=True)
    assert tasks.to_artists.shape[1] == 0
    assert tasks.to_styles[tasks.labels].argmax(dim=1).tolist() == catalog.labels.tolist()


def test_left_out_the_pairs_are_the_styles(gallery):
    tasks = two_tasks(gallery, with_artists=False)
    assert tasks.labels.tolist() == gallery.labels.tolist()
    assert tasks.to_styles.tolist() == torch.eye(3).tolist()
    assert tasks.to_artists.shape == (3, 0)


@pytest.mark.parametrize("seed", range(6))
def test_mixing_pairs_blends_styles_and_artists_as_mixing_either_would(gallery, seed):
    tasks = two_tasks(gallery, with_artists=True)
    rows = np.random.default_rng(seed).permutation(len(gallery))[:8]
    images = torch.rand(8, 3, 16, 16)
    pairs, styles = torch.from_numpy(tasks.labels[rows]), torch.from_numpy(gallery.labels[rows])
    mixed, targets = mixup_cutmix(images, pairs, len(tasks.to_styles), seed, prob=1.0)
    same, alone = mixup_cutmix(images, styles, 3, seed, prob=1.0)
    assert torch.equal(mixed, same)
    torch.testing.assert_close(targets @ tasks.to_styles, alone)
    named = targets @ tasks.to_artists
    assert (named.sum(dim=1) <= 1 + 1e-6).all()
    own = tasks.to_artists[pairs]
    share = alone.new_tensor([(image_share(targets, pairs, i)) for i in range(8)])[:, None]
    torch.testing.assert_close(named, share * own + (1 - share) * own.roll(1, 0))


def image_share(targets: torch.Tensor, pairs: torch.Tensor, place: int) -> float:
    """Share of a picture's own pair in its target, read from a row where its neighbour has another pair."""
    neighbours = pairs.roll(1)
    clear = torch.nonzero(pairs != neighbours)[0, 0]
    return float(targets[clear, pairs[clear]])


def test_without_artists_any_network_will_do():
    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(4, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(images)

    network, images = Plain(), torch.rand(3, 4)
    both = BothTasks(network, 0)
    styles, artists = both(images)
    assert artists is None
    assert torch.equal(styles, network(images))
    assert sum(p.numel() for p in both.parameters()) == 10


def test_styles_are_answered_as_without_the_second_task():
    network, images = StyleNet(3, "tiny").eval(), torch.rand(2, 3, 32, 32)
    styles, artists = BothTasks(network, 5)(images)
    torch.testing.assert_close(styles, network(images))
    assert artists.shape == (2, 5)


def test_the_second_task_teaches_its_layer_and_the_shared_ones():
    both = BothTasks(StyleNet(3, "tiny"), 5)
    _, artists = both(torch.rand(4, 3, 32, 32))
    targets = torch.eye(5)[:4].clone()
    targets[3] = 0
    partial_cross_entropy(artists, targets, 0.1).backward()
    without = [name for name, p in both.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == ["network.head.weight", "network.head.bias"]


def test_a_finished_run_keeps_no_artists(paintings, trained, capsys):
    assert len(set(scan(paintings).artists)) == 3
    names = load_file(trained / "model.safetensors").keys()
    assert names == StyleNet(4, "tiny").state_dict().keys()
    assert any(name.startswith("both/artists.") for name in load_file(trained / "last.safetensors"))
    assert main([*QUICK, "--data", str(paintings), "--epochs", "1", "--name", "with"]) == 0
    assert "naming 3 artists" in capsys.readouterr().out
    assert main([*QUICK, "--data", str(paintings), "--epochs", "1", "--artists", "0", "--name", "without"]) == 0
    assert "artists" not in capsys.readouterr().out
    without = load_file("runs/classify/without/last.safetensors")
    assert not any("artists" in name for name in without)
    assert json.loads(Path("runs/classify/without/run.json").read_text())["config"]["artists"] == 0
    one, other = (load_file(f"runs/classify/{name}/model.safetensors") for name in ("with", "without"))
    assert one.keys() == other.keys()
    assert not torch.equal(one["stem.weight"], other["stem.weight"])
