"""The public objects: Autoencoder, Codes and cluster from Python, as the README shows them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import wikiart_autoencode
from wikiart_autoencode import Autoencoder, Codes, autoencoder, cluster, load
from wikiart_autoencode.evaluation.image_metrics import psnr
from wikiart_data import InputError, load_images, scan
from wikiart_data.images import load as load_module
from wikiart_data.training.checkpoints import write_model


@pytest.fixture(scope="module")
def model(trained: Path) -> Autoencoder:
    return Autoencoder.load(trained, device="cpu")


def test_it_loads_from_a_run_folder_or_a_file(trained, model):
    images = torch.rand(2, 3, 32, 32)
    for path in (str(trained), trained / "model.safetensors"):
        assert load(path, device="cpu").decode(torch.zeros(1, 64)).equal(model.decode(torch.zeros(1, 64)))
        assert load(path, device="cpu").reconstruct(images).equal(model.reconstruct(images))
    assert repr(model) == "Autoencoder(32 × 32 pixels → 4 × 4 × 4 code, objective none, cpu)"


def test_a_wrong_path_is_named(tmp_path):
    with pytest.raises(InputError) as error:
        load(tmp_path / "nowhere")
    assert error.value.field == str(tmp_path / "nowhere")
    (tmp_path / "model.safetensors").write_bytes(b"not a model")
    with pytest.raises(InputError) as error:
        load(tmp_path)
    assert error.value.field == str(tmp_path / "model.safetensors")


def test_weights_of_another_kind_of_model_are_refused(trained, tmp_path):
    path = trained / "model.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata["config"])
    del config["ssim_weight"]
    save_file(load_file(path), tmp_path / "model.safetensors", {**metadata, "config": json.dumps(config)})
    with pytest.raises(InputError) as error:
        load(tmp_path)
    assert error.value.field == str(tmp_path / "model.safetensors")


def test_options_of_another_version_are_left_out_and_wrong_ones_name_the_file(trained, tmp_path, model):
    path = tmp_path / "model.safetensors"
    with safe_open(trained / "model.safetensors", "pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata["config"])
    written = {"styles": metadata["styles"], "config": json.dumps({**config, "since_removed": 3})}
    write_model(path, load_file(trained / "model.safetensors"), written)
    assert load(path, device="cpu").config == model.config
    written["config"] = json.dumps({**config, "size": "large"})
    write_model(path, load_file(trained / "model.safetensors"), written)
    with pytest.raises(InputError) as error:
        load(path)
    assert error.value.field == str(path)


def test_codes_of_files_tensors_and_a_catalog_are_the_same(model, paintings):
    catalog = scan(paintings)
    of_catalog = model.encode(catalog)
    files = [paintings / file for file in of_catalog.files[:5]]
    of_files = model.encode(files)
    np.testing.assert_allclose(of_files.codes, of_catalog.codes[:5], atol=1e-4)
    np.testing.assert_allclose(model.encode(load_images(files, 32)).codes, of_files.codes, atol=1e-4)
    np.testing.assert_allclose(model.encode([Image.open(files[0])]).codes, of_files.codes[:1], atol=1e-4)
    np.testing.assert_allclose(model.encode(str(files[0])).codes, of_files.codes[:1], atol=1e-4)
    assert repr(of_catalog) == "Codes(192 × 64, 4 styles, train 96, valid 48, test 48)"


def test_the_style_of_a_file_is_its_folder_or_unknown(model, paintings, tmp_path):
    baroque = next((paintings / "train" / "Baroque").iterdir())
    shutil.copy(baroque, tmp_path / "photo.jpg")
    codes = model.encode([baroque, tmp_path / "photo.jpg"])
    assert [str(codes.styles[label]) for label in codes.labels] == ["Baroque", "unknown"]
    assert codes.split.tolist() == ["test", "test"]


def test_decoding_codes_reconstructs(model, paintings):
    files = sorted(paintings.rglob("*.jpg"))[:3]
    decoded = model.decode(model.encode(files))
    assert decoded.shape == (3, 3, 32, 32)
    assert torch.allclose(decoded, model.reconstruct(files), atol=1e-5)
    assert torch.allclose(model.decode(model.encode(files).codes.reshape(3, 4, 4, 4)), decoded)
    assert psnr(decoded, load_images(files, 32)).min() > 10


def test_pictures_may_come_from_an_iterator(model, paintings):
    files = sorted((paintings / "test" / "Cubism").iterdir())[:3]
    expected = model.encode(files)
    codes = model.encode(file for file in files)
    assert codes.files.tolist() == [str(file) for file in files]
    assert np.array_equal(codes.codes, expected.codes)


def test_pictures_are_loaded_a_batch_at_a_time(model, paintings, monkeypatch, capsys):
    files = sorted((paintings / "test" / "Cubism").iterdir())[:5]
    codes, images = model.encode(files).codes, model.reconstruct(files)
    loaded = []

    def load_and_count(batch, size, device, **options):
        loaded.append((len(batch), device))
        return load_images(batch, size, device, **options)

    monkeypatch.setattr(autoencoder, "BATCH_SIZE", 2)
    monkeypatch.setattr(load_module, "load_images", load_and_count)
    np.testing.assert_allclose(model.encode(files, progress=True).codes, codes, atol=1e-5)
    assert torch.allclose(model.reconstruct(load_images(files, 32)), images, atol=1e-5)
    assert loaded == [(number, model.device) for number in (2, 2, 1, 2, 2, 1)]


def test_files_that_cannot_be_read_are_named_or_skipped(model, paintings, tmp_path, monkeypatch):
    monkeypatch.setattr(autoencoder, "BATCH_SIZE", 2)
    broken = [tmp_path / f"{number}.jpg" for number in range(3)]
    for path in broken:
        path.write_bytes(b"no picture")
    whole = sorted((paintings / "test" / "Cubism").iterdir())[:2]
    files = [broken[0], whole[0], *broken[1:], whole[1]]
    with pytest.raises(InputError) as error:
        model.encode(files)
    assert error.value.field == str(broken[0])
    codes = model.encode(files, skip_unreadable=True)
    assert codes.files.tolist() == [str(path) for path in whole]
    np.testing.assert_allclose(codes.codes, model.encode(whole).codes, atol=1e-5)
    with pytest.raises(InputError) as error:
        model.encode(broken, skip_unreadable=True)
    assert error.value.field == str(broken[0])


def test_pictures_without_a_file_are_numbered_and_folders_may_be_spelled_otherwise(model, paintings, tmp_path):
    source = next((paintings / "train" / "Ukiyo_e").iterdir())
    copy = tmp_path / "UKIYO-E" / "a.jpg"
    copy.parent.mkdir()
    shutil.copy(source, copy)
    with Image.open(source) as opened:
        codes = model.encode([opened, opened.convert("RGB"), copy])
    assert codes.files.tolist() == [str(source), "image 2", str(copy)]
    assert codes.styles[codes.labels].tolist() == ["Ukiyo_e", "unknown", "Ukiyo_e"]
    assert model.encode(torch.rand(2, 3, 32, 32)).files.tolist() == ["image 1", "image 2"]
    own = Autoencoder(model.network, ("Café_Scenes", "Ukiyo_e"), model.config, "cpu")
    other = tmp_path / "cafe\u0301 scenes" / "b.jpg"
    other.parent.mkdir()
    shutil.copy(source, other)
    assert own.encode(other).styles.tolist() == ["Café_Scenes", "Ukiyo_e"]
    assert own.encode(other).labels.tolist() == [0]


@pytest.mark.parametrize("shape", [(64,), (2, 5), (2, 4, 8, 2)])
def test_codes_of_another_shape_are_refused(model, shape):
    with pytest.raises(ValueError, match=r"\(N, 64\)"):
        model.decode(np.zeros(shape))


def test_no_picture_is_refused(model):
    with pytest.raises(InputError) as error:
        model.encode([])
    assert error.value.field == "pictures"


def test_clusters_of_codes_have_scores_and_those_of_an_array_have_none(model, paintings):
    codes = model.encode(scan(paintings)).select("train")
    clusters = cluster(codes, "kmeans")  # as many as there are styles
    assert clusters.labels.shape == (96,)
    assert clusters.scores.ami > clusters.scores.ami_permuted[0]
    assert repr(clusters) == "Clustering(kmeans, 96 codes, 4 clusters, 0% noise)"
    assert "\n" not in repr(clusters.scores)
    with pytest.raises(ValueError, match="styles"):
        _ = cluster(codes.codes, "kmeans", n_clusters=4).scores
    with pytest.raises(ValueError, match="n_clusters"):
        cluster(codes.codes, "kmeans")


def test_selecting_a_split():
    codes = Codes(
        np.eye(3),
        np.array([0, 1, 1]),
        np.array(["a", "b", "c"]),
        np.array(["x", "y"]),
        np.array(["train", "test", "train"]),
    )
    assert codes.select("train").files.tolist() == ["a", "c"]
    assert codes.select(np.array([1])).labels.tolist() == [1]
    with pytest.raises(InputError) as error:
        codes.select("val")
    assert error.value.field == "split"


@pytest.mark.parametrize("codes", [np.zeros(10), np.full((10, 3), np.nan), np.zeros((10, 4, 4, 4))])
def test_clusters_need_finite_rows(codes):
    with pytest.raises(ValueError, match="finite"):
        cluster(codes, "kmeans", n_clusters=2)


def test_importing_the_package_is_instant():
    code = "import sys, wikiart_autoencode as w; print([m for m in ('torch', 'numpy', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_is_named_like_a_public_name():
    """Importing such a submodule would replace the function or class in the package."""
    package = Path(wikiart_autoencode.__file__).parent
    modules = {path.stem for path in package.iterdir() if not path.name.startswith("__")}
    assert {"training", "clustering"} <= modules
    assert not modules & set(wikiart_autoencode.__all__)


def test_the_readme_runs_and_names_every_file(paintings, capsys):
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    Path("paintings").symlink_to(paintings)
    shutil.copy(next(paintings.rglob("*.jpg")), "photo.jpg")
    (block,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    small = 'size=32, width=0.25, blocks=1, batch_size=16, epochs=1, device="cpu"'
    assert "size=64, epochs=2" in block
    names: dict[str, object] = {}
    exec(block.replace("size=64, epochs=2", small), names)
    images, photo = names["images"], names["photo"]
    assert isinstance(images, torch.Tensor)
    assert isinstance(photo, torch.Tensor)
    assert (images.shape, photo.shape) == ((48, 3, 32, 32), (1, 3, 32, 32))
    assert "Clustering(kmeans, 96 codes, 4 clusters" in capsys.readouterr().out
    package = Path(__file__).parent.parent / "src" / "wikiart_autoencode"
    files = {str(path.relative_to(package)) for path in package.rglob("*.*") if path.suffix not in (".pyc", ".typed")}
    listed = set(re.findall(r"^\| `([\w/.]+\.\w+)` \|", readme, re.MULTILINE))
    assert listed == {file for file in files if not Path(file).name.startswith("__")}
