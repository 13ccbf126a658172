"""Every part trains on a collection as it is passed around: one folder, and CSV files with splits and labels."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wikiart_autoencode.cli import main as autoencode
from wikiart_classify.cli import main as classify
from wikiart_lora.cli import main as lora
from wikiart_stylegen.cli import main as stylegen

COMMANDS = {
    "classify": (classify, "--model tiny --size 32 --epochs 1 --batch-size 4"),
    "autoencode": (autoencode, "--size 32 --width 0.25 --blocks 1 --epochs 1 --batch-size 4"),
    "stylegen": (stylegen, "--size 32 --width 0.25 --blocks 1 --epochs 2 --warmup-epochs 1 --batch-size 4"),
    "lora": (lora, "--steps 1 --batch-size 4 --score 0 --sample-every 0"),
}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pictures/<Style>/*.jpg` without split folders; `labels.csv` beside it names split, style and artist."""
    root = tmp_path_factory.mktemp("collection")
    random = np.random.default_rng(0)
    lines = ["file,style,artist,subset"]
    for number in range(20):
        style, artist = ("Baroque", "Cubism")[number % 2], ("Ann Ek", "Bo Dahl")[number // 2 % 2]
        file = root / "pictures" / style / f"{number:02}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(file)
        subset = ("train", "train", "train", "valid", "test")[number // 4]
        lines.append(f"{style}/{number:02}.jpg,{style},{artist},{subset}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.usefixtures("no_figures", "narrow_auxiliary_networks")
@pytest.mark.parametrize("part", COMMANDS)
def test_labels_and_splits_of_a_csv_file(part: str, collection: Path, tmp_path: Path):
    main, options = COMMANDS[part]
    data = ["--data", str(collection / "pictures"), "--labels", str(collection / "labels.csv")]
    folders = ["--runs", str(tmp_path), "--name", "first", "--cache-dir", str(tmp_path / "cache"), "--device", "cpu"]
    assert main([*options.split(), *data, "--label-column", "artist", *folders]) == 0
    record = json.loads((tmp_path / part / "first" / "run.json").read_text())
    assert record["styles"] == ["Ann Ek", "Bo Dahl"]
    assert [record["data"][split] for split in ("train", "valid", "test")] == [12, 4, 4]
    assert record["config"]["label_column"] == "artist"
    assert record["config"]["labels"] == str(collection / "labels.csv")
    assert any("labels.csv" in note for note in record["data"]["notes"])
    assert (tmp_path / part / "first" / "result.json").exists()
