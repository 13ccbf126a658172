"""The adapter itself: starts as nothing, is all that changes, merges, scales, and has the size it should."""

from types import SimpleNamespace

import pytest
import torch

from wikiart_data.errors import InputError
from wikiart_lora.adapter import add_adapter, groups, set_strength
from wikiart_lora.config import TrainConfig, settled
from wikiart_lora.families import encode_text, predict
from wikiart_lora.painting import paint
from wikiart_lora.pipelines import open_base
from wikiart_lora.stepping import make_optimizer


def how(**more):
    plain = {"rank": 4, "alpha": None, "targets": "attention", "rslora": False, "dora": False, "text_encoder": "none"}
    return SimpleNamespace(**{**plain, **more})


def answer(base):
    generator = torch.Generator().manual_seed(5)
    channels = base.denoiser.config.in_channels
    noisy = torch.randn(2, channels, 8, 8, generator=generator)
    text = encode_text(base, ["a red lake", "a house"])
    return predict(base, base.denoiser, noisy, torch.tensor([100.0, 900.0]), text)


@pytest.mark.parametrize("family", ["sd", "sdxl", "flux2"])
@pytest.mark.parametrize("more", [{}, {"dora": True}, {"targets": "all", "rslora": True, "text_encoder": "words"}])
def test_a_new_adapter_changes_no_bit(request, family, more):
    if family == "flux2" and "text_encoder" in more:
        more = {**more, "text_encoder": "none"}
    base = open_base(str(request.getfixturevalue(family)))
    with torch.no_grad():
        before = answer(base)
        add_adapter(base, how(**more))
        after = answer(base)
    if more.get("dora"):  # DoRA divides by the norm it multiplies with: one rounding
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    else:
        assert torch.equal(after, before)


@pytest.mark.parametrize("family", ["sd", "sdxl", "flux2"])
def test_all_of_the_adapter_learns_and_nothing_else(request, family):
    base = open_base(str(request.getfixturevalue(family)))
    how_much = how(targets="all", text_encoder="none" if family == "flux2" else "words")
    adapter = add_adapter(base, how_much, words=["a red house"])
    for name, weight in adapter.named.items():
        if name.endswith(("lora_B.weight", "lora_embedding_A")):
            torch.nn.init.normal_(weight, std=0.1)  # with one of two factors 0 the other has no gradient
    networks = [base.denoiser, base.pipeline.vae, *base.text_encoders.values()]
    frozen = [{name: p.clone() for name, p in one.named_parameters() if "lora_" not in name} for one in networks]
    optimizer = torch.optim.AdamW(groups(adapter, 0.01, 0.01, 1.0))
    answer(base).square().mean().backward()
    # The last layer's penultimate output is what SDXL reads: the layer after it cannot get a gradient.
    unread = "text_encoder.text_model.encoder.layers.1" if family == "sdxl" else "nothing"
    unread = (unread, unread.replace("text_model.", ""))
    for name, weight in adapter.named.items():
        if not name.startswith(unread):
            assert weight.grad is not None, name
            assert weight.grad.abs().sum() > 0, name
        if name.endswith("lora_embedding_A"):  # "lake" is in the batch too
            assert (weight.grad != 0).any(dim=0).sum() == len(base.pipeline.tokenizer("a red house").input_ids) - 2
    before = {name: weight.clone() for name, weight in adapter.named.items()}
    optimizer.step()
    for one, kept in zip(networks, frozen, strict=True):
        for name, p in one.named_parameters():
            if "lora_" not in name:
                assert p.grad is None
                assert torch.equal(p, kept[name])
    assert any(not torch.equal(weight, before[name]) for name, weight in adapter.named.items())


def test_stable_diffusion_15_at_full_size_has_the_known_number_of_weights():
    """SD 1.5's own configuration, on the meta device: rank 4 on the attention projections is 797,184."""
    import diffusers

    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8, sample_size=64)
        assert sum(p.numel() for p in unet.parameters()) == 859_520_964
        unet.requires_grad_(False)
        base = SimpleNamespace(denoiser=unet, denoiser_name="unet", text_encoders={}, name="sd15")
        adapter = add_adapter(base, how())
    assert sum(weight.numel() for weight in adapter.parameters()) == 797_184


@pytest.mark.parametrize("family", ["sd", "flux2"])
def test_merged_equals_unmerged_and_strength_0_is_the_base(request, family):
    base = open_base(str(request.getfixturevalue(family)))
    with torch.no_grad():
        plain = answer(base)
        adapter = add_adapter(base, how())
        for weight in adapter.parameters():
            torch.nn.init.normal_(weight, std=0.2)
        unmerged = answer(base)
        assert not torch.allclose(unmerged, plain, atol=1e-3)
        set_strength(base, 0.0)
        assert torch.equal(answer(base), plain)
        set_strength(base, 1.0)
        assert torch.equal(answer(base), unmerged)
        set_strength(base, 0.5)
        half = answer(base)
        assert not torch.allclose(half, unmerged, atol=1e-4)
        set_strength(base, 1.0)
        base.pipeline.fuse_lora()
        torch.testing.assert_close(answer(base), unmerged, rtol=1e-3, atol=1e-4)


def test_rslora_and_plus():
    rates = {group["lr"] for group in groups(SimpleNamespace(named={
        "unet.a.lora_A.weight": torch.nn.Parameter(torch.zeros(1)),
        "unet.a.lora_B.weight": torch.nn.Parameter(torch.zeros(1)),
        "text_encoder.a.lora_A.weight": torch.nn.Parameter(torch.zeros(1)),
    }), 1e-4, 5e-5, 16.0)}  # fmt: skip
    assert rates == {1e-4, 1.6e-3, 5e-5}


def test_muon_takes_matrices_and_vectors_are_left_to_adamw():
    matrix, vector = torch.nn.Parameter(torch.ones(4, 2)), torch.nn.Parameter(torch.ones(4))
    adapter = SimpleNamespace(named={"unet.a.lora_B.weight": matrix, "unet.a.lora_magnitude_vector": vector})
    config = settled(TrainConfig(optimizer="muon", weight_decay=0.0))
    optimizer = make_optimizer(adapter, config)
    matrix.grad = torch.tensor([[1.0, 0.0], [0.0, 0.001], [0.0, 0.0], [0.0, 0.0]])
    vector.grad = torch.full((4,), 5.0)
    optimizer.step()
    moved = 1 - matrix.detach()
    # Both directions move alike, however different their gradients are; scaled by √(rows / columns).
    assert 0.5 < moved[1, 1] / moved[0, 0] < 2
    assert 0.6 < moved[0, 0] / (config.lr * 2**0.5) < 1.3
    torch.testing.assert_close(vector.detach(), torch.full((4,), 1 - 0.15 * config.lr))
    assert settled(TrainConfig(optimizer="adamw")).lr == 2e-3
    assert settled(TrainConfig(base="sd15")).optimizer == "adamw"


def test_wearing_the_average_and_taking_it_off(sd):
    base = open_base(str(sd))
    adapter = add_adapter(base, how())
    average = adapter.average()
    for weight in adapter.parameters():
        torch.nn.init.normal_(weight)
    before = {name: tensor.clone() for name, tensor in adapter.tensors().items()}
    with adapter.wearing(average):
        assert all(torch.equal(adapter.tensors()[name], value) for name, value in average.tensors().items())
    assert all(torch.equal(adapter.tensors()[name], value) for name, value in before.items())


@pytest.mark.parametrize("family", ["sd", "sdxl", "flux2"])
def test_every_family_paints_the_same_picture_from_the_same_seed(request, family):
    base = open_base(str(request.getfixturevalue(family)))
    two = paint(base, ["a lake", "a lake"], [3, 4], 16, sampling=2)
    assert two.shape == (2, 3, 16, 16)
    assert two.isfinite().all()
    assert not torch.equal(two[0], two[1])
    torch.testing.assert_close(paint(base, ["a lake"], [4], 16, sampling=2)[0], two[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("./nowhere", "no such folder"),
        ("nowhere", "Short names: tiny, sd15"),
        ("nobody/nothing-at-all", "hf download"),
    ],
)
def test_a_missing_base_is_one_sentence(monkeypatch, name, sentence):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the hub's client tries again and again
    with pytest.raises(InputError) as raised:
        open_base(name)
    assert sentence in str(raised.value)


def test_other_pipelines_and_broken_folders_are_refused(tmp_path, sd):
    import json
    import shutil

    (tmp_path / "other").mkdir()
    (tmp_path / "other/model_index.json").write_text(json.dumps({"_class_name": "WanPipeline"}))
    with pytest.raises(InputError, match="WanPipeline"):
        open_base(str(tmp_path / "other"))
    shutil.copytree(sd, tmp_path / "broken")
    (tmp_path / "broken/unet/diffusion_pytorch_model.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match="safetensors"):
        open_base(str(tmp_path / "broken"))
