"""`StyleTransfer` and the commands around it: images of any size and kind, grids, walks, embeddings."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import wikiart_stylegen
from wikiart_data.errors import InputError
from wikiart_stylegen import StyleTransfer
from wikiart_stylegen.cli import main
from wikiart_stylegen.full_size import SHIFTS, average_over_shifts

from .conftest import STYLES


@pytest.fixture(scope="module")
def transfer(trained) -> StyleTransfer:
    return wikiart_stylegen.load(trained, device="cpu")


def make_image(width: int, height: int, mode: str = "RGB") -> Image.Image:
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 255, (8, 8, 3), dtype=np.uint8))
    image = small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    if mode == "RGBA":
        image.putalpha(128)
    return image


def save_image(name: str, width: int, height: int, mode: str = "RGB") -> str:
    make_image(width, height, mode).save(name)
    return name


def read_pixels(name: str) -> np.ndarray:
    with Image.open(name) as image:
        return np.asarray(image.convert("RGB"))


def run_repaint(trained: Path, picture: str, *arguments: str) -> int:
    return main(["repaint", picture, "--model", str(trained), "--device", "cpu", *arguments])


@pytest.mark.parametrize(
    ("width", "height", "mode"), [(33, 300, "RGB"), (400, 300, "RGB"), (64, 64, "L"), (50, 40, "RGBA"), (1, 1, "RGB")]
)
def test_images_of_any_size_and_mode_keep_their_size(transfer, width, height, mode):
    repaint = transfer.repaint(make_image(width, height, mode), "Ukiyo_e")
    assert repaint.size == (width, height)
    assert repaint.mode == "RGB"


def test_the_command_writes_what_the_object_returns(trained, transfer):
    picture = save_image("in.png", 80, 60)
    assert run_repaint(trained, picture, "--style", "ukiyo-e", "--blend", "Baroque", "--to", "out.png") == 0
    expected = transfer.repaint(picture, "Ukiyo_e", blend="Baroque")
    assert np.array_equal(read_pixels("out.png"), np.asarray(expected))
    assert np.array_equal(np.asarray(transfer.repaint(make_image(80, 60), "Ukiyo_e", blend="Baroque")), expected)


def test_the_longer_side_can_be_chosen(trained, transfer):
    assert transfer.repaint(make_image(400, 200), "Cubism", side=100).size == (100, 50)
    assert run_repaint(trained, save_image("in.png", 400, 200), "--style", "Cubism", "--side", "100") == 0
    assert read_pixels("repainted.png").shape == (50, 100, 3)


def test_repaints_differ_between_styles_and_not_between_calls(transfer):
    image = make_image(64, 64)
    first, again, other = (np.asarray(transfer.repaint(image, style)) for style in ("Ukiyo_e", "Ukiyo_e", "Baroque"))
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 1


def test_strength_0_is_the_null_style_whatever_the_style(transfer):
    image = make_image(64, 64)
    assert transfer.repaint(image, "Ukiyo_e", strength=0) == transfer.repaint(image, "Baroque", strength=0)


def test_a_blend_is_symmetric(transfer):
    image = make_image(64, 64)
    one_way = np.asarray(transfer.repaint(image, "Ukiyo_e", blend="Baroque")).astype(int)
    other_way = np.asarray(transfer.repaint(image, "Baroque", blend="Ukiyo_e"))
    assert np.abs(one_way - other_way).max() <= 1
    assert not np.array_equal(one_way, transfer.repaint(image, "Ukiyo_e"))


def test_a_repaint_is_the_mean_of_shifted_batches(transfer):
    size = transfer.config.size
    image = make_image(size, size)
    tensor = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255
    for label in (1, 3):
        labels = torch.full((len(SHIFTS),), label)
        expected = average_over_shifts(lambda batch, labels=labels: transfer.repaint_batch(batch, labels), tensor)
        repaint = torch.from_numpy(np.asarray(transfer.repaint(image, STYLES[label])).copy()).permute(2, 0, 1) / 255
        assert (repaint - expected).abs().max() < 0.01


def test_public_properties(transfer):
    assert transfer.styles == STYLES
    assert transfer.embeddings.shape == (4, 8)
    assert "\n" not in repr(transfer)
    assert "4 styles" in repr(transfer)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({"style": "Cubizm"}, "style"), ({"style": "Cubism", "strength": 2.0}, "--strength"),
     ({"style": "Cubism", "side": 3}, "--side"), ({"style": "Cubism", "blend": "Cubizm"}, "style")],
)  # fmt: skip
def test_input_errors_name_the_argument(transfer, arguments, field):
    with pytest.raises(InputError) as error:
        transfer.repaint(make_image(32, 32), **arguments)
    assert error.value.field == field


@pytest.mark.parametrize("picture", [np.zeros((8, 8, 3), np.uint8), torch.zeros(3, 8, 8), [make_image(8, 8)], None])
def test_what_is_no_picture_is_refused_by_its_type(transfer, picture):
    with pytest.raises(TypeError, match="PIL"):
        transfer.repaint(picture, "Cubism")


@pytest.mark.parametrize(
    ("images", "labels"),
    [(torch.zeros(2, 3, 32, 33), [0, 1]), (torch.zeros(3, 32, 32), [0]), (torch.zeros(2, 3, 32, 32), [0]),
     (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), [0]), (torch.full((1, 3, 32, 32), 255.0), [0]),
     *((torch.zeros(2, 3, 32, 32), labels) for labels in ([0, 4], [0, 7], [-1, 0], [0.0, 1.0], [True, False]))],
)  # fmt: skip
def test_a_batch_of_another_shape_type_or_range_is_refused(transfer, images, labels):
    with pytest.raises(ValueError, match="expected"):
        transfer.repaint_batch(images, labels)


@pytest.mark.parametrize("strength", [-0.5, 9.0, float("nan")])
def test_the_strength_of_a_batch_is_checked(transfer, strength):
    with pytest.raises(InputError) as error:
        transfer.repaint_batch(torch.zeros(1, 3, 32, 32), [0], strength)
    assert error.value.field == "--strength"


def test_styles_that_wikiart_lacks_have_any_spelling_too(transfer):
    transfer = StyleTransfer(transfer.network, ("Art_Brut", *STYLES[1:]), transfer.config)
    assert transfer.repaint(make_image(32, 32), "art-brut") == transfer.repaint(make_image(32, 32), "Art_Brut")
    for folder in ("Art_Brut", "art brut", "elsewhere"):
        Path(folder).mkdir()
        make_image(32, 32).save(f"{folder}/in.png")
    framed, other_spelling, unframed = (
        transfer.grid(f"{folder}/in.png", ["Art Brut"]) for folder in ("Art_Brut", "art brut", "elsewhere")
    )
    assert framed == other_spelling
    assert framed != unframed


def test_labels_of_a_batch_may_be_a_list(transfer):
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(transfer.repaint_batch(images, [2, 0]), transfer.repaint_batch(images, torch.tensor([2, 0])))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({"pictures": []}, "pictures"), ({"styles": []}, "styles"), ({"captions": ["one", "two"]}, "captions"),
     ({"styles": ["Cubizm"]}, "styles")],
)  # fmt: skip
def test_input_errors_of_a_grid_name_the_argument(transfer, arguments, field):
    with pytest.raises(InputError) as error:
        transfer.grid(**{"pictures": [make_image(32, 32)], **arguments})
    assert error.value.field == field


def test_mistakes_on_the_command_line_end_with_status_2(trained, capsys):
    picture = save_image("in.png", 32, 32)
    for arguments, mentioned in (
        (["--style", "Cubizm"], "Cubism"),
        (["--style", "Cubism", "--strength", "2"], "--strength"),
        (["--style", "Cubism", "--to", "out.jpg"], "--to"),
    ):
        assert run_repaint(trained, picture, *arguments) == 2
        assert mentioned in capsys.readouterr().err


def test_a_file_that_is_no_image_is_named(trained, transfer, capsys):
    Path("broken.jpg").write_bytes(b"\xff\xd8 not an image")
    with pytest.raises(InputError) as error:
        transfer.repaint("broken.jpg", "Cubism")
    assert error.value.field == "broken.jpg"
    assert run_repaint(trained, "broken.jpg", "--style", "Cubism") == 2
    assert "broken.jpg" in capsys.readouterr().err


def test_a_path_without_a_model_is_named(tmp_path):
    for path in ("nowhere", "nowhere/model.safetensors", tmp_path):
        with pytest.raises(InputError) as error:
            StyleTransfer.load(path)
        assert str(path) in str(error.value.field)


def test_a_model_of_another_command_is_rejected(trained, tmp_path):
    from safetensors.torch import load_file, save_file

    metadata = {"config": '{"size": 32}', "styles": '["a", "b"]'}
    save_file(load_file(trained / "model.safetensors"), tmp_path / "other.safetensors", metadata)
    with pytest.raises(InputError) as error:
        StyleTransfer.load(tmp_path / "other.safetensors")
    assert "other.safetensors" in str(error.value.field)


def test_a_walk_leads_from_the_first_style_to_the_last(transfer):
    image = make_image(60, 40)
    frames = transfer.walk(image, ["Baroque", "Minimalism", "Cubism"], frames=5, side=None)
    assert [frame.size for frame in frames] == [(60, 40)] * 5
    for frame, style in ((frames[0], "Baroque"), (frames[2], "Minimalism"), (frames[4], "Cubism")):
        assert np.abs(np.asarray(frame).astype(int) - np.asarray(transfer.repaint(image, style))).max() <= 1
    with pytest.raises(InputError) as error:
        transfer.walk(image, ["Baroque"])
    assert error.value.field == "styles"


def test_the_walk_command_writes_an_animation_and_a_strip(trained):
    arguments = [
        "walk",
        save_image("in.png", 60, 40),
        "--first",
        "Baroque",
        "--last",
        "Cubism",
        "--via",
        "Ukiyo_e",
        "--frames",
        "5",
    ]
    assert main([*arguments, "--side", "60", "--model", str(trained), "--to", "walk.gif"]) == 0
    with Image.open("walk.gif") as animation:
        assert (animation.n_frames, animation.size) == (8, (60, 40))
    assert Path("walk.png").read_bytes().startswith(b"\x89PNG")
    assert main([*arguments, "--model", str(trained), "--to", "walk.mp4"]) == 2


def test_a_grid_of_given_images(trained, transfer, paintings):
    folder = Path("pictures")
    folder.mkdir()
    for file in sorted((paintings / "test" / "Cubism").iterdir())[:2]:
        shutil.copy(file, folder)
    assert main(["grid", str(folder), "--model", str(trained), "--to", "grid.png"]) == 0
    assert read_pixels("grid.png").shape[1] == 1080
    assert transfer.grid([make_image(40, 40), sorted(folder.iterdir())[0]]).width == 1080
    assert transfer.grid(make_image(40, 40), "cubism") == transfer.grid([make_image(40, 40)], ["Cubism"])


def test_a_grid_of_some_styles_with_captions(trained, paintings, capsys):
    file = sorted((paintings / "test" / "Cubism").iterdir())[0]
    Path("captions.csv").write_text(f"file,artist,title,year\n{file.name},A. Painter,Stripes,1899\n")
    arguments = ["grid", str(file), "--model", str(trained), "--styles", "cubism", "Baroque", "--to", "grid.png"]
    assert main([*arguments, "--captions", "captions.csv"]) == 0
    with_caption = read_pixels("grid.png")
    assert main(arguments) == 0
    assert with_caption.shape[0] > read_pixels("grid.png").shape[0]
    Path("captions.csv").write_text("file,artist,title,year\n")
    assert main([*arguments, "--captions", "captions.csv"]) == 2
    assert file.name in capsys.readouterr().err
    assert main(["grid", str(file), "--model", str(trained), "--styles", "Cubizm"]) == 2


def test_similarities_of_the_learned_styles(trained, capsys):
    assert main(["embeddings", str(trained), "--to", "map.png"]) == 0
    with Path("map.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = np.array([[float(row[style]) for style in STYLES] for row in rows])
    assert [row["style"] for row in rows] == list(STYLES)
    assert np.allclose(table.diagonal(), 1, atol=1e-3)
    assert np.allclose(table, table.T)
    assert "Ukiyo" in capsys.readouterr().out


def test_importing_the_package_loads_no_torch():
    program = "import sys, wikiart_stylegen; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)


def test_train_and_evaluate_stay_functions(run_program):
    run_program(
        "import wikiart_stylegen.training; from wikiart_stylegen import evaluate, train, StyleTransfer, load; "
        "assert callable(train) and callable(evaluate) and load == StyleTransfer.load"
    )
