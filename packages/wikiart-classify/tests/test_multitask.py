"""The auxiliary task of training: classifying the artist."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from wikiart_classify.cli import main
from wikiart_classify.imbalance.losses import partial_cross_entropy
from wikiart_classify.multitask import MIN_IMAGES, MultiTaskModel, task_labels
from wikiart_classify.network import StyleNet
from wikiart_data.images.augment import mixup_cutmix
from wikiart_data.images.catalog import Catalog, scan

QUICK = ["--model", "tiny", "--size", "32", "--batch-size", "16", "--device", "cpu"]
STYLES = ("Baroque", "Cubism", "Rococo")


def catalog_of(*groups: tuple[str, int, str, int]) -> Catalog:
    """A catalog in memory of (artist, style, split, number of images)."""
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
def catalog() -> Catalog:
    return catalog_of(
        ("monet", 0, "train", 4),
        ("monet", 1, "train", 3),
        ("goya", 1, "train", MIN_IMAGES),
        ("seldom", 1, "train", MIN_IMAGES - 1),
        ("unknown-artist", 2, "train", 9),
        ("", 0, "train", 8),
        ("guest", 0, "valid", 20),
        ("monet", 2, "test", 2),
        ("goya", 1, "test", 1),
    )


def test_each_image_has_its_style_and_its_artist_if_known(catalog):
    labels = task_labels(catalog, with_artists=True)
    assert labels.to_artists.shape[1] == 2
    styles, artists = labels.to_styles[labels.pairs], labels.to_artists[labels.pairs]
    assert styles.argmax(dim=1).tolist() == catalog.labels.tolist()
    assert (styles.sum(dim=1) == 1).all()
    names = {"goya": [1.0, 0.0], "monet": [0.0, 1.0]}
    assert artists.tolist() == [names.get(artist, [0.0, 0.0]) for artist in catalog.artists]


def test_an_artist_of_several_styles_forms_a_pair_with_each(catalog):
    labels = task_labels(catalog, with_artists=True)
    of_monet = {labels.pairs[row] for row, artist in enumerate(catalog.artists) if artist == "monet"}
    assert len(of_monet) == 3
    pairs = {(int(s), n) for s, n in zip(catalog.labels, map(known, catalog.artists), strict=True)}
    assert len(labels.to_styles) == len(labels.to_artists) == len(pairs) == 7
    assert labels.pairs.dtype == np.int64
    assert sorted(set(labels.pairs.tolist())) == list(range(7))


def known(artist: str) -> str:
    return artist if artist in ("monet", "goya") else ""


@pytest.mark.parametrize(
    "groups",
    [
        [("", 0, "train", 20), ("unknown artist", 1, "train", 20), ("", 2, "train", 5)],
        [("monet", 0, "train", 20), ("", 1, "train", 20), ("goya", 2, "train", MIN_IMAGES - 1)],
        [("monet", 0, "valid", 20), ("goya", 1, "test", 20), ("", 2, "train", 5)],
    ],
)
def test_with_fewer_than_two_artists_there_is_no_auxiliary_task(groups):
    catalog = catalog_of(*groups)
    labels = task_labels(catalog, with_artists=True)
    assert labels.to_artists.shape[1] == 0
    assert labels.to_styles[labels.pairs].argmax(dim=1).tolist() == catalog.labels.tolist()


def test_without_the_task_the_pairs_are_the_styles(catalog):
    labels = task_labels(catalog, with_artists=False)
    assert labels.pairs.tolist() == catalog.labels.tolist()
    assert labels.to_styles.tolist() == torch.eye(3).tolist()
    assert labels.to_artists.shape == (3, 0)


@pytest.mark.parametrize("seed", range(6))
def test_mixing_pairs_mixes_styles_and_artists_as_mixing_either_would(catalog, seed):
    labels = task_labels(catalog, with_artists=True)
    rows = np.random.default_rng(seed).permutation(len(catalog))[:8]
    images = torch.rand(8, 3, 16, 16)
    pairs, styles = torch.from_numpy(labels.pairs[rows]), torch.from_numpy(catalog.labels[rows])
    mixed, targets = mixup_cutmix(images, pairs, len(labels.to_styles), seed, prob=1.0)
    same, alone = mixup_cutmix(images, styles, 3, seed, prob=1.0)
    assert torch.equal(mixed, same)
    torch.testing.assert_close(targets @ labels.to_styles, alone)
    artist_targets = targets @ labels.to_artists
    assert (artist_targets.sum(dim=1) <= 1 + 1e-6).all()
    own = labels.to_artists[pairs]
    weight = own_weight(targets, pairs)
    torch.testing.assert_close(artist_targets, weight * own + (1 - weight) * own.roll(1, 0))


def own_weight(targets: torch.Tensor, pairs: torch.Tensor) -> float:
    """Weight of an image's own pair in its target, read from a row whose neighbour has another pair."""
    row = torch.nonzero(pairs != pairs.roll(1))[0, 0]
    return float(targets[row, pairs[row]])


def test_without_artists_any_network_works():
    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(4, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(images)

    network, images = Plain(), torch.rand(3, 4)
    model = MultiTaskModel(network, 0)
    styles, artists, projections = model(images)
    assert (artists, projections) == (None, None)
    assert torch.equal(styles, network(images))
    assert sum(p.numel() for p in model.parameters()) == 10


def test_style_logits_do_not_depend_on_the_auxiliary_task():
    network, images = StyleNet(3, "tiny").eval(), torch.rand(2, 3, 32, 32)
    styles, artists, _ = MultiTaskModel(network, 5)(images)
    torch.testing.assert_close(styles, network(images))
    assert artists.shape == (2, 5)


def test_the_auxiliary_task_trains_its_layer_and_the_shared_ones():
    model = MultiTaskModel(StyleNet(3, "tiny"), 5)
    _, artists, _ = model(torch.rand(4, 3, 32, 32))
    targets = torch.eye(5)[:4].clone()
    targets[3] = 0
    partial_cross_entropy(artists, targets, 0.1).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == ["network.head.weight", "network.head.bias"]


def test_a_finished_run_keeps_no_artist_head(paintings, trained, capsys):
    assert len(set(scan(paintings).artists)) == 3
    names = load_file(trained / "model.safetensors").keys()
    assert names == StyleNet(4, "tiny").state_dict().keys()
    assert any(name.startswith("model/artist_head.") for name in load_file(trained / "last.safetensors"))
    assert main([*QUICK, "--data", str(paintings), "--epochs", "1", "--name", "with"]) == 0
    assert "3 artists" in capsys.readouterr().out
    assert main([*QUICK, "--data", str(paintings), "--epochs", "1", "--artists", "0", "--name", "without"]) == 0
    assert "artists" not in capsys.readouterr().out
    without = load_file("runs/classify/without/last.safetensors")
    assert not any("artist" in name for name in without)
    assert json.loads(Path("runs/classify/without/run.json").read_text())["config"]["artists"] == 0
    with_task, without_task = (load_file(f"runs/classify/{name}/model.safetensors") for name in ("with", "without"))
    assert with_task.keys() == without_task.keys()
    assert not torch.equal(with_task["stem.weight"], without_task["stem.weight"])
