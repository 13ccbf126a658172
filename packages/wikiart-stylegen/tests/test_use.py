"""What a trained network is used for: pictures of any size and kind, grids, walks, embeddings, the proof."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wikiart_stylegen.cli import main

STYLES = ("Baroque", "Cubism", "Minimalism", "Ukiyo_e")


def painting(name: str, width: int, height: int, mode: str = "RGB") -> str:
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 255, (8, 8, 3), dtype=np.uint8))
    picture = small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    if mode == "RGBA":
        picture.putalpha(128)
    picture.save(name)
    return name


def opened(name: str) -> np.ndarray:
    with Image.open(name) as picture:
        return np.asarray(picture.convert("RGB"))


def transfer(trained: Path, picture: str, to: str, *more: str, style: str = "Ukiyo_e") -> int:
    return main(["transfer", picture, "--style", style, "--model", str(trained), "--to", to, *more])


@pytest.mark.parametrize(
    ("width", "height", "mode"), [(33, 300, "RGB"), (400, 300, "RGB"), (64, 64, "L"), (50, 40, "RGBA"), (1, 1, "RGB")]
)
def test_pictures_of_any_size_and_kind_keep_their_size(trained, width, height, mode):
    picture = painting("in.png", width, height, mode)
    assert transfer(trained, picture, "out.png") == 0
    assert opened("out.png").shape == (height, width, 3)


def test_the_longer_side_can_be_asked_for(trained):
    assert transfer(trained, painting("in.png", 400, 200), "out.png", "--side", "100") == 0
    assert opened("out.png").shape == (50, 100, 3)


def test_two_styles_give_two_pictures_and_the_same_style_the_same(trained):
    picture = painting("in.png", 64, 64)
    assert transfer(trained, picture, "one.png") == 0
    assert transfer(trained, picture, "again.png") == 0
    assert transfer(trained, picture, "other.png", style="Baroque") == 0
    assert np.array_equal(opened("one.png"), opened("again.png"))
    assert np.abs(opened("one.png").astype(int) - opened("other.png")).mean() > 1


def test_strength_0_is_the_null_style_whatever_style_is_named(trained):
    picture = painting("in.png", 64, 64)
    assert transfer(trained, picture, "one.png", "--strength", "0") == 0
    assert transfer(trained, picture, "other.png", "--strength", "0", style="Baroque") == 0
    assert np.array_equal(opened("one.png"), opened("other.png"))


def test_a_blend_lies_between_two_styles_and_has_no_order(trained):
    picture = painting("in.png", 64, 64)
    assert transfer(trained, picture, "ab.png", "--blend", "Baroque") == 0
    assert transfer(trained, picture, "ba.png", "--blend", "Ukiyo_e", style="Baroque") == 0
    assert transfer(trained, picture, "a.png") == 0
    assert np.abs(opened("ab.png").astype(int) - opened("ba.png")).max() <= 1
    assert not np.array_equal(opened("ab.png"), opened("a.png"))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--style", "Cubizm"], "Did you mean Cubism?"),
        (["--style", "Cubism", "--strength", "2"], "--strength 2 is not in 0..1.5"),
        (["--style", "Cubism", "--to", "out.jpg"], "a file that ends in .png"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(trained, more, sentence, capsys):
    assert main(["transfer", painting("in.png", 32, 32), "--model", str(trained), *more]) == 2
    assert sentence in capsys.readouterr().err


def test_what_is_no_picture_is_named(trained, capsys):
    Path("broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    assert transfer(trained, "broken.jpg", "out.png") == 2
    assert "broken.jpg" in capsys.readouterr().err


def test_a_walk_goes_there_and_back(trained):
    arguments = ["walk", painting("in.png", 60, 40), "--first", "Baroque", "--last", "Cubism", "--frames", "5"]
    assert main([*arguments, "--side", "60", "--model", str(trained), "--to", "walk.gif"]) == 0
    with Image.open("walk.gif") as animation:
        assert (animation.n_frames, animation.size) == (8, (60, 40))
    assert Path("walk.png").read_bytes().startswith(b"\x89PNG")


def test_a_grid_of_given_pictures(trained, paintings):
    assert main(["grid", str(paintings / "test" / "Cubism"), "--model", str(trained), "--to", "grid.png"]) == 0
    assert opened("grid.png").shape[1] == 1080


def test_similarities_of_the_trained_embeddings(trained, capsys):
    assert main(["embeddings", str(trained), "--to", "map.png"]) == 0
    with Path("map.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = np.array([[float(row[style]) for style in STYLES] for row in rows])
    assert [row["style"] for row in rows] == list(STYLES)
    assert np.allclose(table.diagonal(), 1, atol=1e-3)
    assert np.allclose(table, table.T)
    assert "Ukiyo" in capsys.readouterr().out


def test_the_proof_holds_every_row_beside_its_baselines(trained, judge, capsys):
    assert main(["evaluate", str(trained), "--judge", str(judge)]) == 0
    result = json.loads((trained / "proof" / "result.json").read_text())
    rows = result["rows"]
    assert set(rows) == {"mismatched", "matched", "shuffled", "null", "unchanged", "real"}
    assert (result["n"], result["styles"]) == (48, 4)
    assert result["chance"] == {"top1": 0.25, "top3": 0.75}
    # The judge goes by colour, which these pictures' styles are made of; an unchanged picture never has another's.
    assert rows["real"]["top1"]["value"] > 0.9
    assert rows["unchanged"]["top1"]["value"] < 0.1
    assert rows["unchanged"]["ssim"]["value"] == pytest.approx(1, abs=1e-4)
    assert rows["unchanged"]["found"]["value"] == 1
    assert 0 <= result["leakage"]["probe_top1"] <= 1
    assert result["sensitivity"]["style moves"]["value"] > 0
    at = {row["strength"]: row for row in result["strengths"]}
    assert at[1.0] | {"label": rows["mismatched"]["label"], "strength": 1.0} == rows["mismatched"] | {"strength": 1.0}
    assert {row["style"] for row in result["kid"]} == set(STYLES)
    assert (trained / "proof/figures/proof.png").read_bytes().startswith(b"\x89PNG")
    assert "told a shuffled style" in capsys.readouterr().out


def test_only_styles_with_enough_training_pictures_are_asked_for(trained, judge, capsys):
    assert main(["evaluate", str(trained), "--judge", str(judge), "--least", "24"]) == 0
    assert json.loads((trained / "proof" / "result.json").read_text())["styles"] == 4
    assert main(["evaluate", str(trained), "--judge", str(judge), "--least", "25"]) == 2
    assert "--least 25: fewer than two styles" in capsys.readouterr().err


def test_a_judge_of_other_styles_is_refused(trained, judge, tmp_path, capsys):
    about = json.loads((judge / "judge.json").read_text())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.pt2").write_bytes((judge / "model.pt2").read_bytes())
    (tmp_path / "other" / "judge.json").write_text(json.dumps({**about, "styles": [*STYLES[:3], "Rococo"]}))
    assert main(["evaluate", str(trained), "--judge", str(tmp_path / "other")]) == 2
    assert "knows other styles" in capsys.readouterr().err
