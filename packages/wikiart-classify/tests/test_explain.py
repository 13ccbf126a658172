"""`--explain`: Grad-CAM and its sheet."""

import csv
import dataclasses
import importlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from wikiart_classify.checkpoint import load_network
from wikiart_classify.cli import main
from wikiart_classify.explain import choose, grad_cam, sheet, shortened, style_meant
from wikiart_classify.network import CosineHead, StyleNet
from wikiart_data.errors import InputError
from wikiart_data.training.device import use_bf16

STYLES = ("Baroque", "Cubism", "Minimalism", "Ukiyo_e")


@pytest.fixture
def network() -> StyleNet:
    """Three styles, its norm's statistics far from those of a fresh network, left in training mode."""
    torch.manual_seed(0)
    network = StyleNet(3, "tiny")
    nn.init.normal_(network.norm.running_mean)
    nn.init.uniform_(network.norm.running_var, 0.5, 2.0)
    nn.init.normal_(network.norm.bias)
    nn.init.normal_(network.head.weight, mean=0.5)  # some channels speak against a style, more speak for it
    return network


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy of the trained run, to write into."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def look_at_channel(network: StyleNet, style: int, channel: int, weight: float) -> None:
    with torch.no_grad():
        network.head.weight[style] = 0.0
        network.head.weight[style, channel] = weight


def enlarged(maps: torch.Tensor, side: tuple[int, int]) -> torch.Tensor:
    """(B, h, w) → (B, H, W) in shares of each one's maximum."""
    large = F.interpolate(maps[:, None], size=side, mode="bilinear")[:, 0]
    return large / large.flatten(1).max(dim=1).values[:, None, None]


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("recording", [True, False])
def test_heat_is_what_hooks_find(network, cosine, recording):
    if cosine:  # a logit is then no sum over channels: its slope depends on the picture
        network.head = CosineHead(64, 3)
        nn.init.normal_(network.head.weight, mean=0.5)
    images, wanted = torch.rand(3, 3, 48, 64), torch.tensor([2, 0, 1])
    with torch.set_grad_enabled(recording):
        heat = grad_cam(network, images, wanted)

    seen: dict[str, torch.Tensor] = {}
    network.norm.register_forward_hook(lambda _, __, output: seen.update(maps=output.detach().clamp(min=0)))
    network.head.register_full_backward_hook(lambda _, inward, __: seen.update(slope=inward[0]))
    for place in range(3):  # one picture at a time, through the whole network
        network.eval()(images[place : place + 1])[0, wanted[place]].backward()
        summed = torch.einsum("c,chw->hw", seen["slope"][0], seen["maps"][0]).clamp(min=0)
        assert summed.max() > 0
        expected = enlarged(summed[None], (48, 64))[0]
        assert torch.allclose(heat[place], expected, atol=1e-5)


def test_heat_is_in_shares_of_each_pictures_maximum(network):
    images = torch.rand(4, 3, 40, 52) * torch.tensor([1.0, 0.5, 0.1, 0.01])[:, None, None, None]
    heat = grad_cam(network, images, torch.tensor([0, 1, 2, 0]))
    assert heat.shape == (4, 40, 52)
    assert heat.dtype == torch.float32
    assert heat.amin() >= 0
    assert heat.amax(dim=(1, 2)).tolist() == [1.0] * 4
    assert not heat.requires_grad
    assert all(p.grad is None for p in network.parameters())


def test_a_head_that_looks_at_one_channel_shows_that_channel(network):
    look_at_channel(network, style=1, channel=7, weight=0.3)
    images = torch.rand(2, 3, 64, 64)
    heat = grad_cam(network, images, torch.tensor([1, 1]))
    with torch.no_grad():
        maps = network.eval().maps(images)
    assert maps.shape == (2, 64, 4, 4)
    assert maps[:, 7].std() > 0
    assert torch.allclose(heat, enlarged(maps[:, 7], (64, 64)), atol=1e-5)
    assert not torch.allclose(heat, enlarged(maps[:, 8], (64, 64)), atol=1e-2)


def test_where_nothing_speaks_for_the_style_there_is_no_heat(network):
    look_at_channel(network, style=0, channel=7, weight=-0.3)
    look_at_channel(network, style=1, channel=7, weight=0.3)
    heat = grad_cam(network, torch.rand(1, 3, 32, 32).expand(2, 3, 32, 32), torch.tensor([0, 1]))
    assert (heat[0] == 0).all()
    assert heat[1].max() == 1


def test_other_networks_are_refused():
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(InputError, match="only StyleNets"):
        grad_cam(other, torch.rand(1, 3, 16, 16), torch.tensor([0]))


@pytest.mark.parametrize("verb", ["test", "predict"])
def test_other_networks_are_refused_before_any_work(verb, run, paintings, monkeypatch, capsys):
    def other(path):
        return dataclasses.replace(load_network(path), network=nn.Flatten())

    monkeypatch.setattr(importlib.import_module(f"wikiart_classify.{verb}"), "load_network", other)
    picture = str(next((paintings / "test" / "Cubism").iterdir()))
    arguments = {
        "test": [str(run), "--explain", "Cubism"],
        "predict": [picture, "--model", str(run), "--explain", "a.png"],
    }
    assert main([verb, *arguments[verb]]) == 2
    assert "only StyleNets (tiny, small, base) can be explained" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [(9, 9, (3, 3)), (9, 1, (5, 1)), (1, 9, (1, 5)), (2, 1, (2, 1)), (0, 9, (0, 6)), (9, 0, (6, 0)), (4, 2, (4, 2))],
)
def test_half_are_rightly_named_where_there_are_both(right, wrong, expected):
    named = np.random.default_rng(0).permutation(np.arange(right + wrong) < right)
    chosen = choose(named, 6, seed=1)
    assert len(set(chosen.tolist())) == len(chosen)
    assert named[chosen].tolist() == [True] * expected[0] + [False] * expected[1]
    assert chosen.tolist() == choose(named, 6, seed=1).tolist()


def test_the_choice_is_drawn():
    named = np.arange(40) % 2 == 0
    assert len({tuple(choose(named, 6, seed=seed).tolist()) for seed in range(5)}) == 5


@pytest.mark.parametrize(("name", "shown"), [("abcdefghi", "abcdefghi"), ("abcdefghijk", "abcde…hijk")])
def test_long_names_lose_their_middle(name, shown):
    assert shortened(name, 10) == shown


@pytest.mark.parametrize(
    ("name", "place"), [("Cubism", 1), ("cubism", 1), ("UKIYO-E", 3), ("ukiyo e", 3), ("$tyle", 4)]
)
def test_a_style_is_known_by_any_spelling(name, place):
    assert style_meant(name, (*STYLES, "$tyle")) == place


def test_test_writes_a_sheet_of_a_style(run, capsys):
    assert main(["test", str(run), "--split", "valid", "--explain", "ukiyo-e"]) == 0
    said = capsys.readouterr().out
    target = run / "figures" / "explain-Ukiyo_e.png"
    assert f"What speaks for Ukiyo_e in 4 pictures: {target}" in said
    assert said.index("balanced accuracy") < said.index("What speaks")
    with Image.open(target) as picture:
        assert picture.format == "PNG"
        assert picture.width == 1080
        assert np.asarray(picture.convert("RGB")).std() > 10


def test_a_sheet_beside_json_changes_nothing_in_it(run, capsys):
    assert main(["test", str(run), "--json"]) == 0
    plain = capsys.readouterr().out
    assert main(["test", str(run), "--json", "--explain", "Baroque"]) == 0
    explained = capsys.readouterr().out
    assert explained == plain
    assert json.loads(explained)["split"] == "test"
    assert (run / "figures" / "explain-Baroque.png").is_file()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Cubsm", "the network knows no such style. Did you mean Cubism?"),
        ("Dada", "It knows Baroque, Cubism, Minimalism, Ukiyo_e."),
        ("", "It knows Baroque"),
    ],
)
def test_an_unknown_style_is_a_sentence(run, name, sentence, capsys):
    assert main(["test", str(run), "--explain", name]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(run.glob("figures/explain*"))


def test_a_style_without_pictures_in_the_split_is_a_sentence(run, paintings, tmp_path, capsys):
    shutil.copytree(paintings, tmp_path / "fewer")
    shutil.rmtree(tmp_path / "fewer" / "test" / "Cubism")
    assert main(["test", str(run), "--data", str(tmp_path / "fewer"), "--explain", "Cubism"]) == 2
    assert "has no picture of it in test" in capsys.readouterr().err


def test_a_sheet_shows_the_styles_that_were_asked_for(trained, paintings):
    known = load_network(trained / "model.safetensors")
    cubism = STYLES.index("Cubism")
    file = next((paintings / "test" / "Cubism").iterdir())
    figure = sheet(known, [file] * 3, [cubism, None, 0], bf16=False)
    titles = [axes.get_title("left").split("\n") for axes in figure.axes]
    rows = [titles[start : start + 3] for start in (0, 3, 6)]
    assert [row[0] for row in rows] == [[file.name, "true: Cubism"], [file.name], [file.name, "true: Baroque"]]
    assert all(row[1][0] == "Cubism" and row[1][1].startswith("named, ") for row in rows)
    assert [row[2][1].split(",")[0] for row in rows] == ["second", "second", "true"]
    assert rows[0][2] == rows[1][2]
    assert rows[2][2][0] == "Baroque"
    # The heat in each place is that of the style above it. Pictures of 40 pixels come to the network at 37, then 32.
    second = STYLES.index(rows[0][2][0].replace(" ", "_"))
    with Image.open(file) as picture:
        small = picture.resize((37, 37), Image.Resampling.BICUBIC).resize((32, 32), Image.Resampling.BILINEAR)
    image = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None] / 255
    for place, style in ((1, cubism), (2, second), (8, 0)):
        drawn = figure.axes[place].images[1].get_array()
        expected = grad_cam(known.network, image, torch.tensor([style]))[0].numpy()
        assert np.abs(drawn - expected).mean() < 0.03
    # Were two of them alike, the comparison above could not tell one from the other.
    assert np.abs(figure.axes[1].images[1].get_array() - figure.axes[2].images[1].get_array()).mean() > 0.1


def test_shares_on_a_sheet_are_those_that_predict_prints(trained, paintings, capsys):
    known = load_network(trained / "model.safetensors")
    files = sorted((paintings / "test").rglob("*.jpg"))[::5]
    assert main(["predict", *map(str, files), "--model", str(trained), "--csv", "-", "--device", "cpu"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    figure = sheet(known, files, [None] * len(files), use_bf16(torch.device("cpu"), known.config["precision"]))
    for row, three in zip(rows, np.reshape(figure.axes, (-1, 3)), strict=True):
        for place in (1, 2):
            style, told = three[place].get_title("left").split("\n")
            assert style == row[f"style{place}"].replace("_", " ")
            assert float(told.split()[1]) == pytest.approx(100 * float(row[f"share{place}"]), abs=0.06)


def test_predict_writes_a_sheet_of_the_first_pictures(run, paintings, tmp_path, capsys):
    target = tmp_path / "sheet.png"
    assert main(["predict", str(paintings / "test"), "--model", str(run), "--explain", str(target)]) == 0
    said = capsys.readouterr().out
    number = len(list((paintings / "test").rglob("*.jpg")))
    assert number > 12
    assert f"styles of 12 of {number} pictures: {target}" in said
    with Image.open(target) as picture:
        assert picture.format == "PNG"
        assert picture.width == 1080
        assert picture.height > 12 * 330  # twelve rows of squares


def test_hostile_names_and_shapes_are_drawn(run, paintings, tmp_path, capsys):
    folder = tmp_path / "odd"
    folder.mkdir()
    source = next((paintings / "test" / "Baroque").iterdir())
    for name in ("$x^{$.jpg", "a\nb\x1b[31m.jpg", "北斎.jpg", "<b>" + "long-" * 40 + "end.jpg"):
        shutil.copy(source, folder / name)
    Image.new("L", (300, 9), 90).save(folder / "strip.png")
    Image.new("CMYK", (9, 300)).save(folder / "tower.jpg")
    (folder / "broken.jpg").write_bytes(b"no picture")
    assert main(["predict", str(folder), "--model", str(run), "--csv", "-", "--explain", "odd.png"]) == 1
    answer = capsys.readouterr()
    assert len(list(csv.reader(io.StringIO(answer.out)))) == 7  # and no sentence between the rows
    assert "styles of 6 of 6 pictures: odd.png" in answer.err
    with Image.open("odd.png") as picture:
        assert picture.width == 1080
    known = load_network(run / "model.safetensors")
    files = [source, folder / "a\nb\x1b[31m.jpg", next(folder.glob("<b>*"))]
    titles = [axes.get_title("left") for axes in sheet(known, files, [None] * 3, bf16=False).axes[::3]]
    assert titles == [source.name, r"a\nb\x1b[31m.jpg", "<b>long-long-lo…g-long-end.jpg"]


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("nowhere/sheet.png", "there is no folder nowhere"),
        ("sheet.xyz", "name a file that ends in .png"),
        ("sheet", "name a file that ends in .png"),
    ],
)
def test_a_target_that_cannot_be_is_refused_before_any_work(target, sentence, run, paintings, tmp_path, capsys):
    before = sorted(tmp_path.iterdir())
    assert main(["predict", str(paintings / "test"), "--model", str(run), "--explain", target]) == 2
    answer = capsys.readouterr()
    assert answer.out == ""
    assert f"--explain {target}" in answer.err
    assert sentence in answer.err
    assert sorted(tmp_path.iterdir()) == before


def test_a_target_that_cannot_be_written_is_a_sentence(run, paintings, tmp_path, capsys):
    (tmp_path / "taken.png").mkdir()
    picture = next((paintings / "test" / "Cubism").iterdir())
    assert main(["predict", str(picture), "--model", str(run), "--explain", "taken.png"]) == 2
    assert "taken.png cannot be written" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("ending", ["jpg", "svg", "PDF"])
def test_the_ending_chooses_the_format(ending, run, paintings):
    picture = next((paintings / "test" / "Cubism").iterdir())
    assert main(["predict", str(picture), "--model", str(run), "--explain", f"sheet.{ending}"]) == 0
    start = Path(f"sheet.{ending}").read_bytes()[:5]
    assert start.startswith({"jpg": b"\xff\xd8", "svg": b"<?xml", "PDF": b"%PDF-"}[ending])
