"""A judge scores images of any size, singly and in batches, and says what it is."""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from wikiart_data import InputError, Judge
from wikiart_data.judge import JudgeInfo, StyleRecall, checksum

RECORD = {
    "styles": ["Baroque", "Cubism", "Ukiyo_e"],
    "size": 16,
    "seed": 7,
    "split": "test",
    "n": 5,
    "top1": 0.6,
    "per_style": [
        {"style": "Baroque", "n": 3, "recall": 1.0, "f1": 0.75},
        {"style": "Cubism", "n": 2, "recall": 0.0, "f1": 0.0},
        {"style": "Ukiyo_e", "n": 0, "recall": None, "f1": None},
    ],
}


class ByColour(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        means = images.mean(dim=(2, 3))
        return (20 * means).softmax(dim=1), means


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judge")
    batch = {"images": {0: torch.export.Dim("batch", min=1)}}
    torch.export.save(
        torch.export.export(ByColour(), (torch.rand(2, 3, 16, 16),), dynamic_shapes=batch), folder / "model.pt2"
    )
    crc = checksum((folder / "model.pt2").read_bytes(), RECORD)
    (folder / "judge.json").write_text(json.dumps({**RECORD, "crc32": crc}))
    return folder


@pytest.fixture(scope="module")
def judge(folder: Path) -> Judge:
    return Judge.load(folder)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(7, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_what_a_judge_says_about_itself(judge: Judge):
    assert (judge.styles, judge.size) == (("Baroque", "Cubism", "Ukiyo_e"), 16)
    assert (judge.info.seed, judge.info.split, judge.info.top1, judge.info.network) == (7, "test", 0.6, None)
    assert judge.info.per_style[1:] == (StyleRecall("Cubism", 2, 0.0), StyleRecall("Ukiyo_e", 0, None))
    assert "\n" not in repr(judge)
    assert len(repr(judge)) < 100


def test_prediction_is_probabilities_and_features(judge: Judge, images: Tensor):
    probabilities, features = judge.predict(images)
    assert torch.equal(judge(images), probabilities)
    torch.testing.assert_close(features, images.mean(dim=(2, 3)))
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(7))
    assert not probabilities.requires_grad


def test_images_of_another_size_are_resized(judge: Judge, images: Tensor):
    enlarged = images.repeat_interleave(3, dim=2).repeat_interleave(3, dim=3)
    torch.testing.assert_close(judge.predict(enlarged)[1], judge.predict(images)[1], rtol=0, atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_batches_give_what_the_whole_gives(batch_size: int, judge: Judge, images: Tensor):
    def parts() -> Iterator[Tensor]:
        yield from images.split(batch_size)
        yield images[:0]

    for source in (images, parts()):
        for scored, expected in zip(judge.predict_batches(source, batch_size), judge.predict(images), strict=True):
            torch.testing.assert_close(scored, expected)


def test_no_images_cannot_be_scored(judge: Judge, images: Tensor):
    with pytest.raises(ValueError, match="no images"):
        judge.predict_batches(images[:0])


def test_a_folder_without_a_judge_is_named(tmp_path: Path):
    with pytest.raises(InputError) as error:
        Judge.load(tmp_path)
    assert error.value.field == str(tmp_path)


@pytest.mark.parametrize("change", ["a byte of the model", "a figure", "no JSON", "no styles"])
def test_a_damaged_judge_is_refused(change: str, folder: Path, tmp_path: Path):
    model, record = (folder / "model.pt2").read_bytes(), (folder / "judge.json").read_text()
    if change == "a byte of the model":
        model = model[:100] + bytes([model[100] ^ 1]) + model[101:]
    elif change == "a figure":
        record = record.replace("0.6", "0.9")
    elif change == "no JSON":
        record = record[:-5]
    else:
        record = json.dumps({"crc32": zlib.crc32(model), "size": 16})
    (tmp_path / "model.pt2").write_bytes(model)
    (tmp_path / "judge.json").write_text(record)
    with pytest.raises(InputError) as error:
        Judge.load(tmp_path)
    assert error.value.field is not None
    assert error.value.field.startswith(str(tmp_path))


def test_the_least_that_a_judge_says():
    info = JudgeInfo.from_json({"styles": ["a", "b"], "size": 8.0})
    assert info == JudgeInfo(("a", "b"), 8)
    assert "top-1" not in repr(Judge(info, ByColour()))
