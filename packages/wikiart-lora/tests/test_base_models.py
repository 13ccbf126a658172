"""Bases as people have them: single files, half precision, other autoencoders; and what is refused by name."""

import json
import math
import re
import shutil
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from wikiart_data.errors import InputError
from wikiart_data.training.training_run import TrainingRun
from wikiart_lora.adapter import add_adapter
from wikiart_lora.base_models.families import decode_latents, encode_captions, encode_images, predict
from wikiart_lora.base_models.fingerprints import fingerprints, same_weights
from wikiart_lora.base_models.loading import BaseModel, TextOptions, load_base, read_geometry
from wikiart_lora.base_models.sources import BaseFiles
from wikiart_lora.cli import main
from wikiart_lora.config import TrainConfig
from wikiart_lora.diffusion import read_schedule, sample_timesteps
from wikiart_lora.optimizers import make_optimizer
from wikiart_lora.sampling import sample_images

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffusers

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip


def original_unet_name(name: str, layers: int) -> str:
    """A UNet's weight as Stable Diffusion's first code named it."""
    block, _, rest = name.partition(".")
    if block not in ("down_blocks", "mid_block", "up_blocks"):
        start, _, end = name.rpartition(".")
        return f"{UNET_ENDS[start]}.{end}"
    level = 0 if block == "mid_block" else int(rest.partition(".")[0])
    kind, index, inner = re.match(r"(?:\d+\.)?(\w+)\.(\d+)\.(.*)", rest).groups()
    if kind == "resnets":
        module, _, parameter = inner.rpartition(".")
        inner = f"{RESNET[module]}.{parameter}"
    if block == "mid_block":
        return f"middle_block.{2 * int(index) if kind == 'resnets' else 1}.{inner}"
    if block == "down_blocks":
        first = 1 + level * (layers + 1)
        if kind == "downsamplers":
            return f"input_blocks.{first + layers}.0.op.{inner.removeprefix('conv.')}"
        return f"input_blocks.{first + int(index)}.{0 if kind == 'resnets' else 1}.{inner}"
    first = level * (layers + 1)
    if kind == "upsamplers":
        return f"output_blocks.{first + layers}.1.{inner}"  # in the fixture there is no attention before it
    return f"output_blocks.{first + int(index)}.{0 if kind == 'resnets' else 1}.{inner}"


def original_vae_name(name: str, levels: int) -> str:
    """An autoencoder's weight as Stable Diffusion's first code named it."""
    name = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample.", name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"up.{levels - 1 - int(m[1])}.block.{m[2]}", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0\.", lambda m: f"up.{levels - 1 - int(m[1])}.upsample.", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    return name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")


@pytest.fixture(scope="module")
def single_file(sd, tmp_path_factory) -> Path:
    """The base of the fixture `sd` as one file."""
    tensors = {}
    for name, value in load_file(sd / "unet/diffusion_pytorch_model.safetensors").items():
        tensors[f"model.diffusion_model.{original_unet_name(name, layers=1)}"] = value
    for name, value in load_file(sd / "vae/diffusion_pytorch_model.safetensors").items():
        tensors[f"first_stage_model.{original_vae_name(name, levels=2)}"] = value
    for name, value in load_file(sd / "text_encoder/model.safetensors").items():
        name = name if name.startswith("text_model.") else f"text_model.{name}"
        tensors[f"cond_stage_model.transformer.{name}"] = value
    file = tmp_path_factory.mktemp("single") / "style.safetensors"
    save_file(tensors, file)
    return file


@pytest.mark.parametrize("kind", ["safetensors", "ckpt"])
def test_a_single_file_is_the_same_base(sd, single_file, tmp_path, kind):
    file = single_file
    if kind == "ckpt":
        file = tmp_path / "style.ckpt"
        torch.save({"state_dict": load_file(single_file)}, file)
    files = BaseFiles(config=str(sd))
    base, same = load_base(str(file), files=files), load_base(str(sd))
    assert fingerprints(base) == fingerprints(same)
    assert read_geometry(str(file), files) == base.geometry == same.geometry


def test_marks_of_velocity_prediction_in_a_single_file_are_read(sd, single_file, tmp_path):
    save_file(load_file(single_file) | {"v_pred": torch.empty(0), "ztsnr": torch.empty(0)}, tmp_path / "v.safetensors")
    scheduler = load_base(str(tmp_path / "v.safetensors"), files=BaseFiles(config=str(sd))).pipeline.scheduler
    assert (read_schedule(scheduler).kind, read_schedule(scheduler).alphas_cumprod[-1]) == ("v_prediction", 0)


def test_a_run_on_a_single_file_is_complete(options, sd, single_file, monkeypatch):
    pytest.importorskip("prodigyopt", reason="the extra 'prodigy'")
    monkeypatch.setattr("wikiart_lora.validation.MAX_IMAGES", 2)
    more = ["--base", str(single_file), "--base-config", str(sd), "--steps", "1", "--sample-every", "0"]
    assert main([*options, *more, "--clip-skip", "1", "--optimizer", "prodigy", "--name", "one"]) == 0
    generate = ["generate", "runs/lora/one", "--prompt", "a lake", "--num-inference-steps", "1"]
    assert main([*generate, "--device", "cpu"]) == 0


def test_a_single_file_without_its_configuration_is_explained(single_file, sdxl, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the hub's client retries
    with pytest.raises(InputError) as error:
        load_base(str(single_file))
    assert error.value.field == "--base-config"
    with pytest.raises(InputError) as error:
        load_base(str(single_file), files=BaseFiles(config=str(sdxl)))
    assert error.value.field == "--base"
    with pytest.raises(InputError) as error:
        load_base("tiny", files=BaseFiles(config=str(sdxl)))
    assert error.value.field == "--base-config"


def test_a_folder_with_half_precision_files_only_is_read(sd, tmp_path):
    load_base(str(sd), dtype=torch.float16).pipeline.save_pretrained(tmp_path / "half", variant="fp16")
    assert not list(tmp_path.rglob("diffusion_pytorch_model.safetensors"))
    half = load_base(str(tmp_path / "half"))
    assert half.denoiser.dtype == torch.float32
    for one, other in zip(half.denoiser.parameters(), load_base(str(sd)).denoiser.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_another_autoencoder(sd, sdxl, tmp_path):
    other = load_base(str(sd)).pipeline.vae
    with torch.no_grad():
        other.encoder.conv_in.weight.add_(1)
    other.save_pretrained(tmp_path / "vae")
    for name in (tmp_path / "vae", sdxl):  # a folder of its own, and one of a pipeline
        base = load_base(str(sd), files=BaseFiles(vae=str(name)))
        expected = other if name != sdxl else load_base(str(sdxl)).pipeline.vae
        assert torch.equal(base.pipeline.vae.encoder.conv_in.weight, expected.encoder.conv_in.weight)
    widths = {f"{part}_block_out_channels": (8, 8) for part in ("encoder", "decoder")}
    counts = {f"num_{part}_blocks": (1, 1) for part in ("encoder", "decoder")}
    diffusers.AutoencoderTiny(**widths, **counts).save_pretrained(tmp_path / "taesd")
    for name in ("taesd", "nothing"):
        with pytest.raises(InputError) as error:
            load_base(str(sd), files=BaseFiles(vae=str(tmp_path / name)))
        assert error.value.field == "--vae"


def rewrite(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_noise_schedules_and_inpainting_models_that_training_does_not_know_are_refused(sd, sdxl, tmp_path):
    for number, scheduler in enumerate(
        (diffusers.EDMEulerScheduler(), diffusers.DPMSolverMultistepScheduler(use_flow_sigmas=True))
    ):
        folder = tmp_path / str(number)
        pipeline = load_base(str(sdxl)).pipeline
        pipeline.register_modules(scheduler=scheduler)
        pipeline.save_pretrained(folder)
        with pytest.raises(InputError) as error:
            load_base(str(folder))
        assert type(scheduler).__name__ in str(error.value)
    pipeline = load_base(str(sd)).pipeline
    weights = pipeline.unet.state_dict()
    inpainting = diffusers.UNet2DConditionModel.from_config(pipeline.unet.config, in_channels=9)
    inpainting.load_state_dict({**weights, "conv_in.weight": torch.zeros(16, 9, 3, 3)})
    pipeline.register_modules(unet=inpainting)
    pipeline.save_pretrained(tmp_path / "inpainting")
    with pytest.raises(InputError) as error:
        load_base(str(tmp_path / "inpainting"))
    assert error.value.field == "--base"


def test_latents_with_a_mean_and_a_deviation_of_each_channel(sdxl, tmp_path):
    """As in the pipeline of SDXL: its decoder is given latents · std / scaling + mean."""
    folder = tmp_path / "base"
    shutil.copytree(sdxl, folder)
    rewrite(folder / "vae/config.json", latents_mean=[0.1, -0.2, 0.3, 0.4], latents_std=[0.5, 1.0, 2.0, 3.0])
    base, plain = load_base(str(folder)), load_base(str(sdxl))
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    latents, unscaled = (
        encode_images(base, images),
        encode_images(plain, images) / plain.pipeline.vae.config.scaling_factor,
    )
    mean, deviation = torch.tensor([0.1, -0.2, 0.3, 0.4]), torch.tensor([0.5, 1.0, 2.0, 3.0])
    scaling = base.pipeline.vae.config.scaling_factor
    torch.testing.assert_close(latents * deviation.view(1, 4, 1, 1) / scaling + mean.view(1, 4, 1, 1), unscaled)
    torch.testing.assert_close(decode_latents(base, latents), decode_latents(plain, encode_images(plain, images)))


def test_clip_skip_leaves_out_the_last_layers(sd, sdxl):
    base = load_base(str(sdxl), text=TextOptions(clip_skip=1))
    text = encode_captions(base, ["a lake"])["embeds"]
    assert torch.equal(text, base.pipeline.encode_prompt("a lake", do_classifier_free_guidance=False, clip_skip=1)[0])
    base = load_base(str(sd), text=TextOptions(clip_skip=1))
    text, whole = (encode_captions(b, ["a lake"])["embeds"] for b in (base, replace(base, text=TextOptions())))
    assert not torch.allclose(text, whole)
    # Without its last layer, the encoder gives the same in the ordinary way.
    base.pipeline.text_encoder.encoder.layers = base.pipeline.text_encoder.encoder.layers[:-1]
    assert torch.equal(encode_captions(replace(base, text=TextOptions()), ["a lake"])["embeds"], text)


def test_captions_of_flux2_are_padded_as_by_its_pipeline(flux2):
    base = load_base(str(flux2))
    embeds = encode_captions(base, ["a lake"])["embeds"]
    assert torch.equal(embeds, base.pipeline.encode_prompt("a lake")[0])
    assert embeds.shape[1] == 512
    assert encode_captions(replace(base, text=TextOptions(max_sequence_length=64)), ["a lake"])["embeds"].shape[1] == 64


@pytest.mark.parametrize(("side", "mean"), [(512, 0.627), (768, 0.670), (1024, 0.721)])
def test_the_shift_of_flux2_grows_with_the_image(side, mean):
    """The log shift lies on a line through 0.5 at 256 tokens and 1.15 at 4,096; a token is 16 pixels wide."""
    schedule = read_schedule(diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0))
    tokens = (side // 16) ** 2
    assert schedule.shift_at(tokens) == pytest.approx(math.exp(0.5 + 0.65 * (tokens - 256) / 3840))
    timesteps = sample_timesteps(schedule, 40_000, torch.Generator().manual_seed(0), tokens)
    assert timesteps.mean().item() / 1000 == pytest.approx(mean, abs=0.004)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        (["--max-sequence-length", "64"], "--max-sequence-length"),
        (["--offload", "--text-encoder", "attention"], "--offload"),
        (["--base-config", "somewhere"], "--base-config"),
        (["--quantize", "nf4"], "--quantize"),
    ],
)
def test_options_that_a_base_has_no_use_for_are_refused(options, capsys, monkeypatch, more, field):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # as where the extra is not installed
    assert main([*options, *more]) == 2
    assert field in capsys.readouterr().err
    assert not Path("runs").exists()


def test_flux2_takes_no_guidance_rescale(flux2):
    with pytest.raises(InputError) as error:
        sample_images(load_base(str(flux2)), ["a lake"], [0], 16, num_inference_steps=1, guidance_rescale=0.5)
    assert error.value.field == "--guidance-rescale"


def test_text_encoders_that_stay_in_main_memory_give_the_same_embeddings(flux2):
    plain, offloaded = (encode_captions(load_base(str(flux2), offload=flag), ["a lake"]) for flag in (False, True))
    assert torch.equal(plain["embeds"], offloaded["embeds"])


@pytest.mark.parametrize("kind", ["fp8", "nf4"])
def test_a_quantised_base_trains_and_samples(flux2, kind):
    pytest.importorskip({"fp8": "torchao", "nf4": "bitsandbytes"}[kind], reason="the extra 'quantize'")
    plain = load_base(str(flux2), dtype=torch.bfloat16)
    base, again = (load_base(str(flux2), dtype=torch.bfloat16, quantize=kind) for _ in range(2))
    assert fingerprints(base) == fingerprints(again)
    assert fingerprints(base)["transformer"].startswith(f"{kind}-")
    assert same_weights(fingerprints(base), fingerprints(plain))  # of other types, which cannot be compared
    adapter = add_adapter(base, TrainConfig(rank=2, alpha=2.0, targets="attention", text_encoder="none"))
    noisy, text = torch.randn(1, 16, 4, 4), encode_captions(base, ["a lake"])
    times = torch.tensor([500.0])
    with torch.autocast("cpu", torch.bfloat16):
        exact, rounded = (predict(x, x.denoiser, noisy, times, text) for x in (plain, base))
        rounded.square().mean().backward()
    assert 0 < (exact - rounded).abs().mean() < 0.2 * exact.abs().mean()
    assert all(weight.grad is not None for weight in adapter.parameters())
    assert sum(weight.grad.abs().sum() for weight in adapter.parameters()) > 0
    assert sample_images(base, ["a lake"], [0], 16, num_inference_steps=1).isfinite().all()


def test_a_run_on_a_base_in_4_bits_is_resumed_and_sampled(options, monkeypatch):
    pytest.importorskip("bitsandbytes", reason="the extra 'quantize'")
    with monkeypatch.context() as stopping:
        stopping.setattr(TrainingRun, "_should_stop", lambda *_: True)
        arguments = ["--quantize", "nf4", "--sample-every", "0", "--score", "0", "--steps", "2"]
        assert main([*options, *arguments]) == 143
    assert main(["--resume", "runs/lora/001"]) == 0
    weights = load_file("runs/lora/001/model.safetensors")
    assert all(value.any() for key, value in weights.items() if "lora_B" in key)
    generate = ["generate", "runs/lora/001", "--style", "Cubism", "--device", "cpu", "--num-inference-steps", "1"]
    assert main(generate) == 0


def test_prodigy_finds_its_learning_rate_and_takes_one_only(sd):
    pytest.importorskip("prodigyopt", reason="the extra 'prodigy'")
    base = load_base(str(sd))
    config = TrainConfig(rank=2, alpha=2.0, targets="attention", text_encoder="none", optimizer="prodigy", lr=1.0)
    adapter = add_adapter(base, config)
    optimizer = make_optimizer(adapter, config)
    weight = next(weight for name, weight in adapter.by_name.items() if "lora_A" in name)
    before = weight.clone()
    for _ in range(25):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    assert (weight - before).abs().max() > 0
    assert optimizer.param_groups[0]["d"] > 1e-6
    with pytest.raises(InputError) as error:
        make_optimizer(adapter, replace(config, loraplus_ratio=4.0))
    assert error.value.field == "--optimizer"


def test_every_network_is_on_the_device_when_it_is_used(options, monkeypatch):
    """A GPU is simulated by a list of the stages that are on it; a network that is called must be one of them."""
    monkeypatch.setattr("wikiart_lora.validation.MAX_IMAGES", 2)
    present: set[str] = set()
    seen: list[tuple[str, ...]] = []

    def use(self: BaseModel, *stages: str) -> None:
        present.clear()
        present.update(stages)
        seen.append(stages)

    def watch(network: type, method: str, stage: str) -> None:
        function = getattr(network, method)

        def watched(self, *arguments, **keywords):
            assert stage in present, stage
            return function(self, *arguments, **keywords)

        monkeypatch.setattr(network, method, watched)

    monkeypatch.setattr(BaseModel, "use", use)
    watch(diffusers.AutoencoderKL, "encode", "autoencoder")
    watch(diffusers.AutoencoderKL, "decode", "autoencoder")
    watch(diffusers.UNet2DConditionModel, "forward", "denoiser")
    import transformers

    watch(transformers.CLIPTextModel, "forward", "text")
    no_grid = [*options, "--sample-every", "0"]
    for arguments, more in (
        ([*options, "--score", "1"], []),
        (no_grid, ["--no-cache"]),
        (no_grid, ["--text-encoder", "attention"]),
        (no_grid, ["--num-prior-images", "2"]),
        (no_grid, ["--dry-run"]),
    ):
        seen.clear()
        assert main([*arguments, "--steps", "1", *more]) == 0
        assert max(map(len, seen)) == (3 if "--no-cache" in more else 2 if "--text-encoder" in more else 1)
    assert (
        main(["generate", "runs/lora/001", "--style", "Cubism", "--device", "cpu", "--num-inference-steps", "1"]) == 0
    )
