"""`audit`: out-of-fold predictions find labels that were changed on purpose."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from wikiart_classify.audit import audit, likely_mislabelled
from wikiart_classify.cli import main
from wikiart_classify.command_options import AuditOptions
from wikiart_data.errors import InputError


def test_changed_labels_are_found_and_shown(paintings, tmp_path, figures):
    data = tmp_path / "changed"
    shutil.copytree(paintings, data)
    next((data / "test/Ukiyo_e").iterdir()).rename(data / "test/Ukiyo_e" / os.fsdecode(b"caf\xe9.jpg"))
    changed = {f"train/Cubism/painter-{number}_changed-{number}.jpg" for number in range(3)}
    for number in range(3):
        file = data / f"train/Baroque/painter-{number}_train-{number}.jpg"
        shutil.move(file, data / f"train/Cubism/painter-{number}_changed-{number}.jpg")
    options = ["--data", str(data), "--folds", "2", "--model", "tiny", "--size", "32", "--epochs", "8"]
    assert main(["audit", *options, "--device", "cpu"]) == 0
    folder = Path("runs/audit")
    with (folder / "audit.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 84 + 42 + 42
    assert "test/Ukiyo_e/caf\ufffd.jpg" in {row["file"] for row in rows}
    assert {row["file"] for row in rows[:3]} == changed
    assert {(row["label"], row["predicted"]) for row in rows[:3]} == {("Cubism", "Baroque")}
    assert rows[0]["likely_mislabelled"] == "1"
    assert {row["likely_mislabelled"] for row in rows[3:]} == {"0"}
    result = json.loads((folder / "result.json").read_text())
    assert {suspect["file"] for suspect in result["confident_mistakes"]} == changed
    assert {suspect["file"] for suspect in result["likely_mislabels"]} <= changed
    assert result["n"] == 168
    page = (folder / "index.html").read_text()
    assert "changed-0" in page
    assert page.count("data:image/png") >= 2
    assert main(["audit", *options, "--device", "cpu"]) == 0  # finished folds are not repeated
    shutil.copy(folder / "classify/fold-0/predictions.npz", folder / "classify/fold-1")
    assert main(["audit", *options, "--device", "cpu"]) == 2  # an image in two folds
    with pytest.raises(InputError) as error:
        audit(AuditOptions(data=str(data), folds=2, model="tiny", size=32, epochs=2, device="cpu"))
    assert error.value.field == str(folder / "classify/fold-0")


def test_likely_mislabels_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.45, 0.55], [0.3, 0.7]])
    labels = np.array([0, 0, 1, 1, 0])
    # Means: style 0 (0.9 + 0.7 + 0.3) / 3 = 0.63, style 1 (0.8 + 0.55) / 2 = 0.675. Only the last label is doubted.
    assert likely_mislabelled(probabilities, labels).tolist() == [False, False, False, False, True]
