"""The words that `tiny` knows: a byte-pair vocabulary over its captions, in the files that CLIP's tokenizer reads."""

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from wikiart_data.sample.scenes import SCENES, Scene, caption
from wikiart_data.styles import STYLES, display_name

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

LENGTH = 64
"""Tokens of a caption, begin and end included; the longest caption of a scene has some 50."""
_MOST = 4096
"""Far more merges than the words need: every word of the captions becomes one token."""
_ALSO = (
    "painting painted picture photograph style art artist by the in of titled print drawing canvas oil work "
    "sks zwx modern old scene movement manner"
)
"""Words of captions that are only used later: templates, and the rare words that are made for triggers."""


def make_tokenizer(captions: Iterable[str]) -> "CLIPTokenizer":
    """A CLIP tokenizer in which every word of the captions, and of the styles' names, is one token.

    Any other word is spelled in smaller parts, down to bytes: no text is unknown.

    Args:
        captions: what the base will be pretrained on.
    """
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    alphabet = sorted(ByteLevel.alphabet())
    start = ["<|startoftext|>", "<|endoftext|>"]
    # The alphabet stands in the vocabulary twice, as CLIP has it: inside a word, and at its end.
    tokens = start + alphabet + [letter + "</w>" for letter in alphabet]
    blank = CLIPTokenizer(vocab={token: place for place, token in enumerate(tokens)}, merges=[])
    corpus = [*captions, *(display_name(style).lower() for style in STYLES), _ALSO]
    words = sorted(
        {word for text in corpus for word, _ in blank.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text.lower())}
    )
    merges, vocabulary = _merges(words)
    tokens += [token for token in vocabulary if token not in set(tokens)]
    return CLIPTokenizer(
        vocab={token: place for place, token in enumerate(tokens)}, merges=merges, model_max_length=LENGTH
    )


def pretraining_words() -> list[str]:
    """Captions that use every word of the scenes: some hundred of each kind."""
    return [caption(Scene(kind, seed)) for kind in SCENES for seed in range(1_000_000, 1_000_300)]


def _merges(words: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Byte-pair merges that join every word into one token (Sennrich et al. 2016), and the tokens they make."""
    spelled = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges: list[tuple[str, str]] = []
    while True:
        counts: dict[tuple[str, str], int] = {}
        for parts in spelled.values():
            for pair in pairwise(parts):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts or len(merges) == _MOST:
            return merges, ["".join(pair) for pair in merges]
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        for parts in spelled.values():
            place = 0
            while place < len(parts) - 1:
                if (parts[place], parts[place + 1]) == best:
                    parts[place : place + 2] = ["".join(best)]
                place += 1
