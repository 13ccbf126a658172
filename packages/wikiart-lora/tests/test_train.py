"""The command as a user runs it: training, going on after a break, the cache, too little memory, mistakes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import load_file

from wikiart_data.training.legacy_run import Run
from wikiart_lora import cache, train
from wikiart_lora.cli import main


def result_of(name: str) -> dict:
    return json.loads(Path("runs/lora", name, "result.json").read_text())


def weights_of(name: str) -> dict[str, torch.Tensor]:
    return load_file(Path("runs/lora", name, "model.safetensors"))


def same_weights(a: str, b: str) -> bool:
    first, second = weights_of(a), weights_of(b)
    return first.keys() == second.keys() and all(first[key].equal(second[key]) for key in first)


@pytest.fixture(autouse=True)
def _without_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids of pictures take longer than the steps between them. A whole run keeps them, and a broken one."""
    if not request.node.name.endswith(("whole_run", "a_resume_and_five")):
        monkeypatch.setattr("wikiart_lora.train.before_and_after", lambda *_: Figure(figsize=(1, 1)))


def test_ten_steps_are_five_and_a_resume_and_five(options, monkeypatch):
    more = [*options, "--steps", "10", "--every", "4", "--flip", "--aspect", "--noise-offset", "0.1"]
    assert main([*more, "--name", "whole"]) == 0
    steps = iter([False] * 4 + [True])
    with monkeypatch.context() as patch:
        patch.setattr(Run, "should_stop", lambda run: next(steps))
        assert main([*more, "--name", "broken"]) == 143
    assert main(["--resume", "runs/lora/broken"]) == 0
    assert same_weights("whole", "broken")
    lines = [json.loads(line) for line in Path("runs/lora/broken/metrics.jsonl").read_text().splitlines()]
    whole = [json.loads(line) for line in Path("runs/lora/whole/metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["valid"]) for line in lines] == [(line["step"], line["valid"]) for line in whole]
    assert [line["step"] for line in lines] == [4, 8, 10]


def test_it_learns_and_leaves_a_whole_run(options, capsys):
    assert main([*options, "--steps", "40", "--every", "40", "--targets", "all", "--rank", "8", "--name", "one"]) == 0
    run = Path("runs/lora/one")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["valid"] > 0
    for figure in ("step-000040", "learning"):
        assert (run / f"figures/{figure}.png").read_bytes().startswith(b"\x89PNG")
    result = result_of("one")
    assert result["trainable"] == sum(tensor.numel() for tensor in weights_of("one").values())
    assert "as asked" in capsys.readouterr().out


def test_a_batch_in_parts_is_the_same_step(options):
    assert main([*options, "--steps", "2", "--name", "whole"]) == 0
    assert main([*options, "--steps", "2", "--accumulate", "3", "--name", "parts"]) == 0
    first, second = weights_of("whole"), weights_of("parts")
    for key in first:
        torch.testing.assert_close(first[key], second[key], rtol=1e-2, atol=1e-4)


def test_out_of_memory_halves_the_batch_and_says_so(options, monkeypatch, capsys):
    real = train.predict

    def small_memory(base, network, noisy, times, text):
        if torch.is_grad_enabled() and len(noisy) > 1:
            raise torch.OutOfMemoryError("too little")
        return real(base, network, noisy, times, text)

    with monkeypatch.context() as patch:
        patch.setattr(train, "predict", small_memory)
        assert main([*options, "--steps", "2", "--name", "poor"]) == 0
    told = capsys.readouterr().out
    assert "in 2 parts" in told
    assert "--accumulate 4" in told
    assert result_of("poor")["pieces"] == 4
    assert main([*options, "--steps", "2", "--accumulate", "4", "--name", "told"]) == 0
    assert same_weights("poor", "told")


def test_out_of_memory_with_one_picture_is_a_sentence(options, monkeypatch, capsys):
    def no_memory(*_):
        raise torch.OutOfMemoryError("too little")

    monkeypatch.setattr(train, "predict", no_memory)
    assert main([*options, "--name", "none"]) == 2
    assert "--checkpointing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more",
    [
        ["--no-cache", "--text-encoder", "attention", "--text-lr", "0.001"],
        ["--text-encoder", "words", "--dora", "--optimizer", "muon"],
        ["--checkpointing", "--prior", "3", "--rslora", "--plus", "4"],
        ["--dora", "--style", "ukiyo-e", "--trigger", "zwx"],
    ],
)
def test_options_train(options, more):
    assert main([*options, "--steps", "2", "--name", "one", *more]) == 0
    assert any("text_encoder." in key for key in weights_of("one")) == ("--text-encoder" in more)
    assert any("lora_embedding_A" in key for key in weights_of("one")) == ("words" in more)


def test_without_the_cache_it_is_nearly_the_same(options):
    assert main([*options, "--steps", "2", "--name", "cached"]) == 0
    assert main([*options, "--steps", "2", "--name", "not", "--no-cache"]) == 0
    first, second = weights_of("cached"), weights_of("not")
    # AdamW's first steps have the size of the learning rate whatever the gradient's; rounding flips few of them.
    near = [torch.isclose(first[key], second[key], atol=1e-3).float().mean().item() for key in first]
    assert np.mean(near) > 0.9


@pytest.mark.parametrize("family", ["sd_v", "sdxl", "flux2"])
def test_other_families_train_save_load_and_paint(request, options, family):
    base = str(request.getfixturevalue(family))
    assert main([*options, "--base", base, "--steps", "1", "--name", family]) == 0
    run = f"runs/lora/{family}"
    assert main(["generate", run, "--style", "Baroque", "-n", "1", "--sampling", "1", "--device", "cpu"]) == 0
    assert Path("pictures/000.png").read_bytes().startswith(b"\x89PNG")


def test_two_processes_train_as_one_and_one_of_them_writes(options, in_two_processes):
    options = [*options, "--steps", "2", "--prior", "3"]
    assert main([*options, "--name", "alone"]) == 0
    done = in_two_processes("-m", "wikiart_lora", "train", *options, "--name", "two")
    assert done.stdout.count("step      2 of 2") == 1
    assert json.loads(Path("runs/lora/two/run.json").read_text())["processes"] == 2
    assert sorted(folder.name for folder in Path("runs/lora").iterdir()) == ["alone", "two"]
    first, second = weights_of("alone"), weights_of("two")
    for key in first:  # the same batches and noise; gradients are summed in another order
        torch.testing.assert_close(first[key], second[key], rtol=1e-2, atol=1e-4)


def test_the_loss_of_one_batch_by_hand(options, monkeypatch, sd, paintings):
    """Everything that `fit` puts together, put together again from the parts of diffusers."""
    import diffusers

    from wikiart_data.images.batches import step_seed

    seen: dict[str, object] = {}
    monkeypatch.setattr(Run, "check", lambda run, loss, epoch, step: seen.setdefault("loss", loss))
    real = train.predict

    def remembered(base, network, noisy, times, text):
        seen.setdefault("asked", (noisy.clone(), times.clone(), {k: v.clone() for k, v in text.items()}))
        return real(base, network, noisy, times, text)

    monkeypatch.setattr(train, "predict", remembered)
    latents: list[torch.Tensor] = []
    monkeypatch.setattr(
        cache.Latents, "read", lambda self, rows, mirrored=None: _remember(latents, cache_read(self, rows, mirrored))
    )
    assert main([*options, "--steps", "1", "--name", "one", "--dropout", "0"]) == 0
    noisy, times, text = seen["asked"]
    clean = next(one for one in latents if len(one) == 4)
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        sd, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    scheduler = diffusers.DDPMScheduler.from_config(pipeline.scheduler.config)
    generator = torch.Generator().manual_seed(step_seed(0, 0, 0))
    torch.rand(4, generator=generator)  # who is mirrored
    drawn = torch.randint(1000, (4,), generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    assert times.long().tolist() == drawn.tolist()
    torch.testing.assert_close(noisy, scheduler.add_noise(clean, noise, drawn), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        said = pipeline.unet(noisy, drawn, text["embeds"]).sample
    alphas = scheduler.alphas_cumprod[drawn]
    snr = alphas / (1 - alphas)
    by_hand = (((said - noise) ** 2).mean(dim=(1, 2, 3)) * torch.minimum(snr, torch.tensor(5.0)) / snr).mean()
    assert seen["loss"] == pytest.approx(by_hand.item(), rel=1e-3)


cache_read = cache.Latents.read


def _remember(kept: list, value: torch.Tensor) -> torch.Tensor:
    kept.append(value.clone())
    return value


def test_a_dry_run_writes_nothing(options, capsys):
    assert main([*options, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "trainable parameters" in told
    assert "training about" in told
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--steps", "0"], "--steps 0"),
        (["--dropout", "2"], "--dropout 2"),
        (["--base", "nobody/nothing"], "hf download"),
        (["--style", "Ukiyo"], "Did you mean Ukiyo_e"),
        (["--data", "nowhere"], "nowhere"),
        (["generate", "nowhere", "--prompt", "a lake"], "does not exist"),
        (["generate"], "Nothing is asked for"),
        (["export", "--to", "x.bin"], ".safetensors"),
    ],
)
def test_mistakes_are_sentences(options, capsys, monkeypatch, arguments, sentence):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the hub's client tries again and again
    given = [*options, *arguments] if arguments[0].startswith("--") else arguments
    assert main(given) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert "Traceback" not in told


def test_the_bases_are_listed(capsys):
    for arguments in (["--base"], ["--base", "list"], ["train", "--base", "--steps", "3"]):
        assert main(arguments) == 0
        told = capsys.readouterr().out
        assert "sd15" in told
        assert "Apache 2.0" in told
