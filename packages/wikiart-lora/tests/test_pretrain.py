"""Pretraining `tiny`: random marks, the three stages and their resumption, and what an autoencoder keeps."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from wikiart_data.errors import InputError
from wikiart_data.judge import Judge, JudgeInfo
from wikiart_data.sample.scenes import Scene
from wikiart_data.training.training_run import TrainingRun
from wikiart_lora.base_models.loading import load_base
from wikiart_lora.cli import main
from wikiart_lora.sampling import sample_images
from wikiart_lora.tiny_base import autoencoder, autoencoder_quality, pictures
from wikiart_lora.tiny_base.autoencoder import held_out_images, load_autoencoder, measure, save_autoencoder
from wikiart_lora.tiny_base.config import AutoencoderOptions, EvaluateAutoencoderOptions, NarrowOptions
from wikiart_lora.tiny_base.denoiser import Latents
from wikiart_lora.tiny_base.marks import marked_picture
from wikiart_lora.tiny_base.networks import make_vae
from wikiart_lora.tiny_base.pictures import PictureBatches

QUICK = ["--steps", "3", "--save-every", "2", "--batch-size", "2", "--device", "cpu", "--precision", "fp32"]
STAGES = {
    "pretrain-autoencoder": ["--channels", "3", "--width", "8", "--ema", "0.5"],
    "pretrain-decoder": ["--autoencoder", "runs/pretrain-autoencoder/whole", "--ema", "0.5"],
    "pretrain-denoiser": [
        "--autoencoder", "runs/pretrain-decoder/whole", "--num-scenes", "6", "--num-marked", "3",
        "--widths", "8", "16", "16", "--ema", "0.5",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run `whole` of every stage, and a run `interrupted` that was stopped once and resumed."""
    folder = tmp_path_factory.mktemp("stages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(autoencoder, "HELD_OUT_NUMBER", 2)
        for stage, options in STAGES.items():
            assert main([stage, *QUICK, *options, "--name", "whole"]) == 0
            with pytest.MonkeyPatch.context() as stopping:
                stopping.setattr(TrainingRun, "_should_stop", lambda *_: True)
                assert main([stage, *QUICK, *options, "--name", "interrupted"]) == 143
            assert main([stage, "--resume", f"runs/{stage}/interrupted"]) == 0
    return folder / "runs"


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All weights that a stage has written, by file and name."""
    files = sorted((run / "base").rglob("*.safetensors"))
    return {f"{file.parent.name}/{key}": value for file in files for key, value in load_file(file).items()}


@pytest.mark.parametrize("stage", STAGES)
def test_a_resumed_stage_ends_with_the_same_weights(stages, stage):
    whole, interrupted = (weights(stages / stage / name) for name in ("whole", "interrupted"))
    assert whole
    assert whole.keys() == interrupted.keys()
    assert all(torch.equal(whole[key], interrupted[key]) for key in whole)


def test_the_second_stage_changes_the_decoder_alone(stages):
    first, second = (weights(stages / f"pretrain-{name}" / "whole") for name in ("autoencoder", "decoder"))
    changed = {key.partition("/")[2].partition(".")[0] for key in first if not torch.equal(first[key], second[key])}
    assert changed == {"decoder", "post_quant_conv"}


def test_the_third_stage_continues_from_the_weights_of_a_base(stages, monkeypatch, capsys):
    monkeypatch.chdir(stages.parent)
    arguments = ["pretrain-denoiser", *QUICK, *STAGES["pretrain-denoiser"], "--name", "further", "--lr", "0"]
    first = "runs/pretrain-denoiser/whole"
    assert main([*arguments, "--init", f"{first}/base"]) == 0  # at a rate of 0 they stay as they are
    before, after = weights(Path(first)), weights(stages / "pretrain-denoiser" / "further")
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert main([*arguments, "--overwrite", "--init", f"{first}/base", "--widths", "16", "16", "16"]) == 2
    assert main([*arguments, "--overwrite", "--init", "runs"]) == 2
    assert capsys.readouterr().err.count("--init") == 2


def test_the_third_stage_writes_a_whole_base_of_that_autoencoder(stages):
    run = stages / "pretrain-denoiser" / "whole"
    base = load_base(str(run / "base"))
    assert base.family == "sd"
    assert base.denoiser.config.in_channels == base.pipeline.vae.config.latent_channels == 3
    written, autoencoder_weights = weights(run), weights(stages / "pretrain-decoder" / "whole")
    assert all(torch.equal(written[key], value) for key, value in autoencoder_weights.items())
    latents = load_file(run / "latents.safetensors")
    assert latents["plain"].shape == (2, 6, 3, 16, 16)
    assert latents["plain"].float().std().item() == pytest.approx(1, abs=0.01)
    assert sample_images(base, ["a portrait"], [0], 64, num_inference_steps=1).shape == (1, 3, 64, 64)


def test_latents_carry_marks_only_where_asked():
    plain, marked = torch.zeros(2, 6, 1, 2, 2), torch.ones(2, 3, 1, 2, 2)
    with_marks = torch.tensor([True, False, True, False])
    drawn = Latents(plain, marked, 1.0).draw(torch.tensor([2, 2, 0, 5]), with_marks, torch.Generator().manual_seed(0))
    assert torch.equal(drawn[:, 0, 0, 0], with_marks.float())


def test_batches_do_not_depend_on_who_draws_them(monkeypatch):
    monkeypatch.setattr(pictures, "ProcessPoolExecutor", lambda workers, context: ThreadPoolExecutor(workers))
    batches = []
    for workers in (0, 2):
        options = AutoencoderOptions(save_every=2, workers=workers)
        with PictureBatches(options, 4, torch.device("cpu")) as source:
            batches.append([images for interval in (3, 4) for _, images in source.interval(interval, range(2))])
    assert all(torch.equal(one, other) for one, other in zip(*batches, strict=True))
    assert not torch.equal(batches[0][0], batches[0][2])  # new pictures in every interval
    assert batches[0][0].shape == (4, 3, 64, 64)
    assert -1 <= batches[0][0].min() < -0.2 < 0.2 < batches[0][0].max() <= 1


def test_random_marks_are_repeatable_and_keep_the_scene_where_asked():
    scene = Scene("portrait", 1)
    plain = scene.render(48).colour.mean(axis=2)
    likeness = {}
    for keep_scene in (True, False):
        images = [marked_picture(scene, 48, np.random.default_rng(i), keep_scene=keep_scene) for i in range(24)]
        again = marked_picture(scene, 48, np.random.default_rng(5), keep_scene=keep_scene)
        assert np.array_equal(again, images[5])
        assert all(image.shape == (48, 48, 3) and image.dtype == np.uint8 for image in images)
        correlations = [np.corrcoef(plain.ravel(), image.mean(axis=2).ravel())[0, 1] for image in images]
        likeness[keep_scene] = np.nanmedian(np.abs(correlations))
    assert likeness[True] > likeness[False] + 0.1


def test_an_autoencoder_has_the_shape_in_its_own_config(tmp_path):
    assert load_autoencoder("tiny").config.latent_channels == 12
    vae = make_vae(5, 8)
    save_autoencoder(vae, 0.5, tmp_path / "base" / "vae")
    loaded = load_autoencoder(str(tmp_path))
    assert (loaded.config.latent_channels, loaded.config.scaling_factor) == (5, 0.5)
    assert torch.equal(loaded.decoder.conv_in.weight, vae.decoder.conv_in.weight.half().float())
    for missing in ("nowhere", str(tmp_path / "base" / "vae")):
        with pytest.raises(InputError) as caught:
            load_autoencoder(missing)
        assert caught.value.field == "--autoencoder"


def test_the_posterior_is_measured_in_units_of_the_latents_spread():
    torch.manual_seed(0)
    vae = make_vae(3, 8).eval()
    images = torch.rand(4, 3, 64, 64)
    fidelity, decoded = measure(vae, images, batch_size=3)
    with torch.no_grad():
        posterior = vae.encode(images * 2 - 1).latent_dist
    assert fidelity.spread == pytest.approx(posterior.mean.std().item(), rel=1e-4)
    assert fidelity.deviation == pytest.approx((posterior.std.mean() / posterior.mean.std()).item(), rel=1e-4)
    assert len(fidelity.deviations) == 3
    assert fidelity.psnr == pytest.approx(-10 * np.log10((decoded - images).square().mean().item()), abs=1e-3)


def test_a_narrower_posterior_has_the_same_means_and_decoder(tmp_path, monkeypatch):
    monkeypatch.setattr(autoencoder, "HELD_OUT_NUMBER", 2)
    torch.manual_seed(0)
    vae = make_vae(3, 8)
    with torch.no_grad():
        vae.quant_conv.bias[3] -= 20  # the first channel's posterior is narrow already
    save_autoencoder(vae, 0.5, tmp_path / "wide" / "vae")
    arguments = ["narrow-posterior", "--autoencoder", str(tmp_path / "wide"), "--to", str(tmp_path / "narrow")]
    assert main([*arguments, "--deviation", "0.05"]) == 0
    before, after = (load_autoencoder(str(tmp_path / name)) for name in ("wide", "narrow"))
    images = held_out_images()
    (wide, decoded), (narrow, decoded_after) = measure(before, images), measure(after, images)
    assert torch.equal(decoded, decoded_after)
    assert (narrow.psnr, narrow.spread) == (wide.psnr, wide.spread)
    assert wide.deviations[0] == narrow.deviations[0] < 0.05
    assert narrow.deviations[1:] == pytest.approx([0.05, 0.05], rel=0.01)  # the bias is rounded to fp16
    assert dict(after.config) == dict(before.config) | {"_name_or_path": after.config._name_or_path}
    with pytest.raises(InputError) as caught:
        autoencoder.narrow(NarrowOptions(str(tmp_path / "wide"), to=tmp_path / "narrow"))
    assert caught.value.field == "--to"


@pytest.mark.parametrize("stage", ["pretrain-autoencoder", "pretrain-decoder"])
def test_an_autoencoder_is_saved_with_a_narrow_posterior(stages, stage, monkeypatch):
    monkeypatch.setattr(autoencoder, "HELD_OUT_NUMBER", 2)
    run = stages / stage / "whole"
    result = json.loads((run / "result.json").read_text())
    fidelity, _ = measure(load_autoencoder(str(run)), held_out_images())
    assert max(fidelity.deviations) == pytest.approx(0.04, rel=0.01)
    assert result["deviation"] == pytest.approx(fidelity.deviation, rel=0.01)
    if stage == "pretrain-autoencoder":
        assert result["trained_deviation"] > 0.3  # three steps have not narrowed it


def test_an_autoencoder_is_judged_on_both_mixes_of_styles(paintings, tmp_path, monkeypatch, capsys):
    class ByColour(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            means = images.mean(dim=(2, 3))
            return means, means

    judge = Judge(JudgeInfo(("Baroque", "Cubism", "Ukiyo_e"), 16), ByColour())
    monkeypatch.setattr(autoencoder_quality.Judge, "load", lambda folder, device: judge)
    options = EvaluateAutoencoderOptions(data=str(paintings), judge=tmp_path, size=24, to=tmp_path / "x.png")
    monkeypatch.setattr(
        autoencoder_quality, "measure", lambda vae, images: (measure(vae, images)[0], images.flip(1))
    )  # red and blue change places: every Cubist (green) image is still recognised, no other
    _, table = autoencoder_quality.evaluate_autoencoder(options)
    real, decoded = table.rows
    assert (real[1].value, real[2].value) == (1.0, 1.0)
    assert (decoded[1].value, decoded[2].value) == (pytest.approx(4 / 13), pytest.approx(1 / 3))
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
