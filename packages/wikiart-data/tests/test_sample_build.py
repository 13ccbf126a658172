"""The sample set on disk: layout and counts, complete or absent, built by one process at a time."""

import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from wikiart_data.errors import InputError
from wikiart_data.sample import MARK, Scene, build_sample_set, is_sample_set, paint, sample_root, scene_of
from wikiart_data.sample.build import COURSE, TOTALS, VERSION, counts, plan
from wikiart_data.styles import STYLES

TINY = {"size": 16, "fraction": 0.01}
"""162 pictures: every style at its least number."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    lines = []
    root = build_sample_set(tmp_path_factory.mktemp("cache") / "set", **TINY, echo=lines.append)
    assert len(lines) == 2
    return root


def test_the_full_plan_has_the_course_s_imbalance():
    assert len(COURSE) == 27
    assert sum(train for train, _ in COURSE.values()) == 13350
    assert sum(test for _, test in COURSE.values()) == 630
    planned = Counter((p.split, p.style) for p in plan())
    for split, (total, least) in TOTALS.items():
        here = [planned[split, style] for style in STYLES]
        assert sum(here) == total
        assert min(here) == least
    train = counts("train")
    for style, (course, _) in COURSE.items():
        if course > 100:  # smaller styles are held up by the least number
            assert train[style] / 2700 == pytest.approx(course / 13350, rel=0.06, abs=0.0005), style
    assert max(train.values()) / min(train.values()) == pytest.approx(151, rel=0.05)


def test_splits_share_no_scene_and_scenes_are_shared_between_styles():
    scenes = {split: set() for split in TOTALS}
    styles_of = {}
    for p in plan():
        scenes[p.split].add(p.scene)
        if p.split == "train":
            styles_of.setdefault(p.scene, []).append(p.style)
    assert not scenes["train"] & scenes["test"]
    assert not scenes["train"] & scenes["valid"]
    assert not scenes["valid"] & scenes["test"]
    assert np.mean([len(styles) for styles in styles_of.values()]) > 2
    assert all(len(set(styles)) == len(styles) for styles in styles_of.values()), "a style paints a scene once"


def test_styles_do_not_choose_their_scenes():
    """Fraction of each kind of scene in the large styles: the subject must not give the style away."""
    kinds = {}
    for p in plan():
        if p.split == "train":
            kinds.setdefault(p.style, Counter())[p.scene.kind] += 1
    for style, seen in kinds.items():
        if seen.total() > 100:
            assert min(seen.values()) / seen.total() > 0.08, style
            assert len(seen) == 6


def test_every_style_has_several_artists_and_no_file_is_planned_twice():
    artists = {}
    files = [p.path for p in plan()]
    for p in plan():
        artists.setdefault(p.style, set()).add(p.artist)
    assert all(len(artists[style]) >= 2 for style in STYLES)
    assert len(artists["Impressionism"]) == 12
    assert len(set(files)) == len(files)
    assert all(str(file).isascii() for file in files)


def test_layout_on_disk(tiny):
    files = sorted(tiny.rglob("*.jpg"))
    assert [f.relative_to(tiny) for f in files] == sorted(p.path for p in plan(TINY["fraction"]))
    assert sorted(f.name for f in tiny.iterdir()) == [MARK, "test", "train", "valid"]
    for split in TOTALS:
        assert tuple(sorted(f.name for f in (tiny / split).iterdir())) == tuple(sorted(STYLES))
    with Image.open(files[0]) as picture:
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (16, 16), "RGB")


def test_a_file_leads_back_to_its_scene_and_its_picture(tmp_path):
    for p in plan(TINY["fraction"]):
        assert scene_of(p.path) == p.scene
        assert p.path.name.startswith(p.artist + "_")
    root = build_sample_set(tmp_path / "set", size=48, fraction=0.01, quality=95, workers=1, echo=lambda _: None)
    for file in sorted((root / "test").rglob("*.jpg"))[::9]:
        again = paint(scene_of(file), file.parent.name, 48, file.name.split("_")[0])
        with Image.open(file) as picture:
            assert np.abs(np.asarray(picture, float) - again).mean() < 14  # JPEG loses colour detail, not the picture
            wrong = paint(Scene(scene_of(file).kind, 77), file.parent.name, 48, file.name.split("_")[0])
            assert np.abs(np.asarray(picture, float) - again).mean() < np.abs(np.asarray(picture, float) - wrong).mean()


@pytest.mark.parametrize("name", ["starry-night.jpg", "ada-morrand_seascape-at-dusk-3.jpg", "ada_city-at-dusk.jpg"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="not a picture of the sample set"):
        scene_of(name)


def test_sample_root_is_in_the_cache_and_versioned(tmp_path, monkeypatch):
    made = []
    module = sys.modules["wikiart_data.sample.build"]
    monkeypatch.setattr(module, "build_sample_set", lambda folder, *, echo: made.append(folder) or folder)
    monkeypatch.setenv("WIKIART_CACHE", str(tmp_path / "env"))
    assert sample_root() == tmp_path / "env" / f"sample-v{VERSION}"
    assert sample_root(tmp_path / "given") == tmp_path / "given" / f"sample-v{VERSION}"
    monkeypatch.delenv("WIKIART_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "home" / name)
    assert sample_root() == tmp_path / "home" / "wikiart" / f"sample-v{VERSION}"


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    assert not is_sample_set(tmp_path / "mine")
    with pytest.raises(InputError) as error:
        build_sample_set(tmp_path / "mine", **TINY, echo=lambda _: None)
    assert error.value.field == str(tmp_path / "mine")


def test_a_finished_set_is_left_as_it_is(tiny):
    assert is_sample_set(tiny)
    assert is_sample_set(str(tiny))
    before = {file: file.stat().st_mtime_ns for file in tiny.rglob("*.jpg")}
    lines = []
    assert build_sample_set(tiny, **TINY, echo=lines.append) == tiny
    assert not lines
    assert {file: file.stat().st_mtime_ns for file in tiny.rglob("*.jpg")} == before


BUILDER = """
import sys
from pathlib import Path
from wikiart_data.sample import build_sample_set
build_sample_set(Path(sys.argv[1]), size=int(sys.argv[2]), fraction=0.01, workers=1)
print("done", flush=True)
"""


def _builder(folder, size=16):
    command = [sys.executable, "-c", BUILDER, str(folder), str(size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_build_is_started_again(tmp_path):
    folder = tmp_path / "set"
    process = _builder(folder, size=512)  # large pictures, so that it is still busy when killed
    unfinished = tmp_path / ".set.building"
    deadline = time.monotonic() + 20
    while not (unfinished.is_dir() and any(unfinished.rglob("*.jpg"))):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert not folder.exists()
    build_sample_set(folder, **TINY, echo=lambda _: None)
    files = list(folder.rglob("*.jpg"))
    assert len(files) == sum(1 for _ in plan(TINY["fraction"]))
    for file in files:
        with Image.open(file) as picture:
            assert picture.size == (16, 16), "a leftover of the killed build"
    assert not unfinished.exists()


def test_of_two_builders_one_builds_and_one_waits(tmp_path):
    folder = tmp_path / "set"
    builders = [_builder(folder), _builder(folder)]
    outputs = [process.communicate(timeout=60)[0] for process in builders]
    assert [process.returncode for process in builders] == [0, 0]
    assert all(text.endswith("done\n") for text in outputs)
    assert sum(text.count("\n") > 1 for text in outputs) == 1, "the other one has nothing to do"
    assert len(list(folder.rglob("*.jpg"))) == sum(1 for _ in plan(TINY["fraction"]))


def test_works_from_a_script_without_a_main_guard(tmp_path):
    script = tmp_path / "notebook_like.py"
    script.write_text(BUILDER.replace("workers=1", "workers=2"))
    done = subprocess.run([sys.executable, script, tmp_path / "set", "16"], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("done\n")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError) as error:
        build_sample_set(tmp_path / "file" / "set", **TINY)
    assert error.value.field == str(tmp_path / "file" / "set")
    assert "--cache-dir" in str(error.value)
