"""What README.md says about Python is run, and the files that it lists exist."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import wikiart_data
from wikiart_data.judge import checksum

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


class Grey(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        means = images.mean(dim=(2, 3))
        return means.softmax(dim=1), means


def test_the_examples_run(
    folder: Callable[..., Path], paint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    folder(name="paintings")
    paint(tmp_path / "photo.jpg", 1)
    paint(tmp_path / "print.png", 2)
    (tmp_path / "judge").mkdir()
    program = torch.export.export(
        Grey(), (torch.rand(2, 3, 32, 32),), dynamic_shapes={"images": {0: torch.export.Dim("n")}}
    )
    torch.export.save(program, tmp_path / "judge" / "model.pt2")
    record = {"styles": ["Baroque", "Cubism", "Rococo"], "size": 32}
    crc = checksum((tmp_path / "judge" / "model.pt2").read_bytes(), record)
    (tmp_path / "judge" / "judge.json").write_text(json.dumps({**record, "crc32": crc}))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(examples) == 4
    for example in examples:
        exec(example, names)
    assert names["images"].shape == (2, 3, 128, 128)
    assert names["labels"].shape == (16,)
    for source in ("loader", "batches"):
        images, labels = next(iter(names[source]))
        assert (images.shape, labels.shape) == ((16, 3, 128, 128), (16,))
    assert capsys.readouterr().out.splitlines()[-1].startswith("Judge(3 styles")


def test_the_files_exist():
    package = Path(wikiart_data.__file__).parent
    files = re.findall(r"^\| `([\w/]+\.\w+)` \|", README, re.MULTILINE)
    assert len(files) == len(set(files)) > 40
    assert [file for file in files if not (package / file).is_file()] == []
