"""`--grad-cam`: heatmaps and their sheets."""

import csv
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

from wikiart_classify.classifier import Classifier
from wikiart_classify.cli import main
from wikiart_classify.command_options import EvaluateOptions, PredictOptions
from wikiart_classify.evaluate import evaluate
from wikiart_classify.grad_cam import choose, grad_cam, grad_cam_sheet, shortened
from wikiart_classify.network import CosineHead, StyleNet
from wikiart_classify.predict import predict
from wikiart_data.errors import InputError
from wikiart_data.styles import display_name

STYLES = ("Baroque", "Cubism", "Minimalism", "Ukiyo_e")


@pytest.fixture
def network() -> StyleNet:
    """Three styles, with statistics of the norm far from their initial values, in training mode."""
    torch.manual_seed(0)
    network = StyleNet(3, "tiny")
    nn.init.normal_(network.norm.running_mean)
    nn.init.uniform_(network.norm.running_var, 0.5, 2.0)
    nn.init.normal_(network.norm.bias)
    nn.init.normal_(network.head.weight, mean=0.5)  # most channels are evidence for a style, some against it
    return network


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy of the trained run, to write into."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def use_one_channel(network: StyleNet, style: int, channel: int, weight: float) -> None:
    with torch.no_grad():
        network.head.weight[style] = 0.0
        network.head.weight[style, channel] = weight


def enlarged(maps: torch.Tensor, side: tuple[int, int]) -> torch.Tensor:
    """(B, h, w) → (B, H, W), relative to each maximum."""
    large = F.interpolate(maps[:, None], size=side, mode="bilinear")[:, 0]
    return large / large.flatten(1).max(dim=1).values[:, None, None]


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("grad_enabled", [True, False])
def test_heatmaps_equal_those_computed_with_hooks(network, cosine, grad_enabled):
    if cosine:  # then the gradient of a logit depends on the image
        network.head = CosineHead(64, 3)
        nn.init.normal_(network.head.weight, mean=0.5)
    images, styles = torch.rand(3, 3, 48, 64), torch.tensor([2, 0, 1])
    with torch.set_grad_enabled(grad_enabled):
        heat = grad_cam(network, images, styles)

    hooked: dict[str, torch.Tensor] = {}
    network.norm.register_forward_hook(lambda _, __, output: hooked.update(maps=output.detach().clamp(min=0)))
    network.head.register_full_backward_hook(lambda _, inward, __: hooked.update(gradient=inward[0]))
    for index in range(3):  # one image at a time, through the whole network
        network.eval()(images[index : index + 1])[0, styles[index]].backward()
        summed = torch.einsum("c,chw->hw", hooked["gradient"][0], hooked["maps"][0]).clamp(min=0)
        assert summed.max() > 0
        expected = enlarged(summed[None], (48, 64))[0]
        assert torch.allclose(heat[index], expected, atol=1e-5)


def test_heatmaps_are_relative_to_the_maximum_of_each_image(network):
    images = torch.rand(4, 3, 40, 52) * torch.tensor([1.0, 0.5, 0.1, 0.01])[:, None, None, None]
    heat = grad_cam(network, images, torch.tensor([0, 1, 2, 0]))
    assert heat.shape == (4, 40, 52)
    assert heat.dtype == torch.float32
    assert heat.amin() >= 0
    assert heat.amax(dim=(1, 2)).tolist() == [1.0] * 4
    assert not heat.requires_grad
    assert all(p.grad is None for p in network.parameters())


def test_a_head_that_uses_one_channel_shows_that_channel(network):
    use_one_channel(network, style=1, channel=7, weight=0.3)
    images = torch.rand(2, 3, 64, 64)
    heat = grad_cam(network, images, torch.tensor([1, 1]))
    with torch.no_grad():
        maps = network.eval().feature_maps(images)
    assert maps.shape == (2, 64, 4, 4)
    assert maps[:, 7].std() > 0
    assert torch.allclose(heat, enlarged(maps[:, 7], (64, 64)), atol=1e-5)
    assert not torch.allclose(heat, enlarged(maps[:, 8], (64, 64)), atol=1e-2)


def test_without_evidence_the_heatmap_is_empty(network):
    use_one_channel(network, style=0, channel=7, weight=-0.3)
    use_one_channel(network, style=1, channel=7, weight=0.3)
    heat = grad_cam(network, torch.rand(1, 3, 32, 32).expand(2, 3, 32, 32), torch.tensor([0, 1]))
    assert (heat[0] == 0).all()
    assert heat[1].max() == 1


def test_other_networks_are_refused():
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(InputError) as error:
        grad_cam(other, torch.rand(1, 3, 16, 16), torch.tensor([0]))
    assert error.value.field == "--grad-cam"


def test_other_networks_are_refused_before_any_work(run, paintings, monkeypatch):
    classifier = Classifier.load(run, "cpu")
    classifier.network = nn.Flatten()
    monkeypatch.setattr(Classifier, "load", lambda *_, **__: classifier)
    image = next((paintings / "test" / "Cubism").iterdir())
    for command, options in (
        (evaluate, EvaluateOptions(run, grad_cam="Cubism")),
        (predict, PredictOptions((image,), model=run, grad_cam=Path("a.png"))),
    ):
        with pytest.raises(InputError) as error:
            command(options)
        assert error.value.field == "--grad-cam"


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [(9, 9, (3, 3)), (9, 1, (5, 1)), (1, 9, (1, 5)), (2, 1, (2, 1)), (0, 9, (0, 6)), (9, 0, (6, 0)), (4, 2, (4, 2))],
)
def test_half_are_correct_if_there_are_enough_of_both(right, wrong, expected):
    correct = np.random.default_rng(0).permutation(np.arange(right + wrong) < right)
    chosen = choose(correct, 6, seed=1)
    assert len(set(chosen.tolist())) == len(chosen)
    assert correct[chosen].tolist() == [True] * expected[0] + [False] * expected[1]
    assert chosen.tolist() == choose(correct, 6, seed=1).tolist()


def test_the_choice_depends_on_the_seed():
    correct = np.arange(40) % 2 == 0
    assert len({tuple(choose(correct, 6, seed=seed).tolist()) for seed in range(5)}) == 5


@pytest.mark.parametrize(("name", "shown"), [("abcdefghi", "abcdefghi"), ("abcdefghijk", "abcde…hijk")])
def test_long_names_lose_their_middle(name, shown):
    assert shortened(name, 10) == shown


def test_evaluate_writes_a_sheet_of_a_style(run, capsys):
    assert main(["evaluate", str(run), "--split", "valid", "--grad-cam", "ukiyo-e"]) == 0
    output = capsys.readouterr().out
    target = run / "figures" / "grad-cam-Ukiyo_e.png"
    assert f"Ukiyo_e in 4 images: {target}" in output
    assert output.index("balanced accuracy") < output.index(str(target))
    with Image.open(target) as picture:
        assert picture.format == "PNG"
        assert picture.width == 1080
        assert np.asarray(picture.convert("RGB")).std() > 10


def test_a_sheet_does_not_change_the_json(run, capsys):
    assert main(["evaluate", str(run), "--json"]) == 0
    plain = capsys.readouterr().out
    assert main(["evaluate", str(run), "--json", "--grad-cam", "Baroque"]) == 0
    with_sheet = capsys.readouterr().out
    assert with_sheet == plain
    assert json.loads(with_sheet)["split"] == "test"
    assert (run / "figures" / "grad-cam-Baroque.png").is_file()


@pytest.mark.parametrize("name", ["Cubsm", "Dada", ""])
def test_an_unknown_style_is_refused(run, name):
    with pytest.raises(InputError) as error:
        evaluate(EvaluateOptions(run, grad_cam=name))
    assert error.value.field == "--grad-cam"
    assert not list(run.glob("figures/grad-cam*"))


def test_a_style_without_images_in_the_split_is_refused(run, paintings, tmp_path):
    shutil.copytree(paintings, tmp_path / "fewer")
    shutil.rmtree(tmp_path / "fewer" / "test" / "Cubism")
    with pytest.raises(InputError) as error:
        evaluate(EvaluateOptions(run, data=str(tmp_path / "fewer"), grad_cam="Cubism"))
    assert error.value.field == "--grad-cam"


def test_a_sheet_shows_the_heatmaps_of_the_styles_above_them(trained, paintings):
    classifier = Classifier.load(trained, "cpu")
    cubism = STYLES.index("Cubism")
    file = next((paintings / "test" / "Cubism").iterdir())
    figure = grad_cam_sheet(classifier, [file] * 3, [cubism, None, 0])
    titles = [axes.get_title("left").split("\n") for axes in figure.axes]
    rows = [titles[start : start + 3] for start in (0, 3, 6)]
    assert [row[0] for row in rows] == [[file.name, "true: Cubism"], [file.name], [file.name, "true: Baroque"]]
    assert all(row[1][0] == "Cubism" and row[1][1].startswith("predicted, ") for row in rows)
    assert [row[2][1].split(",")[0] for row in rows] == ["second", "second", "true"]
    assert rows[0][2] == rows[1][2]
    assert rows[2][2][0] == "Baroque"
    # Each heatmap is that of the style above it. Images of 40 pixels are resized to 37, then to 32 pixels.
    second = STYLES.index(rows[0][2][0].replace(" ", "_"))
    with Image.open(file) as picture:
        small = picture.resize((37, 37), Image.Resampling.BICUBIC).resize((32, 32), Image.Resampling.BILINEAR)
    image = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None] / 255
    for panel, style in ((1, cubism), (2, second), (8, 0)):
        drawn = figure.axes[panel].images[1].get_array()
        expected = grad_cam(classifier.network, image, torch.tensor([style]))[0].numpy()
        assert np.abs(drawn - expected).mean() < 0.03
    # If two of them were alike, the comparison above could not tell them apart.
    assert np.abs(figure.axes[1].images[1].get_array() - figure.axes[2].images[1].get_array()).mean() > 0.1


def test_probabilities_on_a_sheet_equal_those_of_predict(trained, paintings, capsys):
    classifier = Classifier.load(trained, "cpu")
    files = sorted((paintings / "test").rglob("*.jpg"))[::5]
    assert main(["predict", *map(str, files), "--model", str(trained), "--csv", "-", "--device", "cpu"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    figure = grad_cam_sheet(classifier, files)
    for row, panels in zip(rows, np.reshape(figure.axes, (-1, 3)), strict=True):
        for rank in (1, 2):
            style, subtitle = panels[rank].get_title("left").split("\n")
            assert style == display_name(row[f"style{rank}"])
            assert float(subtitle.split()[1]) == pytest.approx(100 * float(row[f"probability{rank}"]), abs=0.06)


def test_predict_writes_a_sheet_of_the_first_images(run, paintings, tmp_path, capsys):
    target = tmp_path / "sheet.png"
    assert main(["predict", str(paintings / "test"), "--model", str(run), "--grad-cam", str(target)]) == 0
    output = capsys.readouterr().out
    number = len(list((paintings / "test").rglob("*.jpg")))
    assert number > 12
    assert f"12 of {number} images: {target}" in output
    with Image.open(target) as picture:
        assert picture.format == "PNG"
        assert picture.width == 1080
        assert picture.height > 12 * 330  # twelve rows of squares


def test_hostile_names_and_extreme_shapes_are_drawn(run, paintings, tmp_path, capsys):
    folder = tmp_path / "odd"
    folder.mkdir()
    source = next((paintings / "test" / "Baroque").iterdir())
    for name in ("$x^{$.jpg", "a\nb\x1b[31m.jpg", "北斎.jpg", "<b>" + "long-" * 40 + "end.jpg"):
        shutil.copy(source, folder / name)
    Image.new("L", (300, 9), 90).save(folder / "strip.png")
    Image.new("CMYK", (9, 300)).save(folder / "tower.jpg")
    (folder / "broken.jpg").write_bytes(b"no picture")
    assert main(["predict", str(folder), "--model", str(run), "--csv", "-", "--grad-cam", "odd.png"]) == 1
    output = capsys.readouterr()
    assert len(list(csv.reader(io.StringIO(output.out)))) == 7  # and nothing else between the rows
    assert "6 of 6 images: odd.png" in output.err
    with Image.open("odd.png") as picture:
        assert picture.width == 1080
    classifier = Classifier.load(run, "cpu")
    files = [source, folder / "a\nb\x1b[31m.jpg", next(folder.glob("<b>*"))]
    titles = [axes.get_title("left") for axes in grad_cam_sheet(classifier, files).axes[::3]]
    assert titles == [source.name, r"a\nb\x1b[31m.jpg", "<b>long-long-lo…g-long-end.jpg"]


@pytest.mark.parametrize("target", ["nowhere/sheet.png", "sheet.xyz", "sheet"])
def test_an_impossible_target_is_refused_before_any_work(target, run, paintings, tmp_path):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError) as error:
        predict(PredictOptions((paintings / "test",), model=run, grad_cam=Path(target)))
    assert error.value.field == "--grad-cam"
    assert sorted(tmp_path.iterdir()) == before


def test_a_target_that_cannot_be_written_is_named(run, paintings, tmp_path, capsys):
    (tmp_path / "taken.png").mkdir()
    image = next((paintings / "test" / "Cubism").iterdir())
    assert main(["predict", str(image), "--model", str(run), "--grad-cam", "taken.png"]) == 2
    assert "taken.png" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("ending", ["jpg", "svg", "PDF"])
def test_the_ending_chooses_the_format(ending, run, paintings):
    picture = next((paintings / "test" / "Cubism").iterdir())
    assert main(["predict", str(picture), "--model", str(run), "--grad-cam", f"sheet.{ending}"]) == 0
    start = Path(f"sheet.{ending}").read_bytes()[:5]
    assert start.startswith({"jpg": b"\xff\xd8", "svg": b"<?xml", "PDF": b"%PDF-"}[ending])
