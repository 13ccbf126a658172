"""Stable Diffusion 1.5's published configuration on a simulated GPU of 8 GB, and what `--base list` says of bases."""

import gc

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from wikiart_lora.base_models.families import decode_latents
from wikiart_lora.base_models.known import BASES, needs_of, table
from wikiart_lora.base_models.needs import NF4_BYTES, count_needs
from wikiart_lora.base_models.precision import quantize_nf4
from wikiart_lora.base_models.published import PUBLISHED, published_base
from wikiart_lora.cache import encode_in_parts, image_parts
from wikiart_lora.memory import Parts
from wikiart_lora.simulated_gpu import SimulatedGpu, size_of

GB = 10**9


def test_a_card_of_8_gb_encodes_trains_and_draws():
    room = int(7.2 * GB)  # the driver and the allocator's fragments take the rest
    with FakeTensorMode():
        base = published_base("sd15")
        with SimulatedGpu(size_of(base.pipeline.vae), room):
            assert encode_in_parts(base, torch.zeros(8, 3, 512, 512), image_parts(512, 512)).shape == (8, 4, 64, 64)
        gc.collect()
        with SimulatedGpu(size_of(base.pipeline.vae), room):
            decoding, latents = Parts(16, "decoding images"), torch.zeros(16, 4, 64, 64)
            images = list(decoding.map(16, lambda part: decode_latents(base, latents[part])))
        assert sum(map(len, images)) == 16
        assert decoding.size < 16  # sixteen at once are too many
    counted = count_needs("sd15")
    assert max(counted.values()) < room
    assert counted["step_nf4"] < counted["step"]
    needs = needs_of("sd15")
    assert needs is not None
    assert needs.training * GB == pytest.approx(max(counted[x] for x in ("captions", "encode", "step")), rel=0.05)
    assert needs.sampling * GB == pytest.approx(max(counted[x] for x in ("captions", "denoise", "decode")), rel=0.05)


def test_every_known_base_is_listed_with_what_it_needs():
    assert PUBLISHED.keys() == BASES.keys() - {"tiny"}
    lines = table().splitlines()
    for name, known in BASES.items():
        (line,) = (line for line in lines if line.split()[0] == name)
        of_base = needs_of(name)
        assert (of_base is None) == (name == "tiny")
        assert str(known.size) in line
        assert of_base is None or f"{of_base.training:.1f} GB" in line


@pytest.mark.parametrize("name", ["sd15", "klein"])
def test_published_sizes_have_the_published_numbers_of_parameters(name):
    with FakeTensorMode():
        base = published_base(name)
    networks = [base.pipeline.vae, *base.text_encoders.values()]
    others = sum(parameter.numel() for network in networks for parameter in network.parameters())
    denoiser = sum(parameter.numel() for parameter in base.denoiser.parameters())
    assert (denoiser / 1e6, others / 1e6) == pytest.approx(BASES[name].millions, abs=0.6)


def test_weights_in_4_bits_have_the_size_that_needs_count_with():
    pytest.importorskip("bitsandbytes", reason="the extra 'quantize'")
    network = torch.nn.Sequential(torch.nn.Linear(512, 512, bias=False))
    quantize_nf4(network, torch.bfloat16)
    tensors = network.state_dict()
    tables = sum(value.nbytes for key, value in tensors.items() if "quant_map" in key or "quant_state" in key)
    assert sum(value.nbytes for value in tensors.values()) - tables == pytest.approx(512 * 512 * NF4_BYTES, rel=0.01)
