"""`wikiart-stylegen evaluate`: every figure next to its baselines."""

import json

import pytest

from wikiart_stylegen.cli import main

from .conftest import STYLES


def test_the_result_holds_every_row_and_its_baselines(trained, judge, capsys):
    assert main(["evaluate", str(trained), "--judge", str(judge)]) == 0
    result = json.loads((trained / "proof" / "result.json").read_text())
    rows = result["rows"]
    assert set(rows) == {"mismatched", "matched", "shuffled", "null", "unchanged", "real"}
    assert (result["n"], result["styles"]) == (48, 4)
    assert result["chance"] == {"top1": 0.25, "top3": 0.75}
    # The judge goes by colour, of which these images' styles are made; an input never has the colour of another style.
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
    assert "shuffled style" in capsys.readouterr().out


def test_only_styles_with_enough_training_images_are_targets(trained, judge, capsys):
    assert main(["evaluate", str(trained), "--judge", str(judge), "--min-train-images", "24"]) == 0
    assert json.loads((trained / "proof" / "result.json").read_text())["styles"] == 4
    assert main(["evaluate", str(trained), "--judge", str(judge), "--min-train-images", "25"]) == 2
    assert "--min-train-images" in capsys.readouterr().err


def test_a_judge_of_other_styles_is_rejected(trained, judge, tmp_path, capsys):
    about = json.loads((judge / "judge.json").read_text())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.pt2").write_bytes((judge / "model.pt2").read_bytes())
    (tmp_path / "other" / "judge.json").write_text(json.dumps({**about, "styles": [*STYLES[:3], "Rococo"]}))
    assert main(["evaluate", str(trained), "--judge", str(tmp_path / "other")]) == 2
    assert str(tmp_path / "other") in capsys.readouterr().err
