"""The vocabulary of `tiny`: byte-pair encoding over its captions, in the files that CLIP's tokenizer reads."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from wikiart_data.styles import STYLES

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

LENGTH = 64
"""Tokens of a caption with begin and end; the longest caption of a scene has some 50."""
_MAX_MERGES = 4096
"""Far more than the words need: every word of the captions becomes one token."""
_EXTRA_WORDS = (
    "painting painted picture photograph style art artist by the in of titled print drawing canvas oil work "
    "sks zwx modern old scene movement manner"
)
"""Words of captions that are only used later: templates, and the rare words that serve as triggers."""


def make_tokenizer(captions: Iterable[str]) -> "CLIPTokenizer":
    """A CLIP tokenizer in which every word of the captions, and of the style names, is one token.

    Any other word is split into smaller parts, down to bytes: no text is unknown.

    Args:
        captions: of the images that the base will be pretrained on.
    """
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    alphabet = sorted(ByteLevel.alphabet())
    special = ["<|startoftext|>", "<|endoftext|>"]
    # As in CLIP, the alphabet occurs twice in the vocabulary: inside a word, and at its end.
    tokens = special + alphabet + [letter + "</w>" for letter in alphabet]
    blank = CLIPTokenizer(vocab={token: index for index, token in enumerate(tokens)}, merges=[])
    split_words = blank.backend_tokenizer.pre_tokenizer.pre_tokenize_str  # pyright: ignore[reportOptionalMemberAccess]
    corpus = [*captions, *(style.replace("_", " ") for style in STYLES), _EXTRA_WORDS]
    words = sorted({word for text in corpus for word, _ in split_words(text.lower())})
    merges = _byte_pair_merges(words)
    tokens = list(dict.fromkeys([*tokens, *("".join(pair) for pair in merges)]))
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=merges,  # pyright: ignore[reportArgumentType]  (pairs are what the tokenizers library takes)
        model_max_length=LENGTH,
    )


def _byte_pair_merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """Merges that join every word into one token (Sennrich et al. 2016).

    By hand, because the trainer of `tokenizers` breaks ties between equally frequent pairs in another order and would
    not reproduce the vocabulary of the weights in this package.
    """
    parts_of = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < _MAX_MERGES:
        counts: dict[tuple[str, str], int] = {}
        for parts in parts_of.values():
            for pair in pairwise(parts):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        for parts in parts_of.values():
            index = 0
            while index < len(parts) - 1:
                if (parts[index], parts[index + 1]) == best:
                    parts[index : index + 2] = ["".join(best)]
                index += 1
    return merges
