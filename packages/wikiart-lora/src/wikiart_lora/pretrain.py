"""`wikiart-lora pretrain`: the base `tiny`, from nothing. First the autoencoder, then text encoder and UNet."""

import copy
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wikiart_data.console import echo, track
from wikiart_data.errors import InputError
from wikiart_data.images.augment import Augment, random_boxes, resized_crops
from wikiart_data.images.batches import step_seed
from wikiart_data.training.device import create_accelerator, use_bf16
from wikiart_data.training.legacy_run import Run
from wikiart_data.training.loop import check_finite, options_for_resume, update_ema, warmup_cosine
from wikiart_data.training.muon import Muon, muon_groups
from wikiart_lora.config import PretrainConfig
from wikiart_lora.pipelines import plain_attention, quiet_loading, read_autoencoder
from wikiart_lora.roughen import roughen
from wikiart_lora.scenes import as_catalog, captions, photographs, scenes
from wikiart_lora.tiny_networks import SIZE, make_scheduler, make_text_encoder, make_unet, make_vae
from wikiart_lora.vocabulary import make_tokenizer

BLOCK = 250
"""Steps between two saves."""
NO_CAPTION = 0.1
"""Share of pictures that are shown without their caption, for classifier-free guidance (Ho & Salimans 2022)."""
ZOOM = Augment(crop=(0.3, 1.0), ratio=1.2, flip=0.5, brightness=0.0, contrast=0.0)
WHOLE = Augment(crop=(1.0, 1.0), ratio=1.0, flip=0.5, brightness=0.0, contrast=0.0)


def pretrain(config: PretrainConfig) -> None:
    """Train all of `tiny` and write it in the layout of a diffusers pipeline.

    Raises:
        InputError: the options or the run's folder cannot be used.
    """
    accelerator = create_accelerator(config.device)
    if accelerator.num_processes > 1:
        raise InputError("pretrain runs in one process: start it without accelerate launch.")
    run = None
    if config.resume:
        run = Run.resume(config.resume, "lora-pretrain")
        config = options_for_resume(config, run.record)
    device, bf16 = accelerator.device, use_bf16(accelerator.device, config.precision)
    if run is None:
        run = Run.start("lora-pretrain", config, as_catalog(config.pictures))
    shown = scenes(config.pictures)
    words = captions(shown)
    echo(f"Painting {config.pictures:,} plain scenes.")
    pictures = photographs(shown)
    tokenizer = make_tokenizer(words)
    torch.manual_seed(config.seed)
    vae = make_vae()
    if config.autoencoder:
        vae.load_state_dict(read_autoencoder(config.autoencoder, vae))
    vae.to(device, memory_format=torch.channels_last)
    text_encoder = make_text_encoder(len(tokenizer), tokenizer.model_max_length, tokenizer.eos_token_id).to(device)
    unet = make_unet().to(device, memory_format=torch.channels_last)
    if device.type == "cpu":
        plain_attention(unet, text_encoder)
    denoiser = nn.ModuleDict({"text_encoder": text_encoder, "unet": unet})
    averages = nn.ModuleDict({"vae": copy.deepcopy(vae), "denoiser": copy.deepcopy(denoiser)})
    parts = {"vae": vae, "denoiser": denoiser, "averages": averages}
    sizes = ", ".join(
        f"{name} {sum(p.numel() for p in one.parameters()) / 1e6:.2f} M"
        for name, one in (("autoencoder", vae), ("text encoder", text_encoder), ("UNet", unet))
    )
    echo(f"{len(tokenizer):,} tokens; {sizes} parameters; {device}, {'bf16' if bf16 else 'fp32'}.")
    # One optimiser over both stages: a part that has no gradient is left alone by it.
    groups = muon_groups(vae, config.lr, 0.0, first="encoder.conv_in") + muon_groups(
        denoiser, config.lr, 0.01, first="unet.conv_in"
    )
    optimizer = Muon([group for group in groups if group["params"]])
    peaks = [group["lr"] for group in optimizer.param_groups]
    progress = (run.resumed(parts, optimizer) if config.resume else None) or {"step": 0, "loss": 0.0, "seconds": 0.0}
    run.listen()

    def move(step: int, share: float) -> None:
        """One step, at a share of the peak rate, of the optimiser and of the averages of the stage with gradients."""
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * share
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step < vae_steps:
            update_ema(averages["vae"], vae, config.ema, step)
        else:
            update_ema(averages["denoiser"], denoiser, config.ema, step - vae_steps)

    vae_steps = 0 if config.autoencoder else config.vae_steps
    scheduler, latents, tokens = make_scheduler(), None, None
    total, loss_sum, seconds = vae_steps + config.steps, progress["loss"], progress["seconds"]
    for start in range(progress["step"] - progress["step"] % BLOCK, total, BLOCK):
        began, first = time.monotonic(), max(start, progress["step"])
        last = min(start + BLOCK, total)
        for step in track(range(first, last), last - first, f"steps to {last:,} of {total:,}", "steps"):
            generator = torch.Generator().manual_seed(step_seed(config.seed, 0, step))
            rows = torch.randint(len(pictures), (config.batch_size,), generator=generator)
            if step < vae_steps:
                boxes = random_boxes(len(rows), ZOOM, generator)
                images = resized_crops(pictures[rows].to(device), boxes, SIZE).div_(255)
                images = roughen(images.cpu(), generator).to(device) * 2 - 1
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    posterior = vae.encode(images.contiguous(memory_format=torch.channels_last)).latent_dist
                    noise = torch.randn(posterior.mean.shape, generator=generator).to(device)
                    ours = vae.decode(posterior.mean + posterior.std * noise).sample.float()
                loss = autoencoder_loss(ours, images) + config.kl * posterior.kl().mean()
            else:
                if latents is None:
                    latents, tokens = prepared(averages["vae"], pictures, tokenizer, words, device, bf16)
                unnoticed = torch.rand(len(rows), generator=generator) < NO_CAPTION
                asked = torch.where(unnoticed[:, None], tokens[-1], tokens[rows]).to(device)
                mirrored = torch.rand(len(rows), generator=generator) < 0.5
                clean = torch.where(mirrored[:, None, None, None], latents[1, rows], latents[0, rows]).to(device)
                times = torch.randint(scheduler.config.num_train_timesteps, (len(rows),), generator=generator)
                noise = torch.randn(clean.shape, generator=generator).to(device)
                times = times.to(device)
                noisy = scheduler.add_noise(clean, noise, times).contiguous(memory_format=torch.channels_last)
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    velocity = unet(noisy, times, text_encoder(asked)[0]).sample.float()
                # All noise levels count alike: on so few latents, much noise is where layout and colours are decided.
                loss = F.mse_loss(velocity, scheduler.get_velocity(clean, noise, times))
            run.check(value := loss.item(), start // BLOCK, step)
            loss.backward()
            done, of = (step, vae_steps) if step < vae_steps else (step - vae_steps, config.steps)
            move(step, warmup_cosine((done + 1) / of))
            loss_sum += value
            if run.should_stop():
                now = seconds + time.monotonic() - began
                run.save(parts, optimizer, epoch=start // BLOCK, step=step + 1, loss=loss_sum, seconds=now)
                raise run.stop("wikiart-lora pretrain")
        seconds += time.monotonic() - began
        check_finite(run.folder, start // BLOCK, vae, denoiser)
        mean = loss_sum / (last - start)
        stage = "autoencoder" if last <= vae_steps else "denoiser"
        line = f"step {last:6,} of {total:,}  {stage} loss {mean:.4f}  {seconds:.0f} s"
        run.log(start // BLOCK, line, step=last, stage=stage, loss=mean, seconds=round(seconds, 1))
        loss_sum = 0.0
        run.save(parts, optimizer, epoch=start // BLOCK + 1, step=last, loss=0.0, seconds=seconds)
        if last > vae_steps:
            save_base(run.folder / "base", averages, tokenizer, pictures, bf16)
    save_base(run.folder / "base", averages, tokenizer, pictures, bf16)
    run.finish({"steps": total, "train_seconds": round(seconds, 1)}, {})
    echo(f"The base is in {run.folder / 'base'}/, in the layout of a diffusers pipeline.")


def autoencoder_loss(ours: Tensor, images: Tensor) -> Tensor:
    """Mean absolute error of pixels, and of the steps between neighbours, which keep edges sharp: (B, 3, S, S) both."""
    across = F.l1_loss(ours.diff(dim=3), images.diff(dim=3)) + F.l1_loss(ours.diff(dim=2), images.diff(dim=2))
    return F.l1_loss(ours, images) + 0.5 * across


@torch.no_grad()
def prepared(
    vae: nn.Module,
    pictures: Tensor,
    tokenizer: Any,
    words: list[str],
    device: torch.device,
    bf16: bool,
) -> tuple[Tensor, Tensor]:
    """What the second stage needs.

    Returns:
        Latents (2, N, CHANNELS, 16, 16) float32, scaled, of the pictures as they are and mirrored;
        tokens (N + 1, L) int64, the last row of no caption.
    """
    echo("Encoding all scenes.")
    scale = latent_scale(vae, pictures, device, bf16)
    found = []
    for mirrored in (False, True):
        parts = [slice(at, at + 256) for at in range(0, len(pictures), 256)]
        found.append(torch.cat([encoded(vae, pictures[at], mirrored, device, bf16) for at in parts]))
    padded = {"padding": "max_length", "max_length": tokenizer.model_max_length, "truncation": True}
    tokens = tokenizer([*words, ""], return_tensors="pt", **padded).input_ids
    return torch.stack(found) * scale, tokens


def encoded(
    vae: nn.Module,
    pictures: Tensor,
    mirrored: bool,
    device: torch.device,
    bf16: bool,
) -> Tensor:
    """Pictures (B, S, S, 3) uint8 → means of their latents, not scaled: (B, CHANNELS, 16, 16) float32 on the CPU."""
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0, float(mirrored)]]).expand(len(pictures), 5)
    images = resized_crops(pictures.to(device), box, SIZE).div_(255) * 2 - 1
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        return vae.encode(images).latent_dist.mean.float().cpu()


@torch.no_grad()
def latent_scale(vae: nn.Module, pictures: Tensor, device: torch.device, bf16: bool) -> float:
    """What latents are multiplied by to have a spread of 1, as Stable Diffusion does it."""
    return 1 / encoded(vae, pictures[:512], False, device, bf16).std().item()


def save_base(folder: Path, averages: nn.ModuleDict, tokenizer: Any, pictures: Tensor, bf16: bool) -> None:
    """Write the averaged weights as an fp16 pipeline that `StableDiffusionPipeline.from_pretrained` loads."""
    from diffusers import StableDiffusionPipeline

    vae = copy.deepcopy(averages["vae"])
    device = next(vae.parameters()).device
    vae.register_to_config(scaling_factor=latent_scale(vae, pictures, device, bf16))
    parts = copy.deepcopy(averages["denoiser"])
    pipeline = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=parts["text_encoder"].half(),
        tokenizer=tokenizer,
        unet=parts["unet"].half(),
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with quiet_loading():
        pipeline.save_pretrained(folder, safe_serialization=True)
