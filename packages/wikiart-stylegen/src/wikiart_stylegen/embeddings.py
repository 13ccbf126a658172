"""`wikiart-stylegen embeddings`: which styles the network holds for alike."""

import csv
import io

import torch
import torch.nn.functional as F

from wikiart_data.console import echo
from wikiart_data.files import write_bytes
from wikiart_data.results.folder import write_figure
from wikiart_data.styles import display_name
from wikiart_data.training.run import find_model
from wikiart_stylegen.checkpoint import load_network
from wikiart_stylegen.config import EmbeddingsConfig
from wikiart_stylegen.figures import embeddings_figure

NEAREST = 3


def embeddings(config: EmbeddingsConfig) -> None:
    """Write the figure and a CSV, and print each style's nearest ones.

    Raises:
        InputError: there is no model, or the files cannot be written.
    """
    trained = load_network(find_model(config.model, config.runs, "stylegen"))
    vectors = trained.network.told().detach()
    vectors = vectors - vectors.mean(dim=0)  # what all styles share says nothing about which are alike
    similarity = F.normalize(vectors, dim=1) @ F.normalize(vectors, dim=1).T
    axes = torch.linalg.svd(vectors, full_matrices=False).Vh[:2]
    points = (vectors @ axes.T).numpy()
    write_figure(config.to, embeddings_figure(similarity.numpy(), points, trained.styles))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["style", *trained.styles])
    for style, row in zip(trained.styles, similarity.tolist(), strict=True):
        writer.writerow([style, *(f"{value:.4f}" for value in row)])
        names = [trained.styles[place] for place in torch.tensor(row).topk(NEAREST + 1).indices.tolist()]
        others = [display_name(name) for name in names if name != style][:NEAREST]
        echo(f"{display_name(style):<28} {', '.join(others)}")
    write_bytes(config.to.with_suffix(".csv"), text.getvalue().encode())
    echo(f"\nWritten to {config.to} and {config.to.with_suffix('.csv')}.")
