"""A judge answers as the network it was made of, in a process that knows nothing of this package."""

import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch

from wikiart_classify.answers import probabilities
from wikiart_classify.checkpoint import load_network
from wikiart_classify.cli import main
from wikiart_data.errors import InputError
from wikiart_data.judge import Judge


@pytest.fixture(scope="module")
def judge_folder(trained) -> Path:
    assert main(["export", str(trained), "--to", str(trained.parent / "judge")]) == 0
    return trained.parent / "judge"


@pytest.mark.parametrize("number", [1, 2, 7])
def test_the_same_probabilities(trained, judge_folder, number):
    images = torch.rand(number, 3, 32, 32, generator=torch.Generator().manual_seed(number))
    judge = Judge.load(judge_folder)
    with torch.no_grad():
        expected = probabilities(load_network(trained / "model.safetensors").network, images, bf16=False)
    answer = judge(images)
    assert torch.allclose(answer, expected, atol=1e-4)
    assert torch.allclose(answer.sum(dim=1), torch.ones(number), atol=1e-5)


def test_features_are_what_the_last_layer_sees(trained, judge_folder):
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    _, features = Judge.load(judge_folder).predict(images)
    network = load_network(trained / "model.safetensors").network
    with torch.no_grad():
        expected = (network.features(images) + network.features(images.flip(3))) / 2
    assert torch.allclose(features, expected, atol=1e-4)


def test_trained_and_exported_in_one_line(paintings, capsys):
    quick = ["--model", "tiny", "--width", "0.5", "--size", "32", "--epochs", "1", "--device", "cpu"]
    assert main([*quick, "--data", str(paintings), "--seed", "7", "--export", "judge"]) == 0
    about = json.loads(Path("judge/judge.json").read_text())
    assert (about["seed"], about["width"], about["network"]) == (7, 0.5, "tiny")
    assert main([*quick, "--data", str(paintings), "--export", "judge"]) == 2
    assert "judge exists" in capsys.readouterr().err
    assert len(list(Path("runs/classify").iterdir())) == 1  # refused before anything was trained


def test_pictures_of_any_size_are_looked_at_whole(judge_folder):
    judge = Judge.load(judge_folder)
    small = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    large = small.repeat_interleave(3, dim=2).repeat_interleave(3, dim=3)
    assert (judge(large) - judge(small)).abs().max() < 0.1
    assert judge(torch.rand(2, 3, 50, 20)).shape == (2, 4)


def test_it_says_how_good_it_is(trained, judge_folder):
    judge = Judge.load(judge_folder)
    tested = json.loads((trained / "result.json").read_text())["test"]
    assert judge.info.top1 == tested["top1"]
    assert [row.recall for row in judge.info.per_style] == [row["recall"] for row in tested["per_style"]]
    assert judge.styles == ("Baroque", "Cubism", "Minimalism", "Ukiyo_e")


def test_it_is_loaded_without_this_package(judge_folder):
    program = (
        "import sys, torch; from wikiart_data.judge import Judge; "
        "print(tuple(Judge.load(sys.argv[1])(torch.rand(3, 3, 40, 40)).shape), 'wikiart_classify' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(judge_folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[-2] == "(3, 4) False"


def test_a_flipped_bit_is_noticed(judge_folder, tmp_path):
    content = bytearray((judge_folder / "model.pt2").read_bytes())
    content[len(content) // 3] ^= 1
    (tmp_path / "model.pt2").write_bytes(content)
    (tmp_path / "judge.json").write_bytes((judge_folder / "judge.json").read_bytes())
    with pytest.raises(InputError, match="is damaged"):
        Judge.load(tmp_path)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [('"Cubism"', '"Cubisl"'), ('"size": 32', '"size": 36'), ('"seed": 0', '"seed": 4'), ('"crc32', '"crc33')],
)
def test_a_judge_that_is_called_or_sees_otherwise_is_noticed(judge_folder, tmp_path, was, becomes):
    (tmp_path / "model.pt2").write_bytes((judge_folder / "model.pt2").read_bytes())
    about = (judge_folder / "judge.json").read_text()
    assert was in about
    (tmp_path / "judge.json").write_text(about.replace(was, becomes, 1))
    with pytest.raises(InputError, match="damaged"):
        Judge.load(tmp_path)


def test_a_judge_of_an_earlier_version_is_taken(judge_folder, tmp_path):
    content = (judge_folder / "model.pt2").read_bytes()
    (tmp_path / "model.pt2").write_bytes(content)
    about = json.loads((judge_folder / "judge.json").read_text())
    (tmp_path / "judge.json").write_text(json.dumps({**about, "crc32": zlib.crc32(content)}))
    assert Judge.load(tmp_path).styles == tuple(about["styles"])


def test_mistakes_are_sentences(trained, judge_folder, tmp_path, capsys):
    with pytest.raises(InputError, match="holds no judge"):
        Judge.load(tmp_path)
    assert main(["export", str(trained), "--to", str(judge_folder)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    (tmp_path / "paintings").mkdir()
    (tmp_path / "paintings" / "mine.jpg").write_bytes(b"precious")
    assert main(["export", str(trained), "--to", str(tmp_path / "paintings"), "--overwrite"]) == 2
    assert (tmp_path / "paintings" / "mine.jpg").read_bytes() == b"precious"
    assert main(["export", str(trained), "--to", str(judge_folder), "--overwrite"]) == 0
    (tmp_path / "model.safetensors").write_bytes((trained / "model.safetensors").read_bytes())
    assert main(["export", str(tmp_path), "--to", str(tmp_path / "judge")]) == 2
    assert "no result.json" in capsys.readouterr().err
    assert not (tmp_path / "judge").exists()
