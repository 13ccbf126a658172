"""`Classifier`, and the commands `evaluate` and `predict` around it."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import wikiart_classify
from wikiart_classify.classifier import Classifier, Predictions, predict_split
from wikiart_classify.cli import main
from wikiart_classify.command_options import EvaluateOptions, PredictOptions
from wikiart_classify.config import TrainConfig
from wikiart_classify.evaluate import evaluate
from wikiart_classify.predict import predict
from wikiart_data import pack, scan
from wikiart_data.errors import InputError
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.load import load_images

STYLES = ("Baroque", "Cubism", "Minimalism", "Ukiyo_e")


@pytest.fixture(scope="module")
def classifier(trained) -> Classifier:
    return wikiart_classify.load(trained, "cpu")


@pytest.fixture
def files(paintings) -> list[Path]:
    return sorted((paintings / "test").rglob("*.jpg"))[::5]


# -- in Python --------------------------------------------------------------------------------------------------------


def test_a_run_folder_and_its_file_load_the_same_network(trained, classifier):
    from_file = Classifier.load(str(trained / "model.safetensors"), torch.device("cpu"))
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(from_file(images), classifier(images))
    assert from_file.styles == STYLES
    assert (classifier.config.model, classifier.config.size) == ("tiny", 32)
    assert "\n" not in repr(classifier)


def test_without_a_name_the_newest_run_is_loaded(trained):
    assert Classifier.load(device="cpu", runs=trained.parent.parent).path == trained / "model.safetensors"


def test_logits_features_and_probabilities_agree(classifier):
    images = torch.rand(3, 3, 50, 40)
    features, flipped = classifier.features(images), classifier.features(images.flip(3))
    assert features.shape == (3, 64)
    torch.testing.assert_close(classifier.network.head(features), classifier(images))
    mean = (classifier(images).softmax(dim=1) + classifier.network.head(flipped).softmax(dim=1)) / 2
    torch.testing.assert_close(classifier.predict_proba(images), mean)


def test_a_network_of_ones_own_is_scored_with_the_same_metrics(paintings, tmp_path):
    class Greyness(nn.Module):
        def forward(self, images):
            return images.mean(dim=(1, 2, 3))[:, None] * torch.arange(4.0)

    config = TrainConfig(data=str(paintings), size=16, cache_dir=tmp_path)
    own = Classifier(Greyness(), scan(paintings).styles, config)
    assert "Greyness" in repr(own)
    scores = own.evaluate(split="valid")
    assert scores.n == sum(1 for _ in (paintings / "valid").rglob("*.jpg"))
    assert scores.balanced == pytest.approx(0.25)  # it always predicts the last of four styles
    assert own.predict([Image.new("RGB", (20, 20), "white")]).labels == [3]


def test_predictions_of_files(classifier, files):
    predictions = classifier.predict(files)
    assert predictions.probabilities.shape == (len(files), 4)
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert predictions.files == tuple(map(str, files))
    assert predictions.styles == STYLES
    correct = [STYLES[label] == file.parent.name for label, file in zip(predictions.labels, files, strict=True)]
    assert np.mean(correct) > 0.8
    for ranked, row in zip(predictions.top(2), predictions.probabilities, strict=True):
        assert [probability for _, probability in ranked] == sorted(row.tolist(), reverse=True)[:2]
        assert ranked[0][0] == STYLES[row.argmax()]
    assert "\n" not in repr(predictions)
    assert len(predictions.top(99)[0]) == 4


def test_files_pil_images_and_tensors_give_the_same_predictions(classifier, files):
    expected = classifier.predict(files).probabilities
    opened = [Image.open(file) for file in files]
    np.testing.assert_allclose(classifier.predict(opened).probabilities, expected, atol=1e-6)
    tensor = load_images(files, 32, packed_size=classifier.config.packed_size)
    np.testing.assert_allclose(classifier.predict(tensor).probabilities, expected, atol=1e-6)
    one = classifier.predict(str(files[0]))
    assert (len(one), one.files) == (1, (str(files[0]),))
    np.testing.assert_allclose(one.probabilities, expected[:1], atol=1e-6)


def test_images_may_come_from_an_iterator_and_as_bytes(classifier, files):
    expected = classifier.predict(files)
    assert classifier.predict(file for file in files).files == expected.files
    images = torch.randint(0, 256, (2, 3, 40, 50), dtype=torch.uint8)
    for function in (classifier, classifier.features, classifier.predict_proba):
        torch.testing.assert_close(function(images), function(images / 255))


def test_one_tensor_or_array_is_one_image(classifier):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    one = classifier.predict(tensor)
    assert (len(one), one.files) == (1, ("image 1",))
    np.testing.assert_array_equal(one.probabilities, classifier.predict(tensor[None]).probabilities)
    of_array, of_image = classifier.predict(pixels), classifier.predict(Image.fromarray(pixels))
    np.testing.assert_array_equal(of_array.probabilities, of_image.probabilities)


@pytest.mark.parametrize("k", [0, -1])
def test_less_than_one_style_per_image_is_refused(classifier, files, k):
    with pytest.raises(ValueError, match="at least one"):
        classifier.predict(files[0]).top(k)


@pytest.mark.parametrize("split", [{"split": "fold"}, {"split": "artist"}, {"artist_half": "first"}])
def test_another_folder_is_split_as_it_is_given(classifier, paintings, tmp_path, split):
    config = replace(classifier.config, **split)
    own = Classifier(classifier.network, classifier.styles, config, "cpu")
    other = tmp_path / "other"
    for number, file in enumerate(sorted(paintings.glob("*/*/*-[0-3].jpg"))):  # named without an artist
        target = other / file.relative_to(paintings).with_name(f"{number:03d}.jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    catalog = own.load_packed(other).catalog
    assert catalog.splits.tolist() == scan(other).splits.tolist()
    of_training = own.load_packed(paintings).catalog
    assert of_training.splits.tolist() != scan(paintings).splits.tolist()
    link = tmp_path / "link"
    link.symlink_to(paintings)
    assert own.load_packed(link).catalog.splits.tolist() == of_training.splits.tolist()


def test_a_copy_of_the_training_folder_is_split_as_for_training(trained, paintings, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    shutil.copytree(paintings, tmp_path / "copy")
    moved = Classifier.load(run, "cpu")
    moved.config = replace(moved.config, split="fold")
    assert moved.load_packed(tmp_path / "copy").catalog.splits.tolist() != scan(paintings).splits.tolist()


def test_nothing_to_predict_is_an_empty_result(classifier):
    predictions = classifier.predict([])
    assert (len(predictions), predictions.top(3)) == (0, [])
    assert isinstance(predictions, Predictions)
    assert repr(predictions)


def test_unreadable_files_are_refused_or_skipped(classifier, files, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not an image")
    with pytest.raises(InputError) as error:
        classifier.predict([files[0], broken])
    assert error.value.field == str(broken)
    predictions = classifier.predict([broken, files[0]], skip_unreadable=True)
    assert predictions.files == (str(files[0]),)
    assert str(broken) in predictions.unreadable[0]
    assert len(classifier.predict([broken], skip_unreadable=True)) == 0


def test_evaluate_equals_the_result_of_the_run(classifier, trained):
    scores = classifier.evaluate(split="valid")
    assert scores.top1 == json.loads((trained / "result.json").read_text())["valid"]["top1"]
    assert scores.n == 42


def test_predictions_that_are_not_finite_are_refused(trained):
    broken = Classifier.load(trained, "cpu")
    images = DeviceImages(broken.load_packed())
    with torch.no_grad():
        broken.network.head.bias.fill_(torch.inf)
    with pytest.raises(InputError) as error:
        predict_split(broken.network, images, "valid", 32, bf16=False)
    assert error.value.field == "--lr"


def test_styles_that_differ_are_refused(classifier, paintings, tmp_path):
    for split in ("train", "valid", "test"):
        shutil.copytree(paintings / split, tmp_path / "other" / split)
        (tmp_path / "other" / split / "Cubism").rename(tmp_path / "other" / split / "Fauvism")
    with pytest.raises(InputError) as error:
        classifier.evaluate(tmp_path / "other")
    assert error.value.field == "--data"
    with pytest.raises(InputError) as error:
        classifier.evaluate(pack(scan(tmp_path / "other"), 32))
    assert error.value.field == "--data"


def test_a_split_that_does_not_exist_is_refused(classifier):
    with pytest.raises(InputError) as error:
        classifier.evaluate(split="val")
    assert error.value.field == "split"


@pytest.mark.parametrize("keep", [0, 7, 1000, -1])
def test_a_truncated_model_is_refused(trained, tmp_path, keep):
    path = tmp_path / "cut.safetensors"
    path.write_bytes((trained / "model.safetensors").read_bytes()[:keep])
    assert field_of_error(path) == str(path)


def test_a_flipped_bit_in_the_weights_is_detected(trained, tmp_path):
    content = bytearray((trained / "model.safetensors").read_bytes())
    content[len(content) // 2] ^= 16
    path = tmp_path / "flipped.safetensors"
    path.write_bytes(content)
    assert field_of_error(path) == str(path)


def test_a_missing_model_is_named(tmp_path):
    assert field_of_error(tmp_path / "nowhere") == str(tmp_path / "nowhere")
    assert field_of_error(tmp_path) == str(tmp_path / "model.safetensors")
    assert field_of_error(None) == "--runs"


def field_of_error(path: Path | None) -> str | None:
    with pytest.raises(InputError) as error:
        Classifier.load(path, "cpu")
    return error.value.field


# -- the commands -----------------------------------------------------------------------------------------------------


def test_evaluate_prints_the_metrics_as_json(trained, capsys):
    assert main(["evaluate", str(trained), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    saved = json.loads((trained / "result.json").read_text())["test"]
    assert {key: printed[key] for key in saved} == saved


def test_evaluate_prints_tables_and_returns_the_scores(trained, capsys):
    scores = evaluate(EvaluateOptions(trained, split="valid"))
    assert scores.n == 42
    output = capsys.readouterr().out
    assert "42 images" in output
    assert "balanced accuracy (4 styles)" in output
    assert max(map(len, output.splitlines())) <= 120


def test_predict_writes_csv_rows(trained, paintings, capsys):
    images = sorted((paintings / "test" / "Cubism").iterdir())[:2]
    assert main(["predict", *map(str, images), "--model", str(trained), "--csv", "-", "--top", "2"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["file"] for row in rows] == [str(image) for image in images]
    assert {row["style1"] for row in rows} == {"Cubism"}
    assert all(float(row["probability1"]) > float(row["probability2"]) for row in rows)


def test_predict_searches_folders_and_names_unreadable_files(trained, paintings, tmp_path, capsys):
    folder = tmp_path / "mixed"
    shutil.copytree(paintings / "test" / "Baroque", folder / "deep")
    Image.new("L", (300, 9), 90).save(folder / "strip.png")
    (folder / "broken.jpg").write_bytes(b"not an image")
    assert main(["predict", str(folder), "--model", str(trained), "--csv", str(tmp_path / "out.csv")]) == 1
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert len(rows) == len(list((folder / "deep").iterdir())) + 1
    assert "broken.jpg" in capsys.readouterr().err


def test_predict_prints_a_table(trained, paintings, capsys):
    image = next((paintings / "test" / "Cubism").iterdir())
    assert predict(PredictOptions((image,), model=trained, top=3)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert str(image) in lines
    assert sum(" %" in line for line in lines) == 3


@pytest.mark.parametrize("images", ["nowhere.jpg", "."])
def test_images_that_cannot_be_found_are_refused(trained, images, capsys):
    assert main(["predict", images, "--model", str(trained)]) == 2
    assert images in capsys.readouterr().err


def test_no_readable_image_at_all_is_an_error(trained, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"not an image")
    with pytest.raises(InputError) as error:
        predict(PredictOptions((tmp_path / "broken.jpg",), model=trained))
    assert error.value.field == str(tmp_path / "broken.jpg")


def test_top_below_1_is_refused():
    with pytest.raises(InputError) as error:
        PredictOptions((Path("photo.jpg"),), top=0)
    assert error.value.field == "--top"
