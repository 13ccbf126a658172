"""`sizes`: the figure shows the repaints pixel by pixel, the scores are those of the repaints."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from wikiart_data.errors import InputError
from wikiart_stylegen import StyleTransfer
from wikiart_stylegen.cli import main
from wikiart_stylegen.command_options import SizesOptions
from wikiart_stylegen.sizes import LINE, TILE, score_size, sizes, sizes_table
from wikiart_stylegen.transfer import read_image


@pytest.fixture
def picture() -> Path:
    """A disc on a plain ground: slanted edges that no grid follows, and flat areas."""
    image = Image.new("RGB", (400, 300), (150, 60, 60))
    ImageDraw.Draw(image).ellipse((120, 60, 300, 240), fill=(230, 140, 140))
    image.save("disc.png")
    return Path("disc.png")


def test_the_figure_shows_the_middle_of_each_repaint(trained, picture):
    arguments = ["--styles", "cubism", "Baroque", "--sides", "64", "400", "--device", "cpu", "--to", "figure.png"]
    assert main(["sizes", str(picture), "--model", str(trained), *arguments]) == 0
    figure = np.asarray(Image.open("figure.png"))
    assert figure.shape == (3 * LINE + 2 * TILE, 3 * TILE, 3)
    transfer = StyleTransfer.load(trained, device="cpu")
    large = np.asarray(transfer.repaint(picture, "Baroque", side=400))
    assert np.array_equal(figure[-TILE:, -TILE:], large[22 : 22 + TILE, 72 : 72 + TILE])
    small = np.asarray(transfer.repaint(picture, "Cubism", side=64))
    assert np.array_equal(figure[2 * LINE : 2 * LINE + 48, TILE : TILE + 64], small)


def test_the_grid_is_weaker_than_in_one_pass(trained, picture):
    options = SizesOptions(model=trained, picture=picture, styles=("Baroque",), sides=(256,), device="cpu")
    (score,) = sizes(options)
    assert score.lattice < 0.7 * score.lattice_one_pass
    (row,) = sizes_table([score]).rows
    assert row[0] == "256 px"


def test_scores_of_the_input_itself(trained, picture):
    transfer, image = StyleTransfer.load(trained, device="cpu"), read_image(picture, 256)
    score = score_size(transfer, image, image[None], ["cubism"])
    assert score.side == 256
    assert score.edges == pytest.approx(1, abs=1e-4)
    assert score.edges_one_pass < 0.9
    assert score.lattice < 0.7 * score.lattice_one_pass


def test_the_lattice_of_a_panorama_is_not_measured(trained):
    Image.radial_gradient("L").resize((1600, 200)).save("panorama.png")
    options = SizesOptions(model=trained, picture="panorama.png", styles=("Baroque",), sides=(400,), device="cpu")
    (score,) = sizes(options)
    assert -1 <= score.edges <= 1
    assert score.lattice is score.lattice_one_pass is None
    (row,) = sizes_table([score]).rows
    assert [cell.value for cell in row[3:]] == [None, None]


@pytest.mark.parametrize("sides", [(), (32,), (256, 9000)])
def test_sides_out_of_range(picture, sides):
    with pytest.raises(InputError) as error:
        SizesOptions(picture=picture, sides=sides)
    assert error.value.field == "--sides"
