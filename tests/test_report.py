"""The tables of REPORT.md come from JSON, and a stale one is noticed."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("report", ROOT / "tools" / "report.py")
report = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(report)


def a_run(seed: int, top1: float) -> dict:
    test = {key: 0.5 for _, key in report._ROWS} | {"n": 200, "top1": top1, "top1_interval": [top1 - 0.1, top1 + 0.1]}
    return {
        "seed": seed,
        "device": "cpu (2 threads)",
        "train_seconds": 100.0,
        "seconds_to_40_percent": 50.0,
        "parameters": 1_500_000,
        "test": test,
    }


def test_a_row_is_mean_and_standard_deviation_over_seeds():
    table = report.table([a_run(0, 0.40), a_run(1, 0.44), a_run(2, 0.48)])
    assert "| top-1 | 44.0 ± 4.0 | 30.0–50.0 |" in table
    assert "3 seeds (0, 1, 2)" in table
    assert "| expected calibration error | 50.0 ± 0.0 |  |" in table
    assert "| parameters | 1.50 M | |" in table


def test_results_from_before_a_figure_existed_go_without_its_row():
    run = a_run(0, 0.40)
    del run["test"]["ece"]
    assert "calibration" not in report.table([run])


def a_comparison(kind: str) -> dict:
    def runs(top1: float, **more: object) -> list[dict]:
        shared = {"top3": 0.7, "balanced": 0.25, "macro_f1": 0.2, "many": 0.5, "medium": 0.3, "few": None, "ece": 0.125}
        shared |= {"parameters": 1_500_000, "epochs": 30, "size": 128, "train_seconds": 1200.0, "tau": None}
        return [
            {**shared, "seed": seed, "top1": top1 + 0.02 * seed, "seconds_to_40_percent": [50.0, None][seed], **more}
            for seed in (0, 1)
        ]

    told = {"difference": 0.0321, "interval": [0.011, 0.052], "p": 0.00005, "p_holm": 0.00012}
    versus = {"top1": told | {"difference": 0.99}, "balanced": told}
    rows = [
        {"method": "none", "label": "no balancing", "paper": "", "runs": runs(0.40), "versus": None},
        {
            "method": "a",
            "label": "adjusted",
            "paper": "Menon et al. 2021",
            "runs": runs(0.3, tau=0.4),
            "versus": versus,
        },
    ]
    about = {"kind": kind, "seeds": [0, 1], "split": "test", "n": 1198, "majority": 0.235, "device": "cpu (2 threads)"}
    return about | {"options": {"size": 128, "data": "/home/me/art", "cache_dir": "/home/me/cache"}, "rows": rows}


def test_a_comparison_of_methods_against_imbalance():
    lines = report.table(a_comparison("imbalance")).splitlines()
    assert "1,198 test pictures, %, mean ± std over 2 seeds (0, 1)" in lines[0]
    assert lines[2].startswith(
        "| no balancing | 41.0 ± 1.4 | 25.0 ± 0.0 | 20.0 ± 0.0 | 50.0 ± 0.0 | 30.0 ± 0.0 | – | 12.5"
    )
    assert lines[3].startswith("| adjusted, τ 0.4 (Menon et al. 2021) | 31.0 ± 1.4 |")
    assert lines[3].endswith("| +3.2 (+1.1, +5.2), p < 0.001 |")
    assert lines[4].startswith("| always the most frequent style | 23.5 |")
    assert len({line.count("|") for line in lines}) == 1


def test_a_comparison_of_models():
    lines = report.table(a_comparison("models")).splitlines()
    assert lines[2] == (
        "| no balancing | 1.50 M | 128 × 30 | 41.0 ± 1.4 | 70.0 ± 0.0 | 25.0 ± 0.0 | 20.0 ± 0.0 | 12.5 ± 0.0 "
        "| 1,200 | 50 (1 of 2 seeds) |"
    )
    assert lines[4].startswith("| always the most frequent style |  |  | 23.5 |")
    assert len({line.count("|") for line in lines}) == 1


def test_a_comparison_of_an_unknown_kind_is_an_error():
    with pytest.raises(SystemExit, match="no table for the kind 'colours'"):
        report.table({"kind": "colours"})


def test_a_comparison_is_kept_and_rendered(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    folder = tmp_path / "compare-imbalance"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "frontier.png").write_bytes(b"png")
    (folder / "result.json").write_text(json.dumps(a_comparison("imbalance")))
    (tmp_path / "REPORT.md").write_text("<!-- table x -->\n<!-- end -->\n")
    assert report.main(["keep", "x", str(folder)]) == 0
    assert "| adjusted, τ 0.4" in (tmp_path / "REPORT.md").read_text()
    kept = (tmp_path / "report" / "x.json").read_text()
    assert "/home/me" not in kept
    assert json.loads(kept)["options"] == {"size": 128}
    assert (tmp_path / "report" / "figures" / "x-frontier.png").read_bytes() == b"png"
    with pytest.raises(SystemExit, match="one folder"):
        report.keep("y", [folder, folder])


def test_rendering_fills_a_table_and_is_stable(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "x.json").write_text(json.dumps([a_run(0, 0.4)]))
    (tmp_path / "REPORT.md").write_text("before\n<!-- table x -->\nstale\n<!-- end -->\nafter\n")
    assert report.main(["--check"]) == 1
    assert report.main([]) == 0
    text = (tmp_path / "REPORT.md").read_text()
    assert "| top-1 | 40.0 |" in text
    assert "stale" not in text
    assert text.startswith("before\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert report.main(["--check"]) == 0


def test_a_table_without_its_json_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    (tmp_path / "REPORT.md").write_text("<!-- table nowhere -->\n<!-- end -->\n")
    with pytest.raises(SystemExit, match="nowhere"):
        report.main([])


def test_what_is_kept_names_no_place_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    run = tmp_path / "run"
    (run / "figures").mkdir(parents=True)
    (run / "figures" / "recall.png").write_bytes(b"png")
    record = {"seed": 0, "git_commit": None, "versions": {}, "device": "cpu", "processes": 1}
    config = {"data": "/home/me/art", "runs": "/home/me/runs", "name": None, "size": 32, "cache_dir": "/home/me/cache"}
    (run / "run.json").write_text(json.dumps(record | {"config": config, "data": {"fingerprint": "ab"}}))
    (run / "result.json").write_text(json.dumps({"test": {"top1": 0.5}}))
    report.keep("x", [run])
    kept = (tmp_path / "report" / "x.json").read_text()
    assert "/home/me" not in kept
    assert json.loads(kept)[0]["options"] == {"size": 32}
    assert (tmp_path / "report" / "figures" / "x-recall.png").read_bytes() == b"png"


def test_a_comparison_of_splits_says_what_is_scored():
    rows = [
        {"label": "the given split", "runs": [{"n": 1198, "styles_scored": 27, "majority": 0.235, "top1": 0.5}]},
        {
            "label": "no artist in two splits",
            "runs": [
                {"n": n, "styles_scored": styles, "majority": 0.3, "top1": top1}
                for n, styles, top1 in ((1000, 19, 0.3), (1060, 22, 0.4))
            ],
        },
    ]
    about = {"kind": "artists", "seeds": [0, 1], "split": "test", "n": 1198}
    lines = report.table(about | {"rows": rows}).splitlines()
    assert lines[2].startswith("| the given split | 1,198 | 27 | 23.5 | 50.0 |")
    assert lines[3].startswith("| no artist in two splits | 1,000–1,060 | 19–22 | 30.0 ± 0.0 | 35.0 ± 7.1 |")


def test_rates_stand_beside_what_files_of_as_many_bytes_reach():
    point = {"bytes": 1024, "code": None, "channels": 4, "objective": "none", "psnr": 25.614, "ssim": 0.8123}
    point |= {"mse": 0.00321, "psnr_interval": [25.4, 25.8]}
    curves = {
        "PCA": [{"bytes": 512.0, "psnr": 22.0}, {"bytes": 1536.0, "psnr": 24.0}],
        "JPEG": [{"bytes": 2000.0, "psnr": 24.0}, {"bytes": 3000.0, "psnr": 28.0}],
    }
    about = {"kind": "rates", "n": 1198, "split": "test", "size": 128, "codes": [point], "curves": curves}
    line = report.table(about).splitlines()[2]
    assert line == ("| spatial code, 4 channels | 1,024 | 25.61 (25.40–25.80) | 0.812 | 0.00321 | 23.00 | – |")


def test_codes_stand_beside_chance():
    clusters = {"ami": 0.1234, "ami_permuted": [0.0001, 0.0021], "ari": 0.05, "purity": 0.3, "silhouette": None}
    space = {"majority": 0.235, "chance": 1 / 27, "knn_top1": 0.3, "knn_balanced": 0.1}
    space |= {"probe_top1": 0.38, "probe_balanced": 0.2}
    row = {"space": "vector code (256)", "dimensions": 256, "space_measures": space}
    row["clusters"] = {"train": {"kmeans": clusters}, "test": {"kmeans": clusters | {"ami": 0.1111}}}
    lines = report.table({"kind": "codes", "rows": [row]}).splitlines()
    assert lines[0].startswith("| codes | numbers | AMI, kmeans | by chance | AMI on test |")
    assert lines[2] == (
        "| vector code (256) | 256 | 0.123 | 0.000 ± 0.002 | 0.111 | 0.050 | 0.300 | – | 30.0 | 10.0 | 38.0 | 20.0 |"
    )
    assert lines[3].endswith("| 23.5 | 3.7 | 23.5 | 3.7 |")
    assert len({line.count("|") for line in lines}) == 1


def test_a_score_of_painted_pictures_stands_beside_base_real_and_chance():
    told = {"value": 0.5, "interval": [0.4, 0.6]}
    seen = {"top1": told, "top3": told}
    painted = seen | {"kid": {"value": 0.25, "interval": [0.2, 0.3]}, "diversity": {"value": 0.125}}
    near = {"painted": {"value": 0.2, "interval": [0.1, 0.3]}, "held_out": {"value": 0.1, "interval": [0.05, 0.15]}}
    result = {
        "kind": "lora score",
        "n": 216,
        "chance": {"top1": 1 / 27, "top3": 1 / 9},
        "rows": {"real": seen, "real, encoded and decoded": seen, "base": painted, "adapted": painted},
        "memorisation": {"base": near, "adapted": near},
        "probe": {"real": told, "base": told, "base, style asked": told, "adapted, style asked": told},
    }
    lines = report.table(result).splitlines()
    share = "50.0 (40.0–60.0)"
    assert f"| real valid pictures | {share} | {share} | – | – | {share} | 0.100 (0.050–0.150) |" in lines
    assert f"| base + adapter | {share} | {share} | 0.25 (0.20–0.30) | 0.125 | {share} | 0.200 (0.100–0.300) |" in lines
    assert f"| base, scene alone asked |  |  |  |  | {share} |  |" in lines
    assert "| chance | 3.7 | 11.1 |  |  |  |  |" in lines
    assert len({line.count("|") for line in lines}) == 1


def test_the_proof_shows_every_variant_and_where_it_is_known_the_truth():
    told = {"value": 0.5, "interval": [0.4, 0.6]}
    repaint = {"label": "repainted", "top1": told, "top3": told, "ssim": told, "edges": told, "found": told}
    result = {
        "kind": "proof",
        "n": 270,
        "split": "valid",
        "size": 96,
        "styles": 27,
        "chance": {"top1": 1 / 27, "top3": 1 / 9},
        "rows": {"mismatched": repaint, "real": {"label": "real paintings", "top1": told, "top3": told}},
    }
    lines = report.table(result).splitlines()
    share = "50.0 (40.0–60.0)"
    assert lines[0].startswith("| 270 valid pictures at 96 px, 27 styles | judge: top-1, % |")
    assert f"| repainted | {share} | {share} | 0.50 | 0.50 | 50 |" in lines
    assert f"| real paintings | {share} | {share} |  |  |  |" in lines
    assert "| chance | 3.7 | 11.1 |  |  | 1 |" in lines
    near = {"psnr": 12.5, "ssim": 0.25}
    truth = dict.fromkeys(("painted", "unchanged", "mean picture", "another painter"), near)
    with_truth = report.table(result | {"truth": truth | {"closer": 14, "another painter closer": 22, "styles": 27}})
    assert with_truth.startswith(report.table(result))
    assert "| repainted | 12.50 | 0.250 | 14 of 27 |" in with_truth
    assert "| another painter of the style | 12.50 | 0.250 | 22 of 27 |" in with_truth
    assert "| the input itself | 12.50 | 0.250 |  |" in with_truth


def test_every_figure_that_json_alone_makes_is_drawn_again(tmp_path, monkeypatch):
    committed = {path.name for path in (ROOT / "report" / "figures").glob("*.png")}
    monkeypatch.setattr(report, "ROOT", tmp_path)
    (tmp_path / "report" / "figures").mkdir(parents=True)
    for path in (ROOT / "report").glob("*.json"):
        (tmp_path / "report" / path.name).write_bytes(path.read_bytes())
    assert report.main(["draw"]) == 0
    drawn = {path.name for path in (tmp_path / "report" / "figures").glob("*.png")}
    assert drawn <= committed
    endings = {name.rsplit("-", 1)[1] for name in drawn}
    assert endings == {"confusion.png", "recall.png", "frontier.png", "rates.png", "score.png", "proof.png"}
