"""A judge predicts as the network it was exported from, in a process without this package."""

import json
import zlib
from pathlib import Path

import pytest
import torch

from wikiart_classify.classifier import Classifier
from wikiart_classify.cli import main
from wikiart_classify.command_options import ExportOptions
from wikiart_classify.export import export
from wikiart_data.errors import InputError
from wikiart_data.judge import Judge


@pytest.fixture(scope="module")
def judge_folder(trained) -> Path:
    assert main(["export", str(trained), "--to", str(trained.parent / "judge")]) == 0
    return trained.parent / "judge"


@pytest.mark.parametrize("number", [1, 2, 7])
def test_probabilities_equal_those_of_the_network(trained, judge_folder, number):
    images = torch.rand(number, 3, 32, 32, generator=torch.Generator().manual_seed(number))
    probabilities = Judge.load(judge_folder)(images)
    assert torch.allclose(probabilities, Classifier.load(trained, "cpu").predict_proba(images), atol=1e-4)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(number), atol=1e-5)


def test_features_are_the_input_of_the_last_layer(trained, judge_folder):
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    _, features = Judge.load(judge_folder).predict(images)
    classifier = Classifier.load(trained, "cpu")
    expected = (classifier.features(images) + classifier.features(images.flip(3))) / 2
    assert torch.allclose(features, expected, atol=1e-4)


def test_training_and_export_in_one_command(paintings, capsys):
    quick = ["--model", "tiny", "--width", "0.5", "--size", "32", "--epochs", "1", "--device", "cpu"]
    assert main([*quick, "--data", str(paintings), "--seed", "7", "--export", "judge"]) == 0
    about = json.loads(Path("judge/judge.json").read_text())
    assert (about["seed"], about["width"], about["network"]) == (7, 0.5, "tiny")
    assert main([*quick, "--data", str(paintings), "--export", "judge"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert len(list(Path("runs/classify").iterdir())) == 1  # refused before anything was trained


def test_images_of_any_size_are_accepted(judge_folder):
    judge = Judge.load(judge_folder)
    small = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    large = small.repeat_interleave(3, dim=2).repeat_interleave(3, dim=3)
    assert (judge(large) - judge(small)).abs().max() < 0.1
    assert judge(torch.rand(2, 3, 50, 20)).shape == (2, 4)


def test_judge_json_holds_the_metrics(trained, judge_folder):
    judge = Judge.load(judge_folder)
    saved = json.loads((trained / "result.json").read_text())["test"]
    assert judge.info.top1 == saved["top1"]
    assert [row.recall for row in judge.info.per_style] == [row["recall"] for row in saved["per_style"]]
    assert judge.styles == ("Baroque", "Cubism", "Minimalism", "Ukiyo_e")


def test_a_judge_is_loaded_without_this_package(judge_folder, run_program):
    program = (
        "import sys, torch; from wikiart_data.judge import Judge; "
        "print(tuple(Judge.load(sys.argv[1])(torch.rand(3, 3, 40, 40)).shape), 'wikiart_classify' in sys.modules)"
    )
    assert run_program(program, str(judge_folder)).split("\n")[-2] == "(3, 4) False"


def test_a_flipped_bit_is_detected(judge_folder, tmp_path):
    content = bytearray((judge_folder / "model.pt2").read_bytes())
    content[len(content) // 3] ^= 1
    (tmp_path / "model.pt2").write_bytes(content)
    (tmp_path / "judge.json").write_bytes((judge_folder / "judge.json").read_bytes())
    assert field_of_error(tmp_path) == str(tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [('"Cubism"', '"Cubisl"'), ('"size": 32', '"size": 36'), ('"seed": 0', '"seed": 4'), ('"crc32', '"crc33')],
)
def test_a_change_in_judge_json_is_detected(judge_folder, tmp_path, before, after):
    (tmp_path / "model.pt2").write_bytes((judge_folder / "model.pt2").read_bytes())
    about = (judge_folder / "judge.json").read_text()
    assert before in about
    (tmp_path / "judge.json").write_text(about.replace(before, after, 1))
    assert field_of_error(tmp_path) in (str(tmp_path), str(tmp_path / "judge.json"))


def test_a_judge_of_an_earlier_version_is_accepted(judge_folder, tmp_path):
    content = (judge_folder / "model.pt2").read_bytes()
    (tmp_path / "model.pt2").write_bytes(content)
    about = json.loads((judge_folder / "judge.json").read_text())
    (tmp_path / "judge.json").write_text(json.dumps({**about, "crc32": zlib.crc32(content)}))
    assert Judge.load(tmp_path).styles == tuple(about["styles"])


def test_wrong_folders_are_refused(trained, judge_folder, tmp_path):
    assert field_of_error(tmp_path) == str(tmp_path)
    (tmp_path / "paintings").mkdir()
    (tmp_path / "paintings" / "mine.jpg").write_bytes(b"precious")
    for target, overwrite in ((judge_folder, False), (tmp_path / "paintings", True)):
        with pytest.raises(InputError) as error:
            export(ExportOptions(trained, to=target, overwrite=overwrite))
        assert error.value.field == str(target)
    assert (tmp_path / "paintings" / "mine.jpg").read_bytes() == b"precious"
    assert export(ExportOptions(trained, to=judge_folder, overwrite=True)) == judge_folder


def test_an_unfinished_run_is_not_exported(trained, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((trained / "model.safetensors").read_bytes())
    with pytest.raises(InputError) as error:
        export(ExportOptions(tmp_path, to=tmp_path / "judge"))
    assert error.value.field == str(tmp_path)
    assert not (tmp_path / "judge").exists()


def field_of_error(folder: Path) -> str | None:
    with pytest.raises(InputError) as error:
        Judge.load(folder)
    return error.value.field
