"""The block "In Python" of the README runs as printed, on tiny trained networks."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
STYLES = ("Baroque", "Cubism", "Ukiyo_e")


@pytest.fixture(scope="module")
def script() -> str:
    _, _, section = README.partition("## In Python\n")
    block = re.search(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert block is not None
    return block[1]


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_figures: None, narrow_auxiliary_networks: dict) -> Path:
    """A folder with `paintings` and, for every package, run 001 with a tiny network."""
    import wikiart_autoencode
    import wikiart_classify
    import wikiart_lora
    import wikiart_stylegen

    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WIKIART_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for split, number in (("train", 8), ("valid", 2), ("test", 2)):
        for shade, style in enumerate(STYLES):
            folder = tmp_path / "paintings" / split / style
            folder.mkdir(parents=True)
            for index in range(number):
                pixels = rng.integers(60 * shade, 60 * shade + 90, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"artist-{index}_{split}-{index}.png")
    common = {"data": "paintings", "device": "cpu", "size": 32, "batch_size": 8}
    small = {"width": 0.125, "blocks": 1, "epochs": 1}
    wikiart_classify.train(wikiart_classify.TrainOptions(model="tiny", epochs=1, **common))
    wikiart_autoencode.train(wikiart_autoencode.TrainOptions(**small, **common))
    wikiart_stylegen.train(wikiart_stylegen.TrainOptions(warmup_epochs=0, **small, **common))
    wikiart_lora.train(wikiart_lora.TrainOptions(steps=1, rank=2, score=0, num_inference_steps=1, **common))
    return tmp_path


def test_the_script_is_short_and_imports_only_public_names(script: str):
    assert len(script.splitlines()) <= 25
    imports = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert all(isinstance(node, ast.ImportFrom) and re.fullmatch(r"wikiart_\w+", str(node.module)) for node in imports)


def test_the_script_predicts_encodes_clusters_repaints_and_paints(script: str, trained: Path):
    names: dict = {}
    exec(compile(script, "README.md", "exec"), names)
    predictions = names["classifier"].predict(names["files"])
    assert predictions.probabilities.shape == (4, len(STYLES))
    assert len(names["codes"].codes) == len(names["catalog"]) == 36
    with Image.open(trained / "repainted.png") as repainted:
        assert repainted.size == (32, 32)
    with Image.open(trained / "painted.png") as painted:
        assert painted.mode == "RGB"
