"""What is done with a trained adapter: images, grids, exports, the model card."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wikiart_data.errors import InputError
from wikiart_data.training.checkpoints import read_model
from wikiart_lora.adapter import add_adapter, load_adapter, set_strength
from wikiart_lora.base_models.families import encode_captions
from wikiart_lora.base_models.loading import load_base
from wikiart_lora.cli import main
from wikiart_lora.config import TrainConfig
from wikiart_lora.export import to_kohya
from wikiart_lora.model_card import model_card
from wikiart_lora.pipeline import load_pipeline, load_run
from wikiart_lora.sampling import sample_images


def test_damaged_weights_are_refused(trained, tmp_path, capsys):
    whole = (trained / "model.safetensors").read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for damaged in (whole[: header + 40], whole[:-3] + bytes([whole[-3] ^ 64]) + whole[-2:]):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        assert main(["generate", str(tmp_path), "--prompt", "a lake", "--device", "cpu"]) == 2
        printed = capsys.readouterr().err
        assert str(tmp_path / "model.safetensors") in printed
        assert "Traceback" not in printed


def images_with(sd: Path, file: Path) -> torch.Tensor:
    base = load_base(str(sd))
    load_adapter(base, file)
    return sample_images(base, ["a red lake", "a house"], [1, 2], 16, num_inference_steps=2)


@pytest.mark.parametrize("kind", ["peft", "kohya"])
def test_exported_files_give_the_same_images(trained, sd, kind):
    assert main(["export", str(trained), "--format", kind, "--to", "out/styles.safetensors"]) == 0
    ours = images_with(sd, trained / "model.safetensors")
    base = load_base(str(sd))
    plain = sample_images(base, ["a red lake", "a house"], [1, 2], 16, num_inference_steps=2)
    assert (ours - plain).abs().max() > 0.02
    torch.testing.assert_close(images_with(sd, Path("out/styles.safetensors")), ours, rtol=1e-3, atol=2e-3)
    assert "load_lora_weights" in Path("out/styles.md").read_text()
    assert main(["export", str(trained), "--format", kind, "--to", "out/styles.safetensors"]) == 2


@pytest.mark.parametrize("form", ["peft", "kohya"])
def test_the_update_of_an_export_is_the_product_of_its_factors(trained, form):
    """Programs that ignore alpha apply B A; those that read it multiply by alpha / rank, which must be 1."""
    assert main(["export", str(trained), "--format", form, "--to", "x.safetensors"]) == 0
    run, _ = read_model(trained / "model.safetensors")
    tensors, exported = read_model(Path("x.safetensors"))
    layers = [name.removesuffix(".lora_A.weight") for name in run if name.endswith("lora_A.weight")]
    assert len(layers) > 10
    for layer in layers:
        scale = 6 / 3**0.5  # alpha / √rank
        expected = scale * run[f"{layer}.lora_B.weight"].flatten(1) @ run[f"{layer}.lora_A.weight"].flatten(1)
        if form == "peft":
            down, up = tensors[f"{layer}.lora_A.weight"], tensors[f"{layer}.lora_B.weight"]
        else:
            name = layer.replace("unet.", "lora_unet.").replace("text_encoder.", "lora_te.").replace(".", "_")
            down, up = tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"]
            assert tensors[f"{name}.alpha"].item() == len(down) == 3
        torch.testing.assert_close(up.flatten(1) @ down.flatten(1), expected)
    if form == "peft":
        settings = json.loads(exported["lora_adapter_metadata"])
        assert (settings["unet.lora_alpha"], settings["unet.r"], settings["unet.use_rslora"]) == (3, 3, False)
    else:
        assert len(tensors) == 3 * len(layers)
        assert (exported["ss_network_dim"], exported["ss_network_alpha"]) == ("3", "3")


RESNET_KEYS = r"resnets_\d+_(conv1|conv2|conv_shortcut|time_emb_proj)"
ATTENTION_KEYS = (
    r"attentions_\d+_(proj_in|proj_out|transformer_blocks_\d+_(attn[12]_to_(q|k|v|out_0)|ff_net_(0_proj|2)))"
)
UNET_KEYS = rf"lora_unet_((down|up)_blocks_\d+|mid_block)_({RESNET_KEYS}|{ATTENTION_KEYS})"
TEXT_KEYS = r"lora_te{}_text_model_encoder_layers_\d+_(mlp_fc[12]|self_attn_[qkv]_proj|self_attn_out_proj)"
"""Names that ComfyUI (comfy/lora.py: model_lora_keys_unet, model_lora_keys_clip), InvokeAI (the part of a key before
its first dot is a module's path with underscores) and stable-diffusion.cpp (name_conversion.cpp) look up."""


def key_rule_violations(tensors: dict[str, torch.Tensor], text_encoders: int) -> list[str]:
    """What these programs would skip or scale otherwise: all of them multiply up · down by alpha / rank."""
    text = [TEXT_KEYS.format("")] if text_encoders == 1 else [TEXT_KEYS.format(number) for number in (1, 2)]
    violations = []
    for layer in sorted({key.partition(".")[0] for key in tensors}):
        leaves = {key.partition(".")[2] for key in tensors if key.partition(".")[0] == layer}
        if not any(re.fullmatch(rule, layer) for rule in (UNET_KEYS, *text)):
            violations.append(layer)
        if leaves != {"lora_up.weight", "lora_down.weight", "alpha"}:
            violations.append(f"{layer}: {leaves}")
        elif tensors[f"{layer}.alpha"].item() != tensors[f"{layer}.lora_down.weight"].shape[0]:
            violations.append(f"{layer}: alpha")
    return violations


def test_kohya_keys_are_those_that_other_programs_look_up(trained, sdxl):
    assert main(["export", str(trained), "--format", "kohya", "--to", "x.safetensors"]) == 0
    tensors, _ = read_model(Path("x.safetensors"))
    assert key_rule_violations(tensors, text_encoders=1) == []
    assert key_rule_violations({f"{key}x": value for key, value in tensors.items()}, text_encoders=1)
    base = load_base(str(sdxl))
    config = TrainConfig(rank=2, alpha=2.0, targets="all", text_encoder="attention")
    tensors = to_kohya(add_adapter(base, config).tensors())
    assert key_rule_violations(tensors, text_encoders=2) == []
    assert (
        sum(key.startswith("lora_te2_") for key in tensors) == sum(key.startswith("lora_te1_") for key in tensors) > 0
    )


def test_lycoris_merges_an_export_to_the_same_weights(trained, sd, monkeypatch):
    """lycoris-lora reads kohya's keys without any code of ours; its merged weights are those of peft, bit for bit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lycoris = pytest.importorskip("lycoris.wrapper")
    assert main(["export", str(trained), "--format", "kohya", "--to", "x.safetensors"]) == 0
    ours, theirs, plain = load_base(str(sd)), load_base(str(sd)).pipeline, load_base(str(sd)).pipeline
    load_adapter(ours, Path("x.safetensors"))
    ours.pipeline.fuse_lora()
    ours.pipeline.unload_lora_weights()
    layers = 0
    for part, prefix in (("unet", "lora_unet"), ("text_encoder", "lora_te")):
        module = getattr(theirs, part)
        if part == "text_encoder":  # transformers 5 has removed a level that files keep
            module = torch.nn.ModuleDict({"text_model": module})
        monkeypatch.setattr(lycoris.LycorisNetwork, "LORA_PREFIX", prefix)
        network, _ = lycoris.create_lycoris_from_weights(1.0, "x.safetensors", module)
        network.merge_to(1.0)
        layers += len(network.loras)
        merged, expected, before = (dict(getattr(x, part).named_parameters()) for x in (theirs, ours.pipeline, plain))
        assert merged.keys() == expected.keys()
        assert any(not torch.equal(merged[name], before[name]) for name in merged)
        assert max((merged[name] - expected[name]).abs().max().item() for name in merged) == 0.0
    assert layers == sum(key.endswith(".alpha") for key in read_model(Path("x.safetensors"))[0])


def test_dora_is_exported_as_peft_only(options, sd, capsys):
    assert main([*options, "--dora", "--steps", "2", "--ema", "0", "--name", "dora", "--alpha", "8"]) == 0
    assert main(["export", "runs/lora/dora", "--format", "kohya", "--to", "x.safetensors"]) == 2
    assert "--format kohya" in capsys.readouterr().err
    assert main(["export", "runs/lora/dora", "--to", "x.safetensors"]) == 0
    expected = images_with(sd, Path("runs/lora/dora/model.safetensors"))
    torch.testing.assert_close(images_with(sd, Path("x.safetensors")), expected, rtol=1e-3, atol=2e-3)


def test_the_exported_file_is_the_one_that_is_pushed(trained, monkeypatch):
    uploads = {}

    class Api:
        def create_repo(self, repository, exist_ok):
            pass

        def upload_file(self, path_or_fileobj, path_in_repo, repo_id):
            source = path_or_fileobj
            uploads[path_in_repo] = Path(source).read_bytes() if isinstance(source, str) else source.read()

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    arguments = ["--format", "kohya", "--to", "styles.safetensors", "--push-to-hub", "somebody/styles"]
    assert main(["export", str(trained), *arguments]) == 0
    assert uploads["styles.safetensors"] == Path("styles.safetensors").read_bytes()
    assert "model.safetensors" not in uploads
    assert b'weight_name="styles.safetensors"' in uploads["README.md"]


def test_token_embeddings_are_exported_as_peft_only(sd, options, capsys):
    arguments = [
        "--text-encoder",
        "embeddings",
        "--optimizer",
        "muon",
        "--steps",
        "3",
        "--ema",
        "0",
        "--name",
        "tokens",
    ]
    assert main([*options, *arguments, "--base", str(sd)]) == 0
    assert main(["export", "runs/lora/tokens", "--format", "kohya", "--to", "x.safetensors"]) == 2
    assert "--format kohya" in capsys.readouterr().err
    assert main(["export", "runs/lora/tokens", "--format", "peft", "--to", "x.safetensors"]) == 0
    tensors, _ = read_model(Path("x.safetensors"))
    name = "text_encoder.text_model.embeddings.token_embedding.lora_embedding_A"
    assert tensors[name].abs().sum() > 0  # it was 0 before training
    base = load_base(str(sd))
    load_adapter(base, Path("x.safetensors"))
    loaded = dict(base.pipeline.text_encoder.named_parameters())
    assert torch.equal(loaded["embeddings.token_embedding.lora_embedding_A.default"], tensors[name])
    with torch.no_grad():
        for strength in (0.0, 1.0):
            set_strength(base, strength)
            plain = embedding(load_base(str(sd)))
            assert torch.equal(embedding(base), plain) == (strength == 0)


def embedding(base):
    return encode_captions(base, ["a ukiyo-e painting"])["embeds"]


def test_kohya_is_refused_for_transformers(flux2, options, capsys):
    assert main([*options, "--base", str(flux2), "--steps", "1", "--name", "flow"]) == 0
    assert main(["export", "runs/lora/flow", "--format", "kohya", "--to", "x.safetensors"]) == 2
    assert "--format kohya" in capsys.readouterr().err


def test_png_files_hold_their_prompt_and_strength_matters(trained):
    for strength in ("0", "1"):
        arguments = [
            "generate",
            str(trained),
            "--style",
            "ukiyo-e",
            "--prompt",
            "a lake",
            "-n",
            "2",
            "--num-inference-steps",
            "2",
        ]
        assert main([*arguments, "--seed", "7", "--strength", strength, "--to", strength]) == 0
    with Image.open("1/001.png") as picture:
        assert picture.info["prompt"] == "a ukiyo-e painting of a lake"
        assert picture.info["seed"] == "8"
        assert picture.size == (16, 16)
        after = np.asarray(picture).copy()
    with Image.open("0/001.png") as picture:
        assert not np.array_equal(np.asarray(picture), after)


def test_a_grid_of_styles_and_strengths(trained, capsys):
    assert (
        main(["grid", str(trained), "--strengths", "0.5", "1", "--num-inference-steps", "1", "--to", "grid.png"]) == 0
    )
    assert "3 styles × 3 strengths" in capsys.readouterr().out
    assert Path("grid.png").read_bytes().startswith(b"\x89PNG")
    assert main(["grid", str(trained), "--styles", "Pop_Art"]) == 2
    assert main(["generate", str(trained), "--size", "17"]) == 2


def test_a_push_without_network_is_an_error(trained, capsys):
    assert main(["export", str(trained), "--to", "a.safetensors", "--push-to-hub", "somebody/styles"]) == 2
    printed = capsys.readouterr().err
    assert "somebody/styles" in printed
    assert "Traceback" not in printed


def test_a_loaded_pipeline_paints_where_weights_are_in_half_precision(trained, sd, monkeypatch):
    """As on a GPU: the pipeline decodes latents in their own type."""
    monkeypatch.setattr("wikiart_lora.base_models.loading.weights_dtype", lambda *_: torch.bfloat16)
    pipeline = load_pipeline(trained, device="cpu", base=str(sd))
    assert pipeline.unet.dtype == torch.bfloat16
    image = pipeline("a red lake", height=16, width=16, num_inference_steps=1, output_type="np").images[0]
    assert image.shape == (16, 16, 3)
    assert np.isfinite(image).all()


def test_a_run_of_one_style_is_described_as_one(trained_on_one_style, capsys):
    run = str(trained_on_one_style)
    assert main(["grid", run, "--strengths", "1", "--num-inference-steps", "1"]) == 0
    assert "1 styles × 2 strengths" in capsys.readouterr().out
    for command in (["generate", run, "--style", "cubism"], ["grid", run, "--styles", "ukiyo-e", "Cubism"]):
        assert main(command) == 2
        assert "--style" in capsys.readouterr().err
    with pytest.raises(InputError) as error:
        load_run(trained_on_one_style, Path("runs"), "cpu").prompt("Cubism", "a lake")
    assert error.value.field == "--style"
    card = model_card(trained_on_one_style)
    assert "Ukiyo_e" in card
    assert "an ukiyo-e painting" in card or "a ukiyo-e painting" in card
    assert "Cubism" not in card
    assert main(["export", run, "--format", "kohya", "--to", "x.safetensors"]) == 0
    _, metadata = read_model(Path("x.safetensors"))
    assert json.loads(metadata["ss_tag_frequency"]) == {"styles": {"Ukiyo_e": 1}}


def test_an_export_leaves_all_or_nothing(trained, tmp_path, capsys):
    Path("x.md").write_text("mine")
    assert main(["export", str(trained), "--to", "x.safetensors"]) == 2
    assert "x.md" in capsys.readouterr().err
    assert Path("x.md").read_text() == "mine"
    lone = tmp_path / "lone" / "model.safetensors"  # without the run.json that the card is made of
    lone.parent.mkdir()
    lone.write_bytes((trained / "model.safetensors").read_bytes())
    assert main(["export", str(lone), "--to", "y.safetensors"]) == 2
    assert not Path("x.safetensors").exists()
    assert not Path("y.safetensors").exists()
    assert main(["export", str(trained), "--to", "x.safetensors", "--overwrite"]) == 0
    assert Path("x.md").read_text() != "mine"
