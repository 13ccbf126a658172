"""`wikiart-classify evaluate`: all metrics of a trained network on one split."""

from wikiart_classify.classifier import Classifier
from wikiart_classify.command_options import EvaluateOptions
from wikiart_classify.grad_cam import require_style_net, write_style_sheet
from wikiart_classify.scores import Scores
from wikiart_classify.tables import print_scores
from wikiart_data.console import echo, printable
from wikiart_data.images.data_folder import find_data
from wikiart_data.results.page import renew_page
from wikiart_data.results.serialization import json_text, to_plain
from wikiart_data.styles import style_index


def evaluate(options: EvaluateOptions) -> Scores:
    """Print all metrics of one split, or write them to standard output as JSON.

    Raises:
        InputError: there is no such model, or the data has no such split or other styles.
    """
    classifier = Classifier.load(options.model, options.device, runs=options.runs)
    style = None
    if options.grad_cam is not None:
        require_style_net(classifier.network)
        style = style_index(options.grad_cam, classifier.styles, field="--grad-cam")
    root = find_data(options.data or classifier.config.data, options.cache_dir)
    packed = classifier.load_packed(root, cache_dir=options.cache_dir, max_bad_fraction=options.max_bad_fraction)
    scores = classifier.evaluate(packed, options.split)
    if options.json:
        source = {"model": classifier.path, "split": options.split, "data": packed.catalog.root}
        print(json_text({**source, **to_plain(scores)}))
    else:
        echo(f"Model: {classifier.path}")
        print_scores(scores, options.split)
    if style is not None and classifier.path is not None:
        folder = classifier.path.parent
        path, number = write_style_sheet(classifier, packed, options.split, style, folder / "figures")
        renew_page(folder)
        name = printable(classifier.styles[style])
        echo(f"Grad-CAM heatmaps for {name} in {number} images: {printable(str(path))}")
    return scores
