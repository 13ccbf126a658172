import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wikiart_data.cli.main import main
from wikiart_data.cli.options import PackOptions, ShowOptions, StatsOptions
from wikiart_data.cli.prepare import pack_now
from wikiart_data.cli.show import show
from wikiart_data.cli.stats import expected_draws, stats
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.images.decode import decode
from wikiart_data.images.packed import pack

Folder = Callable[..., Path]
Captured = pytest.CaptureFixture


# -- stats ---------------------------------------------------------------------------------------------------------


def test_stats_as_json_adds_up(folder: Folder, capsys: Captured):
    root = folder(real=False)
    assert main(["stats", "--data", str(root), "--power", "0.5", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == f"Data: {root}\n"
    printed = json.loads(out)  # and nothing else was printed
    assert printed["root"] == str(root)
    assert printed["fingerprint"] == scan(root).fingerprint
    assert printed["styles"] == ["Baroque", "Cubism", "Rococo", "Ukiyo_e"]
    assert (printed["train"], printed["valid"], printed["test"]) == ([12, 6, 4, 3], [2, 1, 1, 1], [3, 2, 0, 1])
    roots = np.sqrt([12, 6, 4, 3])
    assert printed["draws"] == pytest.approx(25 * roots / roots.sum(), abs=0.01)
    assert sum(printed["draws"]) == pytest.approx(25, abs=0.03)


@pytest.mark.parametrize(("power", "draws"), [(0.0, [12, 6, 4, 3]), (1.0, [6.25] * 4)])
def test_expected_draws(power: float, draws: list[float], folder: Folder):
    assert expected_draws(scan(folder(real=False)), power) == pytest.approx(draws)


def test_stats_as_a_table(folder: Folder, capsys: Captured):
    stats(StatsOptions(data=str(folder(real=False)), power=1.0))
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert rows["Baroque"] == ["Baroque", "12", "2", "3", "6", "0.52"]
    assert rows["Ukiyo-e"] == ["Ukiyo-e", "3", "1", "1", "6", "2.08"]
    assert rows["all"] == ["all", "25", "5", "6", "25", "1.00"]
    assert list(rows).index("Baroque") < list(rows).index("Cubism") < list(rows).index("Ukiyo-e")
    assert "Imbalance of train 4:1; the most frequent style is 48.0 % of it." in out
    assert "a tenth" not in out


def test_three_hundred_styles_fit_a_terminal_and_a_figure(folder: Folder, tmp_path: Path, capsys: Captured):
    root = folder({"train": {f"style {n:03d}": 3 if n < 150 else 2 for n in range(300)}}, real=False)
    stats(StatsOptions(data=str(root), figure=tmp_path / "counts.png"))
    out = capsys.readouterr().out
    listed = [line.split()[1] for line in out.splitlines() if line.startswith("style ")]
    assert listed[1:] == [f"{n:03d}" for n in (*range(20), *range(280, 300))], "the heading, then both ends"
    assert "260 more" in out
    with Image.open(tmp_path / "counts.png") as figure:
        assert figure.width == 1080
    assert main(["stats", "--data", str(root), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["styles"]) == 300


def test_stats_says_when_valid_was_cut(folder: Folder, capsys: Captured):
    stats(StatsOptions(data=str(folder({"train": {"Baroque": 10, "Cubism": 2}}, real=False))))
    assert "There is no valid split: a tenth of train was taken for it." in capsys.readouterr().out


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_the_figure_is_a_png(more: list[str], folder: Folder, tmp_path: Path, capsys: Captured):
    target = tmp_path / "counts.png"
    assert main(["stats", "--data", str(folder(real=False)), "--figure", str(target), *more]) == 0
    with Image.open(target) as figure:
        assert figure.format == "PNG"
        assert figure.width == 1080
        assert np.asarray(figure.convert("L")).std() > 10, "the figure is blank"
    out = capsys.readouterr().out
    assert json.loads(out) if more else f"Figure: {target}" in out


@pytest.mark.parametrize("target", ["no/such/folder/counts.png", "counts.xyz"])
def test_a_figure_that_cannot_be_written(target: str, folder: Folder, tmp_path: Path):
    with pytest.raises(InputError) as error:
        stats(StatsOptions(data=str(folder(real=False)), figure=tmp_path / target))
    assert error.value.field == "--figure"


@pytest.mark.parametrize("power", [-0.1, 1.5, float("nan")])
def test_a_power_out_of_range(power: float, folder: Folder):
    with pytest.raises(InputError) as error:
        stats(StatsOptions(data=str(folder(real=False)), power=power))
    assert error.value.field == "--power"


# -- show ----------------------------------------------------------------------------------------------------------


def test_a_contact_sheet(folder: Folder, tmp_path: Path, capsys: Captured):
    root, target = folder(), tmp_path / "sheet.png"
    show(ShowOptions(target, data=str(root), columns=5, size=16))
    assert f"4 styles written to {target}." in capsys.readouterr().out
    with Image.open(target) as opened:
        sheet = np.asarray(opened.convert("RGB"))
    height, width = sheet.shape[:2]
    assert height == 4 * 16
    margin = width - 5 * 16
    assert 20 < margin < 200
    assert (sheet[:, :margin].min(axis=(1, 2)) < 128).any(), "the names are missing"
    # Each picture is one of its style, and no picture comes twice.
    catalog = scan(root)
    for place, style in enumerate(catalog.styles):
        row = sheet[place * 16 : place * 16 + 16, margin:]
        cells = [row[:, column * 16 : column * 16 + 16] for column in range(5)]
        number = min(5, {"Baroque": 12, "Cubism": 6, "Rococo": 4, "Ukiyo_e": 3}[style])
        own = [
            np.asarray(decode(path, at_least=16).resize((16, 16), Image.Resampling.BICUBIC, reducing_gap=2.0))
            for path in sorted((root / "train" / style).iterdir())
        ]
        found = [next(i for i, picture in enumerate(own) if np.array_equal(picture, cell)) for cell in cells[:number]]
        assert len(set(found)) == number
        assert all((cell == 255).all() for cell in cells[number:])


def test_the_seed_decides(folder: Folder, tmp_path: Path):
    root = folder({"train": {"Baroque": 12}})
    sheets = []
    for seed in (0, 0, 1):
        show(ShowOptions(tmp_path / "sheet.png", data=str(root), columns=4, size=16, seed=seed))
        sheets.append((tmp_path / "sheet.png").read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]


def test_chosen_styles_in_any_spelling(folder: Folder, tmp_path: Path):
    show(
        ShowOptions(
            tmp_path / "sheet.jpg", data=str(folder()), split="test", styles=("ukiyo-e", "baroque"), columns=2, size=20
        )
    )
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert (sheet.format, sheet.height) == ("JPEG", 40)


def test_unreadable_pictures_are_passed_over(folder: Folder, tmp_path: Path):
    root = folder({"train": {"Baroque": 3}})
    (root / "train/Baroque/001.jpg").write_text("no picture")
    show(ShowOptions(tmp_path / "sheet.png", data=str(root), columns=3, size=16))
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (np.asarray(sheet)[:, -16:] == 255).all()
        assert (np.asarray(sheet)[:, -32:-16] != 255).any()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"styles": ("Baroque", "Dada")}, "--styles"),
        ({"split": "testing"}, "--split"),
        ({"columns": 0}, "--columns"),
        ({"size": -3}, "--size"),
        ({"size": 20_000}, "--size"),
        ({"target": Path("no/such/folder/sheet.png")}, "no/such/folder/sheet.png"),
        ({"target": Path("sheet.xyz")}, "sheet.xyz"),
    ],
)
def test_mistakes(wrong: dict, field: str, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        show(ShowOptions(data=str(folder()), **wrong))
    assert error.value.field == field


def test_hostile_style_names_are_shown_as_they_are(folder: Folder, tmp_path: Path, capsys: Captured):
    styles = {"[red]x": 2, "a\nb": 1, "$x^$\\frac": 1, "\udcff": 1, "<script>": 1}
    root = folder({"train": styles})
    stats(StatsOptions(data=str(root), figure=tmp_path / "counts.png"))
    out = capsys.readouterr().out
    for shown in ("[red]x", "a\\nb", "$x^$\\frac", "\\udcff", "<script>"):
        assert shown in out
    show(ShowOptions(tmp_path / "sheet.png", data=str(root), columns=2, size=16))
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height == 5 * 16


# -- pack ----------------------------------------------------------------------------------------------------------


def test_pack_now(folder: Folder, capsys: Captured):
    root = folder()
    pack_now(PackOptions(data=str(root), size=12))
    out = capsys.readouterr().out
    assert "36 pictures" in out
    assert str(pack(scan(root), 12).folder) in out
    assert "Packing" not in capsys.readouterr().out, "it was packed twice"
    with pytest.raises(InputError) as error:
        pack_now(PackOptions(data=str(root), size=0))
    assert error.value.field == "--size"


# -- the program ---------------------------------------------------------------------------------------------------


def test_the_program(folder: Folder, tmp_path: Path, capsys: Captured):
    root = folder()
    assert main(["--data", str(root), "--json"]) == 0  # stats is what it does when no command is named
    assert json.loads(capsys.readouterr().out)["train"] == [12, 6, 4, 3]
    assert main(["show", str(tmp_path / "sheet.png"), "--data", str(root), "--styles", "Baroque", "Rococo"]) == 0
    assert (tmp_path / "sheet.png").exists()
    assert main(["pack", "--data", str(root), "--size", "12", "--cache-dir", str(tmp_path / "other")]) == 0
    assert len(list((tmp_path / "other" / "packs").glob("*-12"))) == 1


def test_the_environment_names_the_data(folder: Folder, capsys: Captured, monkeypatch: pytest.MonkeyPatch):
    root = folder(real=False)
    monkeypatch.setenv("WIKIART_DATA", str(root))
    assert main(["stats"]) == 0
    assert f"Data: {root} (from WIKIART_DATA)" in capsys.readouterr().out
    other = folder({"train": {"Baroque": 1}}, "other", real=False)
    assert main(["stats", "--data", str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["root"] == str(other)


def test_a_reader_that_has_gone_is_no_error(folder: Folder):
    command = f"{sys.executable} -m wikiart_data stats --data {folder(real=False)} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_any_locale_and_no_home(locale: str, folder: Folder):
    root = folder({"train": {"Naïve Kunst": 3, os.fsdecode(b"\xff"): 1}}, real=False)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "wikiart_data", "stats", "--data", str(root)]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ve Kunst" in done.stdout
    assert "\\udcff" in done.stdout


def test_mistakes_end_with_a_sentence(tmp_path: Path, capsys: Captured):
    assert main(["stats", "--data", str(tmp_path / "nowhere")]) == 2
    out, err = capsys.readouterr()
    assert f"{tmp_path}/nowhere" in err
    assert err.count("\n") == 1
    assert "Traceback" not in out + err


def test_the_cache_can_be_chosen(folder: Folder, tmp_path: Path, cache: Path):
    assert main(["stats", "--data", str(folder(real=False)), "--cache-dir", str(tmp_path / "mine")]) == 0
    assert list((tmp_path / "mine" / "manifests").glob("*.npz"))
    assert not cache.exists()
