"""The arithmetic of docs/SCALING.md: bytes to move and to store, from sizes in the code itself.

    uv run python benchmarks/scaling.py

Nothing is measured or trained: networks are created without weights and their parameters are counted.
"""

import torch
from torch import nn

from wikiart_autoencode.network import AutoencoderNet
from wikiart_classify.network import StyleNet
from wikiart_data.styles import STYLES
from wikiart_lora.adapter import ATTENTION
from wikiart_stylegen.discriminators import AuxiliaryNetworks
from wikiart_stylegen.network import StyleAutoencoder

LINKS = {"1 Gbit/s": 1e9, "25 Gbit/s": 25e9, "400 Gbit/s": 400e9}
SIDES = (128, 183, 256)
"""Sides of packs, in pixels: a plain one, that of --size 160, and a large one."""


def parameters(network: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(p.numel() for p in network.parameters())


def adapter_of_sd15(rank: int) -> int:
    """Parameters of an adapter on the attention of Stable Diffusion 1.5's UNet: rank · (in + out) per layer."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
    layers = [m for name, m in unet.named_modules() if name.endswith(ATTENTION) and isinstance(m, nn.Linear)]
    return rank * sum(layer.in_features + layer.out_features for layer in layers)


def trained_parameters() -> dict[str, int]:
    """Parameters per network whose gradients are exchanged in a step."""
    with torch.device("meta"):
        counts = {
            f"classify {preset}": parameters(StyleNet(len(STYLES), preset)) for preset in ("tiny", "small", "base")
        }
        counts["autoencode, spatial"] = parameters(AutoencoderNet())
        counts["autoencode, vector of 128"] = parameters(AutoencoderNet(code=128))
        generator, auxiliary = StyleAutoencoder(len(STYLES)), AuxiliaryNetworks(len(STYLES), 8)
        counts["stylegen, all its networks"] = parameters(generator) + parameters(auxiliary)
        counts["lora on sd15, rank 16, attention"] = adapter_of_sd15(16)
    return counts


def main() -> None:
    """Print the tables."""
    print(f"| network | parameters | gradients per step, MB | {' | '.join(f'ms at {link}' for link in LINKS)} |")
    print(f"|---|---|---|{'---|' * len(LINKS)}")
    for name, number in trained_parameters().items():
        # A ring of many processes sends and receives nearly twice the gradients through every link.
        times = [1000 * 2 * 8 * 4 * number / speed for speed in LINKS.values()]
        print(f"| {name} | {number:,} | {4 * number / 1e6:.1f} | {' | '.join(f'{ms:.3g}' for ms in times)} |")

    print("\n| side of the pack, px | bytes per picture | 1 M pictures | 100 M pictures | MB/s for 1,000 pictures/s |")
    print("|---|---|---|---|---|")
    for side in SIDES:
        size = 3 * side * side
        print(f"| {side} | {size:,} | {size / 1e3:.0f} GB | {size / 1e4:.1f} TB | {size / 1e3:.0f} |")

    print("\n| 100 M codes of 128 numbers | GB |\n|---|---|")
    for name, size in (("float32", 512), ("float16", 256), ("int8", 128), ("labels, int64", 8)):
        print(f"| {name} | {size * 1e8 / 1e9:.1f} |")
    print(f"| all pairwise distances, float32 | {4 * 1e16 / 1e9:,.0f} |")


if __name__ == "__main__":
    main()
