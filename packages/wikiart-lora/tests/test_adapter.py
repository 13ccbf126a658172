"""The adapter: it starts as the identity, is all that is trained, merges, scales, and has the expected size."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from wikiart_data.errors import InputError
from wikiart_lora.adapter import add_adapter, parameter_groups, set_strength
from wikiart_lora.base_models.families import encode_captions, predict
from wikiart_lora.base_models.fingerprints import fingerprints, same_weights
from wikiart_lora.base_models.loading import Geometry, load_base, read_geometry
from wikiart_lora.config import TrainConfig, TrainOptions, resolve_config
from wikiart_lora.optimizers import make_optimizer
from wikiart_lora.sampling import sample_images, sampling_defaults

CONFIG = TrainConfig(rank=4, alpha=4.0, targets="attention", text_encoder="none")


def output(base):
    generator = torch.Generator().manual_seed(5)
    channels = base.denoiser.config.in_channels
    noisy = torch.randn(2, channels, 8, 8, generator=generator)
    text = encode_captions(base, ["a red lake", "a house"])
    return predict(base, base.denoiser, noisy, torch.tensor([100.0, 900.0]), text)


@pytest.mark.parametrize("family", ["sd", "sdxl", "flux2"])
@pytest.mark.parametrize("more", [{}, {"dora": True}, {"targets": "all", "rslora": True, "text_encoder": "embeddings"}])
def test_a_new_adapter_leaves_the_output_bit_identical(request, family, more):
    if family == "flux2" and "text_encoder" in more:
        more = {**more, "text_encoder": "none"}
    base = load_base(str(request.getfixturevalue(family)))
    with torch.no_grad():
        before = output(base)
        add_adapter(base, replace(CONFIG, **more))
        after = output(base)
    if more.get("dora"):  # DoRA multiplies and divides by the same norm: one rounding error
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    else:
        assert torch.equal(after, before)


@pytest.mark.parametrize("family", ["sd", "sdxl", "flux2"])
def test_every_weight_of_the_adapter_is_trained_and_no_other(request, family):
    base = load_base(str(request.getfixturevalue(family)))
    config = replace(CONFIG, targets="all", text_encoder="none" if family == "flux2" else "embeddings", lr=0.01)
    adapter = add_adapter(base, config, ["a red house"])
    for name, weight in adapter.by_name.items():
        if name.endswith(("lora_B.weight", "lora_embedding_A")):
            torch.nn.init.normal_(weight, std=0.1)  # if one of two factors is 0, the other has no gradient
    networks = [base.denoiser, base.pipeline.vae, *base.text_encoders.values()]
    frozen = [{n: p.clone() for n, p in network.named_parameters() if "lora_" not in n} for network in networks]
    optimizer = torch.optim.AdamW(parameter_groups(adapter, config))
    output(base).square().mean().backward()
    # SDXL reads the output of the last layer but one: the last layer cannot have a gradient.
    unread = "text_encoder.text_model.encoder.layers.1" if family == "sdxl" else "nothing"
    unread = (unread, unread.replace("text_model.", ""))
    for name, weight in adapter.by_name.items():
        if not name.startswith(unread):
            assert weight.grad is not None, name
            assert weight.grad.abs().sum() > 0, name
        if name.endswith("lora_embedding_A"):  # the batch contains "lake" too
            assert (weight.grad != 0).any(dim=0).sum() == len(base.pipeline.tokenizer("a red house").input_ids) - 2
    before = {name: weight.clone() for name, weight in adapter.by_name.items()}
    optimizer.step()
    for network, original in zip(networks, frozen, strict=True):
        for name, p in network.named_parameters():
            if "lora_" not in name:
                assert p.grad is None
                assert torch.equal(p, original[name])
    assert any(not torch.equal(weight, before[name]) for name, weight in adapter.by_name.items())


def test_parameter_count_on_stable_diffusion_15():
    """SD 1.5's own configuration, on the meta device: rank 4 on the attention projections is 797,184."""
    import diffusers

    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8, sample_size=64)
        assert sum(p.numel() for p in unet.parameters()) == 859_520_964
        unet.requires_grad_(False)
        base = SimpleNamespace(denoiser=unet, denoiser_name="unet", text_encoders={}, name="sd15")
        adapter = add_adapter(base, CONFIG)
    assert sum(weight.numel() for weight in adapter.parameters()) == 797_184


@pytest.mark.parametrize("family", ["sd", "flux2"])
def test_merged_equals_unmerged_and_strength_0_equals_the_base(request, family):
    base = load_base(str(request.getfixturevalue(family)))
    with torch.no_grad():
        plain = output(base)
        adapter = add_adapter(base, CONFIG)
        for weight in adapter.parameters():
            torch.nn.init.normal_(weight, std=0.2)
        unmerged = output(base)
        assert not torch.allclose(unmerged, plain, atol=1e-3)
        set_strength(base, 0.0)
        assert torch.equal(output(base), plain)
        set_strength(base, 1.0)
        assert torch.equal(output(base), unmerged)
        set_strength(base, 0.5)
        half = output(base)
        assert not torch.allclose(half, unmerged, atol=1e-4)
        set_strength(base, 1.0)
        base.pipeline.fuse_lora()
        torch.testing.assert_close(output(base), unmerged, rtol=1e-3, atol=1e-4)


def test_learning_rates_with_loraplus():
    adapter = SimpleNamespace(by_name={
        "unet.a.lora_A.weight": torch.nn.Parameter(torch.zeros(1)),
        "unet.a.lora_B.weight": torch.nn.Parameter(torch.zeros(1)),
        "text_encoder.a.lora_A.weight": torch.nn.Parameter(torch.zeros(1)),
    })  # fmt: skip
    config = replace(CONFIG, lr=1e-4, text_encoder_lr=5e-5, loraplus_ratio=16.0)
    rates = {group["lr"] for group in parameter_groups(adapter, config)}
    assert rates == {1e-4, 1.6e-3, 5e-5}


def test_muon_updates_matrices_and_adamw_vectors():
    matrix, vector = torch.nn.Parameter(torch.ones(4, 2)), torch.nn.Parameter(torch.ones(4))
    adapter = SimpleNamespace(by_name={"unet.a.lora_B.weight": matrix, "unet.a.lora_magnitude_vector": vector})
    config = replace(CONFIG, optimizer="muon", weight_decay=0.0)
    optimizer = make_optimizer(adapter, config)
    matrix.grad = torch.tensor([[1.0, 0.0], [0.0, 0.001], [0.0, 0.0], [0.0, 0.0]])
    vector.grad = torch.full((4,), 5.0)
    optimizer.step()
    moved = 1 - matrix.detach()
    # Both directions move equally, however different their gradients are; scaled by √(rows / columns).
    assert 0.5 < moved[1, 1] / moved[0, 0] < 2
    assert 0.6 < moved[0, 0] / (config.lr * 2**0.5) < 1.3
    torch.testing.assert_close(vector.detach(), torch.full((4,), 1 - 0.15 * config.lr))


def test_swapped_weights_are_restored(sd):
    base = load_base(str(sd))
    adapter = add_adapter(base, CONFIG)
    average = adapter.clone()
    for weight in adapter.parameters():
        torch.nn.init.normal_(weight)
    before = {name: tensor.clone() for name, tensor in adapter.tensors().items()}
    with adapter.swapped_weights(average):
        assert all(torch.equal(adapter.tensors()[name], value) for name, value in average.tensors().items())
    assert all(torch.equal(adapter.tensors()[name], value) for name, value in before.items())


@pytest.mark.parametrize("family", ["sd", "sdxl", "flux2"])
def test_the_same_seed_gives_the_same_image_in_every_family(request, family):
    base = load_base(str(request.getfixturevalue(family)))
    two = sample_images(base, ["a lake", "a lake"], [3, 4], 16, num_inference_steps=2)
    assert two.shape == (2, 3, 16, 16)
    assert two.isfinite().all()
    assert not torch.equal(two[0], two[1])
    torch.testing.assert_close(
        sample_images(base, ["a lake"], [4], 16, num_inference_steps=2)[0], two[1], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", ["./nowhere", "nowhere", "nobody/nothing-at-all"])
@pytest.mark.parametrize("load", [load_base, read_geometry])
def test_a_missing_base_is_refused(monkeypatch, name, load):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the hub's client retries
    with pytest.raises(InputError) as error:
        load(name)
    assert error.value.field == "--base"
    assert name in str(error.value)


def test_other_pipelines_and_broken_folders_are_refused(tmp_path, sd):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/model_index.json").write_text(json.dumps({"_class_name": "WanPipeline"}))
    shutil.copytree(sd, tmp_path / "broken")
    (tmp_path / "broken/unet/diffusion_pytorch_model.safetensors").write_bytes(b"no")
    for folder in ("other", "broken"):
        with pytest.raises(InputError) as error:
            load_base(str(tmp_path / folder))
        assert error.value.field == "--base"


@pytest.mark.parametrize("family", ["sd", "sdxl", "flux2"])
def test_geometry_is_read_without_the_weights(request, family):
    folder = str(request.getfixturevalue(family))
    base = load_base(folder)
    assert read_geometry(folder) == base.geometry
    assert base.geometry.side == (base.denoiser.config.get("sample_size") or 128) * base.pipeline.vae_scale_factor
    assert read_geometry("tiny").side == 64


def test_defaults_depend_on_the_base(sd, tmp_path):
    tiny = resolve_config(TrainOptions(), tmp_path)
    assert replace(tiny, data="") == TrainConfig()  # its defaults are those of tiny
    assert (resolve_config(TrainOptions(optimizer="adamw"), tmp_path).lr, tiny.lr) == (2e-3, 0.01)
    prodigy = resolve_config(TrainOptions(optimizer="prodigy"), tmp_path)
    assert (prodigy.lr, prodigy.text_encoder_lr) == (1.0, 1.0)
    other = resolve_config(TrainOptions(base=str(sd), size=16), tmp_path)
    assert (other.optimizer, other.lr, other.text_encoder_lr, other.alpha) == ("adamw", 1e-4, 5e-5, 16.0)
    assert resolve_config(other, tmp_path) == other


def test_empty_captions_of_sdxl_are_the_zeros_of_its_pipeline(sdxl):
    base = load_base(str(sdxl))
    text = encode_captions(base, ["a lake", ""])
    prompt, negative, pooled, negative_pooled = base.pipeline.encode_prompt(["a lake"], device="cpu")
    torch.testing.assert_close(text["embeds"], torch.cat([prompt, negative]))
    torch.testing.assert_close(text["pooled"], torch.cat([pooled, negative_pooled]))
    assert negative.abs().sum() == negative_pooled.abs().sum() == text["embeds"][1].abs().sum() == 0
    base.pipeline.register_to_config(force_zeros_for_empty_prompt=False)
    assert encode_captions(base, [""])["embeds"].abs().sum() > 0


def test_the_path_of_a_folder_does_not_change_the_number_of_steps(sd, tmp_path):
    folder = tmp_path / "turbo" / "my-turbo-model"
    shutil.copytree(sd, folder)
    assert sampling_defaults(replace(load_base(str(folder)), geometry=Geometry(512, 64))) == (30, 7.0, 0.0)
    turbo = replace(load_base(str(sd)), name="stabilityai/sd-turbo", geometry=Geometry(512, 64))
    assert sampling_defaults(turbo) == (4, 1.0, 0.0)


def test_fingerprints_depend_on_weights_and_not_on_their_type(sd):
    first, second = fingerprints(load_base(str(sd))), fingerprints(load_base(str(sd), dtype=torch.bfloat16))
    assert first.keys() == {"autoencoder", "unet", "text_encoder"}
    assert first == second
    assert same_weights(first, fingerprints(load_base(str(sd), dtype=torch.float16)))
    other = load_base(str(sd))
    with torch.no_grad():
        next(other.text_encoders["text_encoder"].parameters()).add_(0.1)
    assert not same_weights(first, fingerprints(other))
