"""Captions, buckets, the vocabulary of tiny."""

import numpy as np
import pytest
from PIL import Image

from wikiart_data.images.catalog import scan
from wikiart_data.images.sampler import BalancedSampler
from wikiart_data.styles import STYLES
from wikiart_lora.buckets import epoch_batches, fitted, make_buckets, nearest
from wikiart_lora.captions import TEMPLATES, caption_for, captions_of, drawn, title_of


@pytest.mark.parametrize(
    ("arguments", "caption"),
    [
        (("Baroque", "a lake", "ada morrand"), "a baroque painting of a lake, by ada morrand"),
        (("Impressionism", "a lake", ""), "an impressionism painting of a lake"),
        (("Ukiyo_e", "", ""), "a ukiyo e painting"),
        (("Cubism", "", "ada"), "a cubism painting, by ada"),
    ],
)
def test_what_is_not_known_is_left_out(arguments, caption):
    assert caption_for(*arguments) == caption


def test_no_template_leaves_a_gap():
    for template in TEMPLATES:
        for title in ("a lake", ""):
            for artist in ("ada", ""):
                text = caption_for("Pop_Art", title, artist, "zwx", template)
                assert text.startswith("zwx ")
                assert "pop art" in text
                assert not any(odd in text for odd in ("  ", ", ,", "{", " ,", "of,", "by,"))
                assert not text.endswith((",", " by", " of", " "))


@pytest.mark.parametrize(
    ("file", "title"),
    [
        ("train/Cubism/claude-monet_water-lilies-1906(2).jpg", "water lilies"),
        ("train/Cubism/a-b_the-artist-s-house_jpg.rf.0123abc.jpg", "the artist s house"),
        ("train/Cubism/0001.jpg", ""),
    ],
)
def test_titles_from_file_names(file, title):
    assert title_of(file) == title


def test_captions_are_fixed_by_the_seed_and_differ(paintings):
    catalog = scan(paintings)
    first = captions_of(catalog, 2, "", 0)
    assert first == captions_of(catalog, 2, "", 0)
    assert all(len(set(one)) == 2 for one in first)
    assert len({one[0].split("red lake")[0] for one in first}) > 3
    assert all("painter" in one[0] for one in first if "by" in one[0])


def test_a_share_of_the_captions_names_the_artist(paintings):
    catalog = scan(paintings)
    with_all = sum("by painter" in one for several in captions_of(catalog, 4, "", 0) for one in several)
    assert with_all > 0.7 * 4 * len(catalog.files)
    assert not any("painter" in one for several in captions_of(catalog, 4, "", 0, 0.0) for one in several)
    with_half = sum("by painter" in one for several in captions_of(catalog, 4, "", 0, 0.5) for one in several)
    assert 0.25 < with_half / with_all < 0.75


def test_share_of_dropped_captions():
    choices = [["one", "two"]] * 10
    rows = np.arange(10)
    words = [word for step in range(400) for word in drawn(choices, rows, 0.1, step)]
    assert abs(words.count("") / len(words) - 0.1) < 0.015
    assert abs(words.count("one") / words.count("two") - 1) < 0.15
    assert drawn(choices, rows, 0.1, 7) == drawn(choices, rows, 0.1, 7)
    assert "" not in drawn(choices, rows, 0.0, 1)
    assert set(drawn(choices, rows, 1.0, 1)) == {""}


def test_buckets_have_the_area_of_the_square():
    assert make_buckets(512, 64, aspect=False) == [(512, 512)]
    buckets = make_buckets(512, 64, aspect=True)
    assert (512, 512) in buckets
    for height, width in buckets:
        assert height % 64 == width % 64 == 0
        assert 0.75 < height * width / 512**2 < 1.25
        assert 0.5 <= width / height <= 2
    assert buckets[nearest(800, 400, buckets)][1] > buckets[nearest(800, 400, buckets)][0]
    assert buckets[nearest(500, 500, buckets)] == (512, 512)


def test_a_picture_covers_its_bucket():
    picture = Image.fromarray(np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (100, 1, 3)))
    pixels = fitted(picture, (50, 50))
    assert pixels.shape == (50, 50, 3)
    assert abs(float(pixels.mean()) - 99.5) < 1  # cut evenly on both sides
    assert fitted(picture, (64, 128)).shape == (64, 128, 3)


def test_batches_are_of_one_bucket_and_show_every_picture():
    labels, bucket_of = np.repeat([0, 1], 10), np.tile([0, 1], 10)
    sampler = BalancedSampler(labels, 0.0, seed=3)
    rows = np.arange(20)
    batches = epoch_batches(sampler, rows, bucket_of, 4, epoch=1)
    assert all(len(set(bucket_of[batch])) == 1 for batch in batches)
    assert set(np.concatenate(batches)) == set(range(20))
    assert all(
        np.array_equal(a, b) for a, b in zip(batches, epoch_batches(sampler, rows, bucket_of, 4, 1), strict=True)
    )


def test_every_word_of_scenes_and_styles_is_one_token(tmp_path):
    from transformers import CLIPTokenizer

    from wikiart_lora.captions import style_words
    from wikiart_lora.vocabulary import LENGTH, make_tokenizer, pretraining_words

    words = pretraining_words()[::20]
    make_tokenizer(words).save_pretrained(tmp_path / "tokenizer")
    loaded = CLIPTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert loaded.model_max_length == LENGTH
    for text in [*words, *map(style_words, STYLES)]:
        assert all(token.endswith("</w>") for token in loaded.tokenize(text))
        assert len(loaded(text).input_ids) == len(text.replace(",", " ,").split()) + 2
    assert loaded.unk_token_id not in loaded("zebra ☂").input_ids[1:-1]
