"""The first two stages of `tiny`: its autoencoder, and its decoder trained on against a patch critic."""

import copy
import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.augment import resize
from wikiart_data.images.batches import step_seed
from wikiart_data.results.tables import Number, Table
from wikiart_data.training.device import create_accelerator
from wikiart_data.training.muon import Muon, muon_groups
from wikiart_data.training.run import Part
from wikiart_data.training.schedule import update_ema, warmup_cosine
from wikiart_data.training.training_run import TrainingRun
from wikiart_lora.base_models.known import BASES
from wikiart_lora.base_models.sources import quiet_loading
from wikiart_lora.tiny_base.config import AutoencoderOptions, DecoderOptions, NarrowOptions, StageOptions
from wikiart_lora.tiny_base.networks import SIZE, PatchCritic, make_vae
from wikiart_lora.tiny_base.pictures import PictureBatches, draw_pictures
from wikiart_lora.tiny_base.scenes import scene_catalog

AUTOENCODER = Part(
    "pretrain-autoencoder",
    "The autoencoder of tiny",
    "wikiart-lora pretrain-autoencoder",
    ("wikiart-lora pretrain-decoder --autoencoder RUN",),
)
DECODER = Part(
    "pretrain-decoder",
    "The decoder of tiny, trained against a critic",
    "wikiart-lora pretrain-decoder",
    ("wikiart-lora pretrain-denoiser --autoencoder RUN", "wikiart-lora evaluate-autoencoder --autoencoder RUN"),
)
HELD_OUT_SEED, HELD_OUT_FIRST, HELD_OUT_NUMBER = 1, 6_000_000, 32
"""Pictures of another series and of other scenes than those trained on, for validation."""


def open_stage(part: Part, options: Any, load: Any) -> TrainingRun[Any, Any]:
    """Open the run of a stage.

    Raises:
        InputError: there are several processes, or the options or the run's folder cannot be used.
    """
    if create_accelerator(options.device).num_processes > 1:
        raise InputError(f"{part.name} runs in one process: start it without accelerate launch.", field=part.name)
    return TrainingRun.open(part, options, lambda given, _: given, load)


def number_of_intervals(options: StageOptions, steps: int) -> int:
    """Intervals between two checkpoints: what the run counts as epochs."""
    return math.ceil(steps / options.save_every)


def interval_steps(run: TrainingRun[Any, Any], interval: int) -> tuple[range, int, str]:
    """Steps of an interval that are left, the number of all of them, and a label."""
    first = interval * run.config.save_every
    last = min(first + run.config.save_every, run.config.steps)
    return range(first + run.first_step, last), last - first, f"steps to {last:,} of {run.config.steps:,}"


def pretrain_autoencoder(options: AutoencoderOptions) -> Path:
    """Train the autoencoder; returns the run's folder, which holds it as `base/vae`.

    Raises:
        InputError: the options or the run's folder cannot be used.
    """
    run = open_stage(AUTOENCODER, options, lambda config: scene_catalog(6))
    config: AutoencoderOptions = run.config
    autocast = partial(torch.autocast, run.device.type, torch.bfloat16, enabled=run.bf16)
    vae = make_vae(config.channels, config.width).to(run.device, memory_format=torch.channels_last)
    average = copy.deepcopy(vae)
    optimizer = Muon(muon_groups(vae, config.lr, 0.0, first="encoder.conv_in"))
    scheduler = LambdaLR(optimizer, warmup_cosine(config.steps))
    run.attach(vae=vae, average=average, optimizer=optimizer, scheduler=scheduler)
    echo(f"Autoencoder: {count_parameters(vae):.2f} M parameters; {run.device}, {'bf16' if run.bf16 else 'fp32'}.")
    held_out = held_out_images()
    with PictureBatches(config, config.batch_size, run.device) as batches:
        for interval in run.epochs(number_of_intervals(config, config.steps)):
            steps, number, label = interval_steps(run, interval)
            for _, (step, images) in run.steps(batches.interval(interval, steps), number, label):
                with autocast():
                    posterior = vae.encode(images).latent_dist
                    reconstruction = vae.decode(sample_posterior(posterior, config.seed, step)).sample.float()
                loss = reconstruction_loss(reconstruction, images) + config.kl * posterior.kl().mean()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                scheduler.step()
                update_ema(average, vae, config.ema, step)
                run.record_losses(loss=loss)
            _log_and_save(run, average, held_out, steps.stop)
    _finish(run, average, held_out)
    return run.folder


def pretrain_decoder(options: DecoderOptions) -> Path:
    """Train the decoder of an autoencoder on; returns the run's folder, which holds the autoencoder as `base/vae`.

    A patch critic learns to tell images from reconstructions (hinge loss, Lim & Ye 2017), and the decoder to deceive
    it and to match its features (Wang et al. 2018, eq. 4). Without a critic a decoder paints the mean of all marks that
    are possible, which is a blur. The encoder stays as it is, and so do the latents.

    Raises:
        InputError: the options, the autoencoder or the run's folder cannot be used.
    """
    run = open_stage(DECODER, options, lambda config: scene_catalog(6))
    config: DecoderOptions = run.config
    autocast = partial(torch.autocast, run.device.type, torch.bfloat16, enabled=run.bf16)
    vae = load_autoencoder(config.autoencoder).to(run.device, memory_format=torch.channels_last)
    average, critic = copy.deepcopy(vae), PatchCritic().to(run.device)
    for network in (vae.encoder, vae.quant_conv):
        network.requires_grad_(False)
    trainable = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, config.lr, betas=(0.5, 0.9), weight_decay=0.0)
    critic_optimizer = torch.optim.AdamW(critic.parameters(), config.lr, betas=(0.5, 0.9), weight_decay=0.01)
    scheduler, critic_scheduler = (LambdaLR(x, warmup_cosine(config.steps)) for x in (optimizer, critic_optimizer))
    run.attach(
        vae=vae, average=average, critic=critic, optimizer=optimizer, critic_optimizer=critic_optimizer,
        scheduler=scheduler, critic_scheduler=critic_scheduler,
    )  # fmt: skip
    millions = sum(parameter.numel() for parameter in trainable) / 1e6
    echo(f"Decoder: {millions:.2f} M parameters; critic {count_parameters(critic):.2f} M.")
    held_out = held_out_images()
    with PictureBatches(config, config.batch_size, run.device) as batches:
        for interval in run.epochs(number_of_intervals(config, config.steps)):
            steps, number, label = interval_steps(run, interval)
            for _, (step, images) in run.steps(batches.interval(interval, steps), number, label):
                with autocast():
                    with torch.no_grad():
                        latents = sample_posterior(vae.encode(images).latent_dist, config.seed, step)
                    reconstruction = vae.decode(latents).sample.float()
                    critic.requires_grad_(False)
                    with torch.no_grad():
                        wanted_features = critic(images)[1]
                    verdict, features = critic(reconstruction)
                distance = reconstruction_loss(reconstruction, images)
                feature_distance = torch.stack(
                    [F.l1_loss(x.float(), y.float()) for x, y in zip(features, wanted_features, strict=True)]
                ).mean()
                adversarial = -verdict.float().mean()
                loss = distance + config.feature_weight * feature_distance + config.adversarial_weight * adversarial
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                scheduler.step()

                critic.requires_grad_(True)
                with autocast():
                    real, fake = critic(torch.cat([images, reconstruction.detach()]))[0].float().chunk(2)
                critic_loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
                critic_optimizer.zero_grad(set_to_none=True)
                critic_loss.backward()
                critic_optimizer.step()
                critic_scheduler.step()
                update_ema(average, vae, config.ema, step)
                run.record_losses(loss=distance, features=feature_distance, critic=critic_loss)
            _log_and_save(run, average, held_out, steps.stop)
    _finish(run, average, held_out)
    return run.folder


def sample_posterior(posterior: Any, seed: int, step: int) -> Tensor:
    """Latents (B, C, h, w) drawn from the encoder's posterior, with the noise of one step of a run."""
    generator = torch.Generator().manual_seed(step_seed(seed, 1, step))
    noise = torch.randn(posterior.mean.shape, generator=generator).to(posterior.mean.device)
    return posterior.mean + posterior.std * noise


def reconstruction_loss(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Mean absolute error of pixels, and of differences between neighbours, which keeps edges sharp.

    Both are (B, 3, S, S); the result is a scalar.
    """
    dx = F.l1_loss(reconstruction.diff(dim=3), images.diff(dim=3))
    dy = F.l1_loss(reconstruction.diff(dim=2), images.diff(dim=2))
    return F.l1_loss(reconstruction, images) + 0.5 * (dx + dy)


@dataclass(frozen=True)
class Fidelity:
    """What an autoencoder keeps of some images, and what its latents look like."""

    psnr: float
    """Peak signal-to-noise ratio in dB, of the mean squared error over all images."""
    spread: float
    """Standard deviation of the latents' means."""
    deviations: tuple[float, ...]
    """Mean standard deviation of the posterior in each channel over `spread`."""

    @property
    def deviation(self) -> float:
        """Mean of `deviations`: the noise that programs add that draw from the posterior."""
        return math.fsum(self.deviations) / len(self.deviations)


@torch.no_grad()
def measure(vae: Any, images: Tensor, batch_size: int = 32) -> tuple[Fidelity, Tensor]:
    """Encode and decode images (N, 3, S, S) in [0, 1] by the posterior's mean; also the reconstructions, likewise."""
    device = next(vae.parameters()).device
    means, deviations, reconstructions = [], [], []
    for batch in images.split(batch_size):
        posterior = vae.encode(batch.to(device) * 2 - 1).latent_dist
        means.append(posterior.mean.cpu())
        deviations.append(posterior.std.cpu())
        reconstructions.append((vae.decode(posterior.mean).sample.cpu() / 2 + 0.5).clamp(0, 1))
    decoded, spread = torch.cat(reconstructions), torch.cat(means).std().item()
    psnr = -10 * math.log10(max(F.mse_loss(decoded, images).item(), 1e-10))
    of_channels = torch.cat(deviations).mean(dim=(0, 2, 3)) / spread
    return Fidelity(psnr, spread, tuple(of_channels.tolist())), decoded


@torch.no_grad()
def narrow_posterior(vae: Any, fidelity: Fidelity, deviation: float) -> Fidelity:
    """Lower the biases of the log-variances, in place, until no channel's deviation is above `deviation`.

    The encoder's last layer computes means and log-variances from the same inputs with weights of their own, so means
    and decoder, and all that was trained on them, stay the same, bit for bit. A weight of the KL divergence that alone
    made the posterior this narrow would hardly regularise, and would leave it wide where a channel is not used.

    Args:
        vae: an AutoencoderKL.
        fidelity: what `measure` says of it.
        deviation: in units of the spread of the latents.

    Returns:
        `fidelity` with the deviations after this.
    """
    last = vae.encoder.conv_out if vae.quant_conv is None else vae.quant_conv
    lowered = torch.tensor([min(1.0, deviation / of_channel) for of_channel in fidelity.deviations])
    last.bias[len(lowered) :] += 2 * lowered.log().to(last.bias)
    return replace(fidelity, deviations=tuple(min(deviation, of_channel) for of_channel in fidelity.deviations))


def narrow(options: NarrowOptions) -> Path:
    """The command `narrow-posterior`; returns the folder of the new autoencoder.

    Raises:
        InputError: there is no such autoencoder, or there is one where the new one would be written.
    """
    vae = load_autoencoder(options.autoencoder)
    folder = options.to / "vae"
    if folder.exists():
        raise InputError(f"{folder} exists: choose another folder with --to.", field="--to")
    before, _ = measure(vae, held_out_images())
    after = narrow_posterior(vae, before, options.deviation)
    save_autoencoder(vae, vae.config.scaling_factor, folder)
    echo(f"Posterior deviation {100 * before.deviation:.1f} → {100 * after.deviation:.1f} % of the latents' spread.")
    echo(f"The autoencoder is in {folder}/.")
    return folder


def held_out_images() -> Tensor:
    """(HELD_OUT_NUMBER, 3, SIZE, SIZE) float32 in [0, 1]: scenes and random marks that no stage is trained on."""
    return resize(torch.from_numpy(draw_pictures(HELD_OUT_SEED, HELD_OUT_FIRST, HELD_OUT_NUMBER)), SIZE) / 255


def load_autoencoder(name: str) -> Any:
    """The AutoencoderKL of a run of `pretrain` or of a base, in float32, of whatever size its own config.json says.

    Args:
        name: a run's folder, a short name of `BASES` that is a folder, or the folder of a base.

    Raises:
        InputError: there is none.
    """
    from diffusers import AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]

    folder = Path(BASES[name].location if name in BASES else name).expanduser()
    folder = folder / "base" / "vae" if (folder / "base" / "vae").is_dir() else folder / "vae"
    try:
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(folder)
        with quiet_loading():
            vae: Any = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32, use_safetensors=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"--autoencoder {name} holds no autoencoder that pretrain-autoencoder or pretrain-decoder has written.",
            field="--autoencoder",
        ) from error
    return vae


def save_autoencoder(vae: Any, scale: float, folder: Path) -> None:
    """Write an autoencoder in fp16 as a folder that `AutoencoderKL.from_pretrained` loads; `scale` is 1 / spread."""
    vae = copy.deepcopy(vae).cpu().half()
    vae.register_to_config(scaling_factor=scale, _name_or_path="")  # no path of the machine that trained it
    with quiet_loading():
        vae.save_pretrained(folder, safe_serialization=True)


def count_parameters(network: nn.Module) -> float:
    """Parameters of a network in millions."""
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def _log_and_save(run: TrainingRun[Any, Any], average: Any, held_out: Tensor, step: int) -> None:
    fidelity, _ = measure(average, held_out)
    line = f"step {step:6,}  loss {run.losses['loss']:.4f}  {fidelity.psnr:.2f} dB"
    line += f"  posterior deviation {100 * fidelity.deviation:.1f} %"
    run.log(line, step=step, **run.losses, psnr=fidelity.psnr, deviation=fidelity.deviation)
    narrowed = copy.deepcopy(average)
    narrow_posterior(narrowed, fidelity, run.config.deviation)
    save_autoencoder(narrowed, 1 / fidelity.spread, run.folder / "base" / "vae")


def _finish(run: TrainingRun[Any, Any], average: Any, held_out: Tensor) -> None:
    trained, _ = measure(average, held_out)
    columns = ("PSNR of held-out pictures", "posterior deviation", "before narrowing", "spread of the latents")
    saved = narrow_posterior(average, trained, run.config.deviation)  # as in the files written already
    row = (
        Number(saved.psnr, "dB"), Number(saved.deviation, "%"), Number(trained.deviation, "%"),
        Number(saved.spread, digits=2),
    )  # fmt: skip
    result = {
        "steps": run.config.steps, "train_seconds": round(run.seconds, 1), "psnr": saved.psnr, "spread": saved.spread,
        "deviation": saved.deviation, "trained_deviation": trained.deviation,
    }  # fmt: skip
    run.finish(result, [Table("Autoencoder", ("", *columns), (("held-out pictures", *row),))], {})
    run.close()
    echo(f"The autoencoder is in {run.folder / 'base' / 'vae'}/. {saved.psnr:.1f} dB on held-out pictures.")
