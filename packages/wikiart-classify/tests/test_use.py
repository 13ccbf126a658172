"""`test` and `predict` on a trained run."""

import csv
import io
import json
import shutil

import pytest
from PIL import Image

from wikiart_classify.cli import main


def test_test_repeats_the_runs_own_figures(trained, capsys):
    assert main(["test", str(trained), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    kept = json.loads((trained / "result.json").read_text())["test"]
    assert result["top1"] == kept["top1"]
    assert result["confusion"] == kept["confusion"]


def test_test_prints_a_table(trained, capsys):
    assert main(["test", str(trained), "--split", "valid"]) == 0
    said = capsys.readouterr().out
    assert "valid pictures" in said
    assert "balanced accuracy (4 styles)" in said


def test_predict_names_styles(trained, paintings, capsys):
    pictures = sorted((paintings / "test" / "Cubism").iterdir())[:2]
    assert main(["predict", *map(str, pictures), "--model", str(trained), "--csv", "-", "--top", "2"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["file"] for row in rows] == [str(picture) for picture in pictures]
    assert {row["style1"] for row in rows} == {"Cubism"}
    assert all(float(row["share1"]) > float(row["share2"]) for row in rows)


def test_predict_looks_through_a_folder_and_names_what_it_cannot_read(trained, paintings, tmp_path, capsys):
    folder = tmp_path / "mixed"
    shutil.copytree(paintings / "test" / "Baroque", folder / "deep")
    Image.new("L", (300, 9), 90).save(folder / "strip.png")
    (folder / "broken.jpg").write_bytes(b"not a picture")
    assert main(["predict", str(folder), "--model", str(trained), "--csv", str(tmp_path / "out.csv")]) == 1
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert len(rows) == len(list((folder / "deep").iterdir())) + 1
    assert "broken.jpg: not a picture" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["predict", "nowhere.jpg"], "There is no file or folder nowhere.jpg"),
        (["predict", "."], "no pictures to look at"),
        (["test", "nowhere"], "does not exist"),
        (["test"], "no trained network yet"),
    ],
)
def test_mistakes_are_sentences(trained, arguments, sentence, capsys):
    more = ["--model", str(trained)] if arguments[0] == "predict" else []
    assert main([*arguments, *more]) == 2
    assert sentence in capsys.readouterr().err


def test_a_network_of_other_styles_is_refused(trained, paintings, tmp_path, capsys):
    copy = tmp_path / "other"
    shutil.copytree(paintings, copy)
    for split in ("train", "valid", "test"):
        (copy / split / "Cubism").rename(copy / split / "Fauvism")
    assert main(["test", str(trained), "--data", str(copy)]) == 2
    assert "Cubism, Fauvism differ" in capsys.readouterr().err


@pytest.mark.parametrize("keep", [0, 7, 1000, -1])
def test_a_truncated_model_is_refused(trained, paintings, tmp_path, keep, capsys):
    content = (trained / "model.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[:keep])
    picture = next((paintings / "test" / "Baroque").iterdir())
    assert main(["predict", str(picture), "--model", str(tmp_path / "cut.safetensors")]) == 2
    assert "cut.safetensors cannot be read" in capsys.readouterr().err


def test_a_flipped_bit_in_the_weights_is_noticed(trained, paintings, tmp_path, capsys):
    content = bytearray((trained / "model.safetensors").read_bytes())
    content[len(content) // 2] ^= 16
    (tmp_path / "flipped.safetensors").write_bytes(content)
    picture = next((paintings / "test" / "Baroque").iterdir())
    assert main(["predict", str(picture), "--model", str(tmp_path / "flipped.safetensors")]) == 2
    assert "is damaged" in capsys.readouterr().err
