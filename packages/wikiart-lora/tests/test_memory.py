"""Stable Diffusion 1.5's published configuration on a simulated GPU of 8 GB, counted on tensors without storage."""

import gc
import warnings
import weakref

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from wikiart_lora.adapter import add_adapter
from wikiart_lora.base_models.families import decode_latents, predict
from wikiart_lora.base_models.known import BASES
from wikiart_lora.base_models.loading import BaseModel, Geometry
from wikiart_lora.cache import encode_in_parts, image_parts
from wikiart_lora.config import TrainConfig
from wikiart_lora.memory import Parts

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffusers

GB = 10**9


class SimulatedGpu(TorchDispatchMode):
    """Counts the bytes of live tensors, and refuses an allocation beyond its memory as a GPU does.

    Args:
        memory: in bytes.
        weights: bytes that are there from the start.
    """

    def __init__(self, memory: int, weights: int):
        super().__init__()
        self.memory, self.live, self.peak = memory, weights, weights
        self.storages: set[int] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        known = {id_of(tensor) for tensor in tensors_of((args, kwargs))}
        result = function(*args, **(kwargs or {}))
        for tensor in tensors_of(result):
            storage = tensor.untyped_storage()
            if (key := storage._cdata) in self.storages or key in known:
                continue
            size = storage.nbytes()
            if self.live + size > self.memory:
                raise torch.OutOfMemoryError("too little")
            self.storages.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self.free, key, size)
        return result

    def free(self, key: int, size: int) -> None:
        self.storages.discard(key)
        self.live -= size


def tensors_of(values: object) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def id_of(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


def size_of(network: torch.nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in network.parameters())


@pytest.fixture(scope="module")
def stable_diffusion():
    """UNet and autoencoder of Stable Diffusion 1.5 as published, in the types that training uses on a GPU."""
    mode = FakeTensorMode()
    with mode:
        torch.set_default_dtype(torch.bfloat16)
        unet = diffusers.UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8, sample_size=64)
        torch.set_default_dtype(torch.float32)
        vae = diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=2, latent_channels=4, sample_size=512,
        )  # fmt: skip
        unet.requires_grad_(False)
        vae.requires_grad_(False)

    class Pipeline:
        def __init__(self) -> None:
            self.unet, self.vae, self.text_encoder = unet, vae, None

    base = BaseModel("sd15", "sd", Pipeline(), Geometry(512, 64), torch.device("cpu"))
    with mode, pytest.MonkeyPatch.context() as patch:
        # Tensors without storage cannot be moved in place; they are where they should be already.
        patch.setattr(torch.nn.Module, "to", lambda self, *_, **__: self)
        adapter = add_adapter(base, TrainConfig(rank=16, alpha=16.0, targets="attention", text_encoder="none"))
    unet.enable_gradient_checkpointing()
    return mode, base, adapter


def test_a_card_of_8_gb_encodes_trains_and_draws(stable_diffusion):
    mode, base, adapter = stable_diffusion
    room = int(7.2 * GB)  # the driver and the allocator's fragments take the rest
    peaks = {}
    with mode, SimulatedGpu(room, size_of(base.pipeline.vae)) as gpu:
        latents = encode_in_parts(base, torch.zeros(8, 3, 512, 512), image_parts(512, 512))
        assert latents.shape == (8, 4, 64, 64)
        peaks["encoding"] = gpu.peak
    del latents
    gc.collect()
    optimizer = torch.optim.AdamW(adapter.parameters())
    with mode, SimulatedGpu(room, size_of(base.denoiser)) as gpu:
        noisy, text = torch.zeros(1, 4, 64, 64), {"embeds": torch.zeros(1, 77, 768, dtype=torch.bfloat16)}
        with torch.autocast("cpu", torch.bfloat16):
            prediction = predict(base, base.denoiser, noisy, torch.zeros(1), text)
        prediction.square().mean().backward()
        optimizer.step()
        peaks["a step"] = gpu.peak
        optimizer.zero_grad(set_to_none=True)
        del prediction
    gc.collect()
    with mode, torch.no_grad(), SimulatedGpu(room, size_of(base.denoiser)) as gpu:
        noisy, text = torch.zeros(8, 4, 64, 64), {"embeds": torch.zeros(8, 77, 768, dtype=torch.bfloat16)}
        predict(base, base.denoiser, noisy, torch.zeros(8), text)  # four images with guidance
        peaks["sampling"] = gpu.peak
    gc.collect()
    with mode, SimulatedGpu(room, size_of(base.pipeline.vae)) as gpu:
        decoding = Parts(4, "decoding images")
        images = list(decoding.map(4, lambda part: decode_latents(base, torch.zeros(4, 4, 64, 64)[part])))
        assert sum(len(part) for part in images) == 4
        peaks["decoding"] = gpu.peak
    assert max(peaks.values()) <= room
    assert BASES["sd15"].memory == pytest.approx(max(peaks.values()) / GB, rel=0.5)
