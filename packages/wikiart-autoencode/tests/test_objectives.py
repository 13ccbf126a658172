"""Auxiliary objectives: the terms of VICReg by hand, texture statistics, denoising."""

import pytest
import torch

from wikiart_autoencode.objectives import (
    NOISE_STD,
    AuxiliaryObjective,
    TexturePrediction,
    VICReg,
    add_noise,
    covariance_loss,
    pool_code,
    pooled_size,
    texture_statistics,
    variance_loss,
)


def test_variance_loss_is_a_hinge_on_the_standard_deviation():
    z = torch.stack([torch.linspace(-1, 1, 101) * 0.5, torch.linspace(-10, 10, 101), torch.zeros(101)], dim=1)
    expected = (1 - (z[:, 0].var() + 1e-4).sqrt()) + 0 + (1 - 0.01)
    assert variance_loss(z).item() == pytest.approx(expected.item() / 3, rel=1e-4)


def test_covariance_loss_is_the_squared_covariance_off_the_diagonal():
    torch.manual_seed(0)
    z = torch.randn(50, 4)
    covariance = torch.cov(z.T)
    expected = sum(covariance[i, j] ** 2 for i in range(4) for j in range(4) if i != j) / 4
    assert covariance_loss(z).item() == pytest.approx(expected.item(), rel=1e-4)


def test_vicreg_is_smaller_for_equal_views():
    torch.manual_seed(0)
    vicreg, code = VICReg(16, expander_width=64), torch.randn(64, 16)
    assert vicreg(code, code) < vicreg(code, torch.randn(64, 16))


def test_noise_has_its_strength_and_depends_on_the_seed():
    images = torch.full((4, 3, 64, 64), 0.5)
    added = add_noise(images, seed=3) - images
    assert added.std().item() == pytest.approx(NOISE_STD, rel=0.02)
    assert add_noise(images, seed=3).equal(add_noise(images, seed=3))
    assert not add_noise(images, seed=3).equal(add_noise(images, seed=4))


def test_shards_get_the_noise_of_the_whole_batch():
    images = torch.rand(6, 3, 8, 8)
    for rank in range(2):
        share = slice(rank, None, 2)
        assert add_noise(images[share], 3, share).equal(add_noise(images, 3)[share])


def test_texture_statistics_are_invariant_to_translation():
    torch.manual_seed(0)
    noise = torch.rand(1, 3, 64, 64)
    rolled = noise.roll((16, 32), dims=(2, 3))
    statistics, moved, other = (texture_statistics(x) for x in (noise, rolled, torch.rand(1, 3, 64, 64) * 0.5))
    assert (statistics - moved).abs().mean() < 0.01
    assert (statistics - other).abs().mean() > 0.03


def test_texture_statistics_depend_on_colour_and_direction():
    x = torch.zeros(1, 3, 32, 32)
    x[:, 0] = (torch.arange(32) % 4 < 2).float()  # red stripes upright
    statistics = texture_statistics(x)[0]
    assert statistics[:3].tolist() == pytest.approx([0.5, 0.0, 0.0])
    flipped = texture_statistics(x.mT)[0]
    assert not torch.allclose(statistics, flipped, atol=0.1)


def test_texture_prediction_improves_and_no_gradient_reaches_the_pictures():
    torch.manual_seed(0)
    images = torch.rand(32, 3, 32, 32) * torch.rand(32, 1, 1, 1)
    code = texture_statistics(images)
    objective = TexturePrediction(code.shape[1], code.shape[1])
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.01)
    images.requires_grad_()
    first = last = objective(code, images)
    for _ in range(100):
        optimizer.zero_grad()
        last = objective(code, images)
        last.backward()
        optimizer.step()
    assert last < 0.5 * first
    assert images.grad is None


def test_a_spatial_code_is_pooled_to_means_and_deviations():
    code = torch.randn(2, 3, 4, 4)
    pooled = pool_code(code)
    assert pooled.shape == (2, pooled_size(None, 3))
    assert torch.allclose(pooled[:, :3], code.mean(dim=(2, 3)))
    assert torch.equal(pool_code(code[:, :, 0, 0]), code[:, :, 0, 0])


@pytest.mark.parametrize("code", [None, 8])
def test_both_objectives_at_once_are_their_sum(code):
    images = torch.rand(4, 3, 64, 64)
    ours, other = (torch.randn(4, 8) if code else torch.randn(4, 4, 8, 8) for _ in range(2))
    both = AuxiliaryObjective("vicreg+texture", code, channels=4)
    vicreg, texture = both.vicreg(pool_code(ours), pool_code(other)), both.texture(pool_code(ours), images)
    assert torch.allclose(both(ours, other, images), vicreg + texture)
    for objective, part in (("vicreg", "vicreg"), ("texture", "texture")):
        single = AuxiliaryObjective(objective, code, channels=4)
        getattr(single, part).load_state_dict(getattr(both, part).state_dict())
        assert torch.allclose(single(ours, other, images), vicreg if part == "vicreg" else texture)


@pytest.mark.parametrize("objective", ["none", "denoise"])
def test_without_a_module_of_its_own_an_objective_adds_nothing(objective):
    module = AuxiliaryObjective(objective, 8, channels=4)
    assert not list(module.parameters())
    assert module(torch.randn(4, 8), None, torch.rand(4, 3, 64, 64)) == 0
