"""What is done with a trained adapter: images, grids, exports, the model card, the evaluation."""

import json
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from wikiart_data.judge import Judge, JudgeInfo
from wikiart_data.training.checkpoints import read_model
from wikiart_lora import evaluate as evaluation
from wikiart_lora.adapter import add_adapter, load_adapter, set_strength
from wikiart_lora.base_models.families import encode_captions
from wikiart_lora.base_models.loading import load_base
from wikiart_lora.cli import main
from wikiart_lora.config import TrainConfig
from wikiart_lora.export import to_kohya
from wikiart_lora.metrics import balanced_proportion, diversity, memorisation
from wikiart_lora.model_card import model_card
from wikiart_lora.options import EvaluateOptions
from wikiart_lora.sampling import sample_images
from wikiart_lora.score import Score
from wikiart_lora.tiny_base import scene_probe
from wikiart_lora.tiny_base.scene_probe import scene_accuracy, train_scene_probe


@pytest.fixture(scope="module")
def trained(sd, paintings, tmp_path_factory) -> Path:
    """The folder of a finished run with adapters in UNet and text encoder, strong enough to be visible."""
    folder = tmp_path_factory.mktemp("runs")
    options = (
        f"--base {sd} --data {paintings} --runs {folder} --cache-dir {folder}/cache --name one --steps 3 "
        "--batch-size 4 --size 16 --device cpu --rank 3 --alpha 6 --rslora --targets all --text-encoder attention "
        "--lr 0.05 --ema 0 --num-inference-steps 1"
    )
    with pytest.MonkeyPatch.context() as patch:
        for function in ("before_and_after", "learning_curve"):
            patch.setattr(f"wikiart_lora.training.{function}", lambda *_: Figure(figsize=(1, 1)))
        assert main(options.split()) == 0
    return folder / "lora" / "one"


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


def colour_judge() -> Judge:
    """A judge that tells the three colours apart."""

    class ByColour(torch.nn.Module):
        def forward(self, images):
            means = images.mean(dim=(2, 3))
            return (20 * means).softmax(dim=1), means

    info = JudgeInfo(
        ("Baroque", "Cubism", "Ukiyo_e"), 16, seed=0, network="by colour", top1=1.0, top3=1.0, split="test"
    )
    return Judge(info, ByColour())


def test_evaluation_with_a_judge(trained, monkeypatch, capsys):
    monkeypatch.setattr(evaluation.Judge, "load", lambda folder, device: colour_judge())
    arguments = ["--judge", "judge", "--images-per-style", "3", "--num-inference-steps", "1"]
    assert main(["evaluate", str(trained), *arguments]) == 0
    assert "top-1" in capsys.readouterr().out
    content = json.loads((trained / "score/result.json").read_text())
    score = Score.from_json(content)
    assert (score.n, score.training["steps"], score.rows["real"].top1.value) == (9, 3, 1.0)
    assert score.split == "test"
    for name in ("base", "adapted"):
        row = score.rows[name]
        assert row.top1.interval[0] <= row.top1.value <= row.top1.interval[1]
        assert row.top1.n == 9
        assert row.kid is not None
        assert row.diversity is not None
    assert {row.style for row in score.per_style} == {"Baroque", "Cubism", "Ukiyo_e"}
    assert all(row.adapted.kid is not None for row in score.per_style)
    assert {"hit rate", "hit rate among three"} < score.targets.keys()
    assert score.drift.scene is None  # no sample set
    assert score.drift.kid.value != score.drift.kid_of_base.value
    assert [row[0] for row in content["tables"][1]["rows"]] == ["base", "with the adapter"]
    assert score.targets["images nearer to a training image than 95 % of held-out ones"].aim == 0.06
    for figure in ("score", "before-after", "nearest"):
        assert (trained / f"score/figures/{figure}.png").read_bytes().startswith(b"\x89PNG")
    rows = {row[0]: row for row in content["tables"][0]["rows"]}
    assert rows["adapted"][1]["value"] == score.rows["adapted"].top1.value
    assert rows["chance"][1]["value"] == pytest.approx(1 / 3)
    card = model_card(trained)
    assert "| base |" in card
    assert "| rank | 3 |" in card


def test_evaluation_without_a_judge(trained, capsys):
    score = evaluation.evaluate(EvaluateOptions(trained, images_per_style=2, num_inference_steps=1, device="cpu"))
    assert "There is no judge" in capsys.readouterr().out
    assert score.judge is None
    assert score.rows["adapted"].top1 is None
    assert score.rows["adapted"].diversity.value > 0
    assert score.memorisation["adapted"].painted.value > 0
    assert Score.from_json(json.loads((trained / "score/result.json").read_text())).rows == score.rows


def test_the_split_decides_which_real_images_and_titles_are_used(trained, paintings, tmp_path, monkeypatch, capsys):
    splits, prompts = [], []

    def read(catalog, rows, size):
        splits.extend({catalog.splits[row] for row in rows})
        return read_real_images(catalog, rows, size)

    def sample(base, texts, seeds, size, *more, **options):
        prompts.extend(texts)
        return torch.rand(len(texts), 3, size, size)

    read_real_images = evaluation.read_real_images
    monkeypatch.setattr(evaluation, "read_real_images", read)
    monkeypatch.setattr(evaluation, "sample_images", sample)
    without_test = tmp_path / "paintings"
    shutil.copytree(paintings, without_test)
    shutil.rmtree(without_test / "test")
    cases = (([], "test"), (["--split", "valid"], "valid"), (["--data", str(without_test)], "valid"))
    for options, split in cases:
        splits.clear()
        prompts.clear()
        assert main(["evaluate", str(trained), "--images-per-style", "1", *options]) == 0
        assert splits == ["train", split]
        assert prompts
        assert all(prompt.endswith(f"lake {split}") for prompt in prompts)
        assert f"Real images: of {split}." in " ".join(capsys.readouterr().out.split())
        assert json.loads((trained / "score/result.json").read_text())["split"] == split


def test_a_push_without_network_is_an_error(trained, capsys):
    assert main(["export", str(trained), "--to", "a.safetensors", "--push-to-hub", "somebody/styles"]) == 2
    printed = capsys.readouterr().err
    assert "somebody/styles" in printed
    assert "Traceback" not in printed


def test_metrics_on_known_numbers():
    torch.manual_seed(0)
    assert diversity(torch.ones(5, 3)) == pytest.approx(0, abs=1e-9)
    assert diversity(torch.eye(4)) == pytest.approx(1)
    train, held_out = torch.randn(50, 12), torch.randn(50, 12)
    copied = memorisation(train[:20] + 0.001, train, held_out)
    assert copied.painted.value < 0.01
    assert copied.closer.value == 1.0
    assert memorisation(torch.randn(50, 12), train, held_out).closer.value < 0.2


def test_styles_count_equally_in_a_balanced_proportion():
    hits, labels = np.array([True] * 90 + [False] * 10), np.array([0] * 90 + [1] * 10)
    estimate = balanced_proportion(hits, labels)
    assert (estimate.value, estimate.n) == (0.5, 100)
    assert estimate.interval == (0.5, 0.5)  # no style has a variance
    mixed = balanced_proportion(np.arange(100) % 2 == 0, labels)
    assert mixed.interval[0] < mixed.value == 0.5 < mixed.interval[1]


def test_drift_is_measured_on_prompts_without_a_style():
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(24, 3, 16, 16, generator=generator)
    kinds = np.arange(24) % 2
    prompts = evaluation.Prompts(np.zeros(24), ("",) * 24, ("",) * 24, kinds, tuple(range(24)))
    brightness = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2))
    same = evaluation.measure_drift({"base": base, "adapted": base}, prompts, colour_judge(), brightness)
    assert same.kid == same.kid_of_base
    assert same.scene == same.scene_of_base
    darker = evaluation.measure_drift({"base": base, "adapted": base / 2}, prompts, colour_judge(), None)
    assert darker.kid.value > 10 * abs(darker.kid_of_base.value)
    assert evaluation.measure_drift({}, prompts, None, None) is None


def test_the_scene_probe_generalises_to_new_scenes(monkeypatch):
    from wikiart_data.sample import SCENES, paint, scene

    def render(first_seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        images = [paint(scene(kind, first_seed + seed), "photograph", 32) for seed in range(16) for kind in SCENES]
        kinds = torch.arange(len(SCENES)).repeat(16)
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255, kinds

    monkeypatch.setattr(scene_probe, "STEPS", 40)  # instead of 240: 89 % right instead of 90
    probe = train_scene_probe(*render(0))
    images, kinds = render(500)
    assert scene_accuracy(probe, images, kinds.numpy()).value > 0.5
