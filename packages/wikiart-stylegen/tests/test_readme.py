"""What README.md says about Python is run, and the files that it lists are those of the package."""

import re
from pathlib import Path

import pytest
from PIL import Image

import wikiart_stylegen

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_runs(paintings, monkeypatch, capsys):
    monkeypatch.setenv("WIKIART_DATA", str(paintings))
    Image.new("RGB", (60, 40), "teal").save("photo.jpg")
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)
    output = capsys.readouterr().out
    assert "StyleTransfer(4 styles, 32 px" in output
    assert output.count("Data: ") == 1
    assert len(names["frames"]) == 24
    with Image.open("ukiyo.png") as image:
        assert image.size == (60, 40)
    assert Path("grid.png").is_file()


def test_the_table_of_files_is_complete():
    package = Path(wikiart_stylegen.__file__).parent
    files = re.findall(r"^\| `(\w+\.py)` \|", README, re.MULTILINE)
    assert sorted(files) == sorted(path.name for path in package.glob("*.py"))


@pytest.mark.parametrize("option", re.findall(r"`--([a-z-]+-weight)`", README))
def test_the_weights_in_the_readme_are_options(option):
    assert option.replace("-", "_") in wikiart_stylegen.TrainOptions.__dataclass_fields__
