"""How a run starts: which run it is, what it reads, and what prior images and validation are made of."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_lora import training
from wikiart_lora.adapter import add_adapter
from wikiart_lora.base_models.loading import load_base
from wikiart_lora.cli import main
from wikiart_lora.config import TrainConfig
from wikiart_lora.dataset import LatentDataset, generate_prior_images
from wikiart_lora.figures import learning_curve
from wikiart_lora.sampling import sample_images

CONFIG = TrainConfig(
    size=16, rank=2, targets="attention", text_encoder="none", batch_size=4, num_prior_images=3, num_inference_steps=1
)


def test_resume_auto_starts_a_run_and_finds_one_that_was_killed_at_its_start(options):
    command = [*options, "--steps", "1", "--name", "one", "--resume", "auto"]
    assert main(command) == 0
    run = Path("runs/lora/one")
    record = json.loads((run / "run.json").read_text())
    assert record["fingerprints"]
    for name in ("result.json", "last.safetensors", "state.pt"):
        (run / name).unlink()
    (run / "run.json").write_text(json.dumps({key: value for key, value in record.items() if key != "fingerprints"}))
    assert main(command) == 0
    assert (run / "result.json").exists()
    assert json.loads((run / "run.json").read_text())["fingerprints"] == record["fingerprints"]


def test_a_dry_run_that_may_resume_trains_nothing(options):
    assert main([*options, "--dry-run", "--resume", "auto"]) == 0
    assert not Path("runs").exists()


def test_prior_images_are_those_of_the_base_alone(sd):
    base = load_base(str(sd))
    expected = generate_prior_images_without_adapter(str(sd))
    adapter = add_adapter(base, CONFIG)
    with torch.no_grad():
        for weight in adapter.parameters():
            weight.normal_()  # as after --init-adapter
    prior = generate_prior_images(base, ["a lake"], CONFIG)
    torch.testing.assert_close(prior.latents, expected)
    assert all(weight.requires_grad for weight in adapter.parameters())
    adapted = sample_images(base, ["a lake"], [0], 16, 1)
    assert not torch.equal(adapted, sample_images(load_base(str(sd)), ["a lake"], [0], 16, 1))


def generate_prior_images_without_adapter(base: str) -> torch.Tensor:
    loaded = load_base(base)
    add_adapter(loaded, CONFIG)  # B = 0
    return generate_prior_images(loaded, ["a lake"], CONFIG).latents


def test_prior_images_have_titles_of_training_images(options, monkeypatch):
    titles = []

    def generate(base, given, config):
        titles.extend(given)
        raise InputError("that is enough", field="--num-prior-images")

    monkeypatch.setattr(training, "generate_prior_images", generate)
    assert main([*options, "--num-prior-images", "2"]) == 2
    assert set(titles) == {"a red lake train"}


@pytest.mark.parametrize("no_cache", [False, True])
def test_unreadable_files_are_counted_with_and_without_the_cache(sd, paintings, tmp_path, no_cache):
    root = tmp_path / "paintings"
    shutil.copytree(paintings, root)
    (root / "train/Baroque/broken_one-1.jpg").write_bytes(b"\xff\xd8\xff" + bytes(50))
    base, catalog = load_base(str(sd)), scan(root)
    config = replace(CONFIG, no_cache=no_cache, max_bad_fraction=0.0)
    with pytest.raises(InputError) as error:
        LatentDataset(base, catalog, config, torch.float32)
    assert error.value.field == "--max-bad-fraction"
    assert "broken_one-1" in str(error.value)
    dataset = LatentDataset(base, catalog, replace(config, max_bad_fraction=0.5), torch.float32)
    assert len(dataset.all_rows("train")) == len(catalog.rows("train")) - 1


def test_captions_of_other_styles_are_measured_only_where_there_are_some(sd, options, paintings, tmp_path, capsys):
    root = tmp_path / "paintings"
    shutil.copytree(paintings, root)
    config = replace(CONFIG, no_cache=True)

    def is_swapped() -> bool:
        dataset = LatentDataset(load_base(str(sd)), scan(root), config, torch.float32)
        return dataset.swaps_every_style(dataset.rows("valid"))

    assert is_swapped()
    for file in root.rglob("*.jpg"):
        file.with_suffix(".txt").write_text("a caption of my own")
    assert not is_swapped()
    for style in ("Cubism", "Baroque"):
        for split in ("train", "valid", "test"):
            shutil.rmtree(root / split / style)
    for file in root.rglob("*.txt"):
        file.unlink()
    assert main([*options, "--data", str(root), "--steps", "1", "--name", "one"]) == 0
    (line,) = map(json.loads, Path("runs/lora/one/metrics.jsonl").read_text().splitlines())
    assert line["valid"] > 0
    assert "valid_swapped" not in line
    assert "other styles" not in capsys.readouterr().out
    learning_curve([line])
