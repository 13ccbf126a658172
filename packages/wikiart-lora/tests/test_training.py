"""The train command: results, resuming, the cache, too little memory, mistakes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import wikiart_lora
from wikiart_data.errors import InputError
from wikiart_data.training.schedule import warmup_cosine
from wikiart_data.training.training_run import TrainingRun
from wikiart_lora import cache, steps, training
from wikiart_lora.cli import main
from wikiart_lora.optimizers import lr_factor


def result_of(name: str) -> dict:
    return json.loads(Path("runs/lora", name, "result.json").read_text())


def weights_of(name: str) -> dict[str, torch.Tensor]:
    return load_file(Path("runs/lora", name, "model.safetensors"))


def metrics_of(name: str) -> list[dict]:
    return [json.loads(line) for line in Path("runs/lora", name, "metrics.jsonl").read_text().splitlines()]


def same_weights(a: str, b: str) -> bool:
    first, second = weights_of(a), weights_of(b)
    return first.keys() == second.keys() and all(first[key].equal(second[key]) for key in first)


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch, shared_cache: Path) -> None:
    """Validation on three images, and one cache."""
    monkeypatch.setattr("wikiart_lora.validation.MAX_IMAGES", 3)
    monkeypatch.setenv("WIKIART_CACHE", str(shared_cache))


@pytest.mark.usefixtures("figures", "no_figures")  # its images are made, as in a user's run, but not rendered
def test_a_resumed_run_ends_with_the_same_weights(options, monkeypatch):
    more = [*options, "--steps", "6", "--save-every", "2", "--flip", "--aspect", "--noise-offset", "0.1"]
    assert main([*more, "--name", "whole"]) == 0
    steps = iter([False] * 2 + [True])
    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "_should_stop", lambda *_: next(steps))
        assert main([*more, "--name", "interrupted"]) == 143
    assert main(["--resume", "runs/lora/interrupted"]) == 0
    assert same_weights("whole", "interrupted")
    lines, whole = metrics_of("interrupted"), metrics_of("whole")
    assert [(line["step"], line["valid"]) for line in lines] == [(line["step"], line["valid"]) for line in whole]
    assert [line["step"] for line in lines] == [2, 4, 6]


@pytest.mark.usefixtures("figures")
def test_a_run_is_complete(options, capsys):
    assert (
        main([*options, "--steps", "10", "--save-every", "10", "--targets", "all", "--rank", "8", "--name", "one"]) == 0
    )
    run = Path("runs/lora/one")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["valid"] > 0
    for figure in ("step-000010", "learning"):
        assert (run / f"figures/{figure}.png").read_bytes().startswith(b"\x89PNG")
    result = result_of("one")
    assert result["trainable"] == sum(tensor.numel() for tensor in weights_of("one").values())
    assert "fp32 (as requested)" in capsys.readouterr().out


def test_gradient_accumulation_gives_the_same_update(options):
    assert main([*options, "--steps", "2", "--name", "whole"]) == 0
    assert main([*options, "--steps", "2", "--gradient-accumulation-steps", "3", "--name", "parts"]) == 0
    first, second = weights_of("whole"), weights_of("parts")
    for key in first:
        torch.testing.assert_close(first[key], second[key], rtol=1e-2, atol=1e-4)


def test_out_of_memory_increases_gradient_accumulation(options, monkeypatch, capsys):
    predict = steps.predict

    def small_memory(base, network, noisy, timesteps, text):
        if torch.is_grad_enabled() and len(noisy) > 1:
            raise torch.OutOfMemoryError("too little")
        return predict(base, network, noisy, timesteps, text)

    with monkeypatch.context() as patch:
        patch.setattr(steps, "predict", small_memory)
        assert main([*options, "--steps", "2", "--name", "poor"]) == 0
    printed = capsys.readouterr().out
    assert "using 2 gradient-accumulation steps" in printed
    assert "--gradient-accumulation-steps 4" in printed
    assert result_of("poor")["gradient_accumulation_steps"] == 4
    assert main([*options, "--steps", "2", "--gradient-accumulation-steps", "4", "--name", "configured"]) == 0
    assert same_weights("poor", "configured")


def test_out_of_memory_with_one_image_is_an_error(options, monkeypatch, capsys):
    def no_memory(*_):
        raise torch.OutOfMemoryError("too little")

    monkeypatch.setattr(steps, "predict", no_memory)
    assert main([*options, "--name", "none"]) == 2
    assert "--gradient-checkpointing" in capsys.readouterr().err


@pytest.mark.usefixtures("figures", "no_figures")
@pytest.mark.parametrize(
    ("family", "most", "tasks"),
    [
        ("sd", 2, ("encoding images", "sampling the grid", "validating")),
        ("sdxl", 6, ("encoding images", "sampling the grid", "decoding images")),
    ],
)
def test_a_device_with_room_for_few_images_trains_and_draws(request, options, monkeypatch, capsys, family, most, tasks):
    """As on a GPU with too little memory, networks refuse large batches: the autoencoder takes one image at a time."""
    import diffusers

    def limit(network: type, method: str, most: int) -> None:
        function = getattr(network, method)

        def limited(self, images, *args, **kwargs):
            if len(images) > most:
                raise torch.OutOfMemoryError("too little")
            return function(self, images, *args, **kwargs)

        monkeypatch.setattr(network, method, limited)

    limit(diffusers.AutoencoderKL, "encode", 1)
    limit(diffusers.AutoencoderKL, "decode", 1)
    limit(diffusers.UNet2DConditionModel, "forward", most)  # guidance takes each image twice
    base = ["--base", str(request.getfixturevalue(family)), "--num-prior-images", "2"]
    assert main([*options, *base, "--steps", "2", "--save-every", "2", "--name", "small"]) == 0
    printed = capsys.readouterr().out
    for task in tasks:
        assert f"Out of memory while {task}" in printed
    assert Path("runs/lora/small/figures/step-000002.png").exists()
    assert "Warning" not in printed


def test_a_grid_that_fails_is_a_warning_and_the_run_is_saved(options, monkeypatch, capsys):
    def no_memory(*_):
        assert Path("runs/lora/one/last.safetensors").exists()
        assert Path("runs/lora/one/model.safetensors").exists()
        raise torch.OutOfMemoryError("too little")

    monkeypatch.setattr(training, "before_and_after", no_memory)
    assert main([*options, "--steps", "4", "--save-every", "2", "--name", "one"]) == 0
    assert capsys.readouterr().out.count("Warning: the sample grid of step") == 2
    assert [line["step"] for line in metrics_of("one")] == [2, 4]
    assert not any(Path("runs/lora/one/figures").glob("step-*"))


@pytest.mark.parametrize(("every", "steps"), [("0", []), ("3", [4, 6, 7]), ("100", [7])])
def test_sample_every(options, every, steps):
    assert main([*options, "--steps", "7", "--save-every", "2", "--sample-every", every, "--name", "one"]) == 0
    figures = Path("runs/lora/one/figures").glob("step-*.png")
    assert sorted(int(figure.stem.partition("-")[2]) for figure in figures) == steps


def test_another_base_under_the_same_name_is_noticed(options, sd, tmp_path, monkeypatch, capsys):
    base = tmp_path / "base"
    shutil.copytree(sd, base)
    steps = iter([False, True])
    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "_should_stop", lambda *_: next(steps))
        assert main([*options, "--base", str(base), "--save-every", "1", "--name", "one"]) == 143
    file = base / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["conv_out.bias"] += 1
    save_file(weights, file)
    capsys.readouterr()
    assert main(["--resume", "runs/lora/one"]) == 2
    assert "--base" in capsys.readouterr().err
    assert main(["generate", "runs/lora/one", "--prompt", "a lake", "--device", "cpu"]) == 2
    assert str(base) in capsys.readouterr().err
    shutil.copytree(sd, base, dirs_exist_ok=True)
    assert main(["--resume", "runs/lora/one"]) == 0


def test_an_adapter_can_be_continued_in_a_new_run(options):
    assert main([*options, "--steps", "2", "--name", "first", "--alpha", "4"]) == 0
    more = ["--init-adapter", "runs/lora/first", "--lr", "0", "--alpha", "1", "--rslora", "--steps", "1"]
    assert main([*options, *more, "--name", "second"]) == 0
    first, second = weights_of("first"), weights_of("second")
    for name in first:  # alpha / rank was 4 / 2, and is 1 / √2
        ratio = 2 * 2**0.5 if "lora_B" in name else 1
        torch.testing.assert_close(second[name], first[name] * ratio)
    assert main([*options, "--init-adapter", "runs/lora/first", "--rank", "3", "--name", "third"]) == 2
    assert not Path("runs/lora/third").exists()


def test_dropout_is_repeated_after_a_resume(options, monkeypatch):
    more = [*options, "--lora-dropout", "0.5", "--save-every", "2"]
    assert main([*more, "--name", "whole"]) == 0
    steps = iter([False, False, True])
    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "_should_stop", lambda *_: next(steps))
        assert main([*more, "--name", "interrupted"]) == 143
    assert main(["--resume", "runs/lora/interrupted"]) == 0
    assert same_weights("whole", "interrupted")
    assert main([*options, "--save-every", "2", "--name", "without"]) == 0
    assert not same_weights("whole", "without")


def test_learning_rate_schedules():
    cosine, standard = lr_factor("cosine", 0.15, 40), warmup_cosine(40)
    assert [cosine(step) for step in range(40)] == [standard(step) for step in range(40)]
    assert [lr_factor("constant", 0.25, 8)(step) for step in range(8)] == [0.5, 1, 1, 1, 1, 1, 1, 1]
    assert [lr_factor("linear", 0.0, 4)(step) for step in range(4)] == [0.75, 0.5, 0.25, 0]


@pytest.mark.parametrize(
    "more",
    [
        ["--no-cache", "--text-encoder", "attention", "--text-encoder-lr", "0.001"],
        ["--text-encoder", "embeddings", "--dora", "--optimizer", "muon"],
        ["--gradient-checkpointing", "--num-prior-images", "3", "--rslora", "--loraplus-ratio", "4"],
        ["--dora", "--style", "cubism", "--trigger", "zwx"],
    ],
)
def test_options_train(options, more, capsys):
    assert main([*options, "--steps", "2", "--name", "one", *more]) == 0
    assert any("text_encoder." in key for key in weights_of("one")) == ("--text-encoder" in more)
    assert any("lora_embedding_A" in key for key in weights_of("one")) == ("embeddings" in more)
    assert f"--style {'Cubism' if '--style' in more else 'Ukiyo_e'} --prompt" in capsys.readouterr().out


def test_weights_without_the_cache_are_nearly_the_same(options):
    assert main([*options, "--steps", "2", "--name", "cached"]) == 0
    assert main([*options, "--steps", "2", "--name", "uncached", "--no-cache"]) == 0
    first, second = weights_of("cached"), weights_of("uncached")
    # AdamW's first updates have the size of the learning rate whatever the gradient's; rounding flips few of them.
    near = [torch.isclose(first[key], second[key], atol=1e-3).float().mean().item() for key in first]
    assert np.mean(near) > 0.9


@pytest.mark.parametrize("family", ["sd_v", "sdxl", "flux2"])
def test_other_families_train_save_load_and_generate(request, options, family):
    base = str(request.getfixturevalue(family))
    assert main([*options, "--base", base, "--steps", "1", "--name", family]) == 0
    run = f"runs/lora/{family}"
    assert (
        main(["generate", run, "--style", "Baroque", "-n", "1", "--num-inference-steps", "1", "--device", "cpu"]) == 0
    )
    assert Path("pictures/000.png").read_bytes().startswith(b"\x89PNG")


def test_two_processes_train_like_one(options, in_two_processes):
    options = [*options, "--steps", "2", "--num-prior-images", "3"]
    assert main([*options, "--name", "alone"]) == 0
    printed = in_two_processes("-m", "wikiart_lora", "train", *options, "--name", "two")
    assert printed.count("step      2 of 2") == 1
    assert json.loads(Path("runs/lora/two/run.json").read_text())["processes"] == 2
    assert sorted(folder.name for folder in Path("runs/lora").iterdir()) == ["alone", "two"]
    first, second = weights_of("alone"), weights_of("two")
    for key in first:  # the same batches and noise; gradients are summed in another order
        torch.testing.assert_close(first[key], second[key], rtol=1e-2, atol=1e-4)


def test_the_loss_of_one_batch_by_hand(options, monkeypatch, sd):
    """The loss that training logs, computed again with the networks of diffusers."""
    import diffusers

    from wikiart_data.images.batches import step_seed

    inputs: list[tuple] = []
    latents: list[torch.Tensor] = []
    predict, read = steps.predict, cache.CachedLatents.read

    def recorded_predict(base, network, noisy, timesteps, text):
        inputs.append((noisy.clone(), timesteps.clone(), {name: value.clone() for name, value in text.items()}))
        return predict(base, network, noisy, timesteps, text)

    def recorded_read(self, rows, mirrored=None):
        latents.append(read(self, rows, mirrored))
        return latents[-1]

    monkeypatch.setattr(steps, "predict", recorded_predict)
    monkeypatch.setattr(cache.CachedLatents, "read", recorded_read)
    assert main([*options, "--steps", "1", "--name", "one", "--caption-dropout", "0"]) == 0
    (noisy, timesteps, text), clean = inputs[0], next(values for values in latents if len(values) == 4)
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        sd, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    scheduler = diffusers.DDPMScheduler.from_config(pipeline.scheduler.config)
    generator = torch.Generator().manual_seed(step_seed(0, 0, 0))
    torch.rand(4, generator=generator)  # which images are mirrored
    drawn = torch.randint(1000, (4,), generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    assert timesteps.long().tolist() == drawn.tolist()
    torch.testing.assert_close(noisy, scheduler.add_noise(clean, noise, drawn), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        prediction = pipeline.unet(noisy, drawn, text["embeds"]).sample
    alphas = scheduler.alphas_cumprod[drawn]
    snr = alphas / (1 - alphas)
    errors = ((prediction - noise) ** 2).mean(dim=(1, 2, 3))
    expected = (errors * torch.minimum(snr, torch.tensor(5.0)) / snr).mean()
    assert metrics_of("one")[0]["loss"] == pytest.approx(expected.item(), rel=1e-3)


def test_a_dry_run_writes_nothing(options, capsys):
    assert main([*options, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "trainable parameters" in printed
    for stage in ("encoding 8 captions", "encoding 8 images", "a training step with 4 images", "decoding an image"):
        assert stage in printed
    assert "s, training about" in printed
    assert not Path("runs").exists()


def test_one_style_is_described_by_its_own_number_of_images(options, capsys):
    assert main([*options, "--dry-run", "--style", "ukiyo-e"]) == 0
    assert "Ukiyo_e, 6 training images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--steps", "0"], "--steps"),
        (["--caption-dropout", "2"], "--caption-dropout"),
        (["--base", "nobody/nothing"], "--base nobody/nothing"),
        (["--style", "Ukiyo"], "Ukiyo_e"),
        (["--data", "nowhere"], "nowhere"),
        (["--judge", "nowhere"], "--judge nowhere"),
        (["generate", "nowhere", "--prompt", "a lake"], "nowhere"),
        (["generate"], "--prompt"),
        (["export", "--to", "x.bin"], "--to x.bin"),
    ],
)
def test_mistakes_are_errors_that_name_their_cause(options, capsys, monkeypatch, arguments, name):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the hub's client retries
    command = [*options, *arguments] if arguments[0].startswith("--") else arguments
    assert main(command) == 2
    printed = capsys.readouterr().err
    assert name in printed
    assert "Traceback" not in printed
    assert not Path("runs").exists()


def test_bases_are_listed(capsys):
    for arguments in (["--base"], ["--base", "list"], ["train", "--base", "--steps", "3"]):
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        assert "sd15" in printed
        assert "Apache 2.0" in printed


def test_training_and_loading_in_python(options, paintings, sd):
    result = wikiart_lora.train(
        wikiart_lora.TrainOptions(
            base=str(sd), data=str(paintings), steps=1, batch_size=4, size=16, rank=2, device="cpu",
            num_inference_steps=1, name="python",
        )
    )  # fmt: skip
    assert (result.steps, result.folder, result.score) == (1, Path("runs/lora/python"), None)
    pipeline = wikiart_lora.load_pipeline(result.folder, device="cpu")
    assert type(pipeline).__name__ == "StableDiffusionPipeline"
    assert pipeline.get_active_adapters() == ["default"]
    newest = wikiart_lora.load_pipeline(device="cpu", runs=result.folder.parent.parent)
    assert newest.unet.state_dict().keys() == pipeline.unet.state_dict().keys()
    image = pipeline("a cubism painting", height=16, width=16, num_inference_steps=1).images[0]
    assert image.size == (16, 16)
    with pytest.raises(InputError) as error:
        wikiart_lora.load_pipeline("nowhere")
    assert error.value.field == "nowhere"
