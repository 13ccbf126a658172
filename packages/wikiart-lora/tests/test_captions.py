"""Captions, buckets, the vocabulary of tiny."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.images.sampler import BalancedSampler
from wikiart_data.styles import STYLES
from wikiart_lora.buckets import epoch_batches, make_buckets, nearest_bucket, resize_and_crop
from wikiart_lora.captions import TEMPLATES, caption_for, make_captions, sample_captions, title_of
from wikiart_lora.config import TrainConfig

CONFIG = TrainConfig(captions_per_image=2, artist_prob=1.0)


@pytest.mark.parametrize(
    ("arguments", "caption"),
    [
        (("Baroque", "a lake", "ada morrand"), "a baroque painting of a lake, by ada morrand"),
        (("Impressionism", "a lake", ""), "an impressionism painting of a lake"),
        (("Ukiyo_e", "", ""), "a ukiyo-e painting"),
        (("Cubism", "", "ada"), "a cubism painting, by ada"),
    ],
)
def test_unknown_parts_are_left_out(arguments, caption):
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
    first = make_captions(catalog, CONFIG)
    assert first == make_captions(catalog, CONFIG)
    assert all(len(set(captions)) == 2 for captions in first)
    assert len({captions[0].split("red lake")[0] for captions in first}) > 3
    assert all("painter" in captions[0] for captions in first if "by" in captions[0])


def test_captions_of_files_come_before_templates(paintings, tmp_path):
    root = tmp_path / "paintings"
    shutil.copytree(paintings, root)
    catalog = scan(root)
    first, second, third, *_ = catalog.files
    (root / first).with_suffix(".txt").write_text("a red\n lake\n")
    folder = Path(second).parent
    (root / folder / "metadata.jsonl").write_text(
        json.dumps({"file_name": Path(second).name, "text": "ein See"}) + "\n"
    )
    (root / "captions.csv").write_text(f"file_name,caption\n{third},un lac\n")
    templates = make_captions(catalog, replace(CONFIG, caption_from="templates"))
    captions = make_captions(catalog, replace(CONFIG, trigger="zwx"))
    assert captions[:3] == [["zwx a red lake"], ["zwx ein See"], ["zwx un lac"]]
    assert captions[3:] == [[f"zwx {caption}" for caption in several] for several in templates[3:]]
    with pytest.raises(InputError) as error:
        make_captions(catalog, replace(CONFIG, caption_from="files"))
    assert error.value.field == "--caption-from"
    (root / "captions.csv").write_bytes(b"\xff\xff")
    with pytest.raises(InputError) as error:
        make_captions(catalog, CONFIG)
    assert error.value.field == str(root / "captions.csv")


def test_artist_prob_is_the_fraction_of_captions_with_an_artist(paintings):
    catalog = scan(paintings)

    def with_artist(artist_prob: float) -> int:
        captions = make_captions(catalog, replace(CONFIG, captions_per_image=4, artist_prob=artist_prob))
        return sum("by painter" in caption for several in captions for caption in several)

    assert with_artist(1.0) > 0.7 * 4 * len(catalog.files)
    assert with_artist(0.0) == 0
    assert 0.25 < with_artist(0.5) / with_artist(1.0) < 0.75


def test_dropout_is_the_fraction_of_empty_captions():
    choices = [["one", "two"]] * 10
    rows = np.arange(10)
    captions = [caption for step in range(400) for caption in sample_captions(choices, rows, 0.1, step)]
    assert abs(captions.count("") / len(captions) - 0.1) < 0.015
    assert abs(captions.count("one") / captions.count("two") - 1) < 0.15
    assert sample_captions(choices, rows, 0.1, 7) == sample_captions(choices, rows, 0.1, 7)
    assert "" not in sample_captions(choices, rows, 0.0, 1)
    assert set(sample_captions(choices, rows, 1.0, 1)) == {""}


def test_buckets_have_the_area_of_the_square():
    assert make_buckets(512, 64, aspect=False) == [(512, 512)]
    buckets = make_buckets(512, 64, aspect=True)
    assert (512, 512) in buckets
    for height, width in buckets:
        assert height % 64 == width % 64 == 0
        assert 0.75 < height * width / 512**2 < 1.25
        assert 0.5 <= width / height <= 2
    assert buckets[nearest_bucket(800, 400, buckets)][1] > buckets[nearest_bucket(800, 400, buckets)][0]
    assert buckets[nearest_bucket(500, 500, buckets)] == (512, 512)


def test_an_image_covers_its_bucket():
    picture = Image.fromarray(np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (100, 1, 3)))
    pixels = resize_and_crop(picture, (50, 50))
    assert pixels.shape == (50, 50, 3)
    assert abs(float(pixels.mean()) - 99.5) < 1  # cropped equally on both sides
    assert resize_and_crop(picture, (64, 128)).shape == (64, 128, 3)


def test_batches_are_from_one_bucket_and_cover_every_image():
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

    from wikiart_data.sample import caption
    from wikiart_lora.captions import style_phrase
    from wikiart_lora.tiny_base.scenes import make_scenes
    from wikiart_lora.tiny_base.vocabulary import LENGTH, make_tokenizer

    captions = [caption(scene) for scene in make_scenes(90)]
    make_tokenizer(captions).save_pretrained(tmp_path / "tokenizer")
    loaded = CLIPTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert loaded.model_max_length == LENGTH
    for text in [*captions, *map(style_phrase, STYLES)]:
        assert all(token.endswith("</w>") for token in loaded.tokenize(text))
        assert len(loaded(text).input_ids) == len(text.replace(",", " ,").replace("-", " - ").split()) + 2
    assert loaded.unk_token_id not in loaded("zebra ☂").input_ids[1:-1]
