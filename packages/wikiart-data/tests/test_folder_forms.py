"""The forms in which collections of paintings are passed around: each becomes the right catalog."""

import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image

from wikiart_data.cli.main import main
from wikiart_data.errors import InputError
from wikiart_data.images import formats, manifest
from wikiart_data.images.catalog import Catalog, find_data, scan
from wikiart_data.images.layout import DataSource
from wikiart_data.images.names import artwork_of

Folder = Callable[..., Path]


def labels_of(catalog: Catalog) -> dict[str, tuple[str, str]]:
    """File → its style and split."""
    return {
        file: (catalog.styles[label], split)
        for file, label, split in zip(catalog.files, catalog.labels, catalog.splits.tolist(), strict=True)
    }


def touch(root: Path, files: Iterable[str]) -> Path:
    for number, file in enumerate(files, 1):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"x" * number)
    return root


def printed(catalog: Catalog) -> str:
    return "\n".join(catalog.notes)


# -- split folders by other names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("valid", ["val", "Validation", "VALID", "dev"])
def test_split_folders_of_other_names(valid: str, folder: Folder):
    root = folder({"Train": {"Baroque": 3}, valid: {"Baroque": 2}, "TEST": {"Baroque": 1}}, real=False)
    catalog = scan(root)
    assert [len(catalog.rows(split)) for split in ("train", "valid", "test")] == [3, 2, 1]
    assert not catalog.valid_was_cut
    assert catalog.files[0] == "Train/Baroque/000.jpg"
    assert catalog.notes == ()


def test_folders_that_are_not_used_are_named(folder: Folder, capsys: pytest.CaptureFixture):
    content = {"train": {"Baroque": 3}, "valid": {"Baroque": 1}, "test": {"Baroque": 1}, "extra": {"Baroque": 2}}
    root = folder(content, real=False)
    (root / "empty").mkdir()
    (root / ".cache" / "x").mkdir(parents=True)
    catalog = scan(root)
    assert len(catalog) == 5
    assert "extra/" in printed(catalog)
    assert "empty" not in printed(catalog)
    assert capsys.readouterr().out.count("extra/") == 1
    scan(root)
    assert capsys.readouterr().out == "", "a note is printed once per process"


def test_train_alone_says_that_there_is_no_test(folder: Folder):
    catalog = scan(folder({"train": {"Baroque": 10}}, real=False))
    assert catalog.valid_was_cut
    assert "no test split" in printed(catalog)


def test_pictures_outside_of_style_folders_are_named(folder: Folder):
    root = folder({"train": {"Baroque": 3, "": ["loose.jpg"]}, "test": {"Baroque": 1}}, real=False)
    touch(root, ["cover.png", "train/Baroque/details/eye.jpg", "train/Baroque/.thumbs/a.jpg", "train/README.txt"])
    catalog = scan(root)
    assert len(catalog) == 4
    notes = printed(catalog)
    for words in ("2 pictures are in no style folder", "cover.png", "train/loose.jpg", "train/Baroque/details/"):
        assert words in notes
    assert ".thumbs" not in notes
    assert scan(root, cache_dir=root.parent / "other").notes == catalog.notes == scan(root).notes


def test_what_a_network_disk_leaves_behind_is_no_style(folder: Folder):
    content = {"train": {"Baroque": 3, "@eaDir": 2, "__MACOSX": 1}, "test": {"Baroque": 1}}
    assert scan(folder(content, real=False)).styles == ("Baroque",)


# -- spellings -----------------------------------------------------------------------------------------------------


def test_unicode_forms_across_splits_are_one_style(folder: Folder):
    composed, decomposed = (unicodedata.normalize(form, "Naïve Kunst") for form in ("NFC", "NFD"))
    assert composed != decomposed
    catalog = scan(folder({"train": {decomposed: 3, "Baroque": 1}, "test": {composed: 2}}, real=False))
    assert catalog.styles == ("Baroque", composed)
    assert catalog.counts("test").tolist() == [0, 2]


@pytest.mark.parametrize(
    "spelling", ["art-brut", "ART_BRUT", "Art Brut ", "\u200bArt Brut", "Art\u00a0Brut", "art brut\ufeff"]
)
def test_spellings_of_an_own_style_are_one_style(spelling: str, folder: Folder):
    catalog = scan(folder({"train": {"Art Brut": 3, "Baroque": 1}, "test": {spelling: 2}}, real=False))
    assert catalog.styles == ("Art Brut", "Baroque")
    assert catalog.counts("test").tolist() == [2, 0]


def test_the_spelling_of_most_training_pictures_is_kept(folder: Folder):
    catalog = scan(folder({"train": {"art brut": 1, "Art-Brut": 4}, "test": {"ART BRUT": 9}}, real=False))
    assert catalog.styles == ("Art-Brut",)
    assert len(catalog.rows("train")) + len(catalog.rows("valid")) == 5


# -- style folders without splits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("styles", [("landscape", "portrait"), ("a", "b", "c", "d", "e"), ("only",)])
def test_a_flat_folder_is_cut_by_artwork(styles: tuple[str, ...], folder: Folder):
    variants = [f"monet_lilies-{i}_jpg.rf.{v}a.jpg" for i in range(40) for v in range(2)]
    root = folder({style: {"": variants} for style in styles}, real=False)
    catalog = scan(root)
    assert catalog.styles == styles
    for split, artworks in (("train", 32), ("valid", 4), ("test", 4)):
        assert catalog.counts(split).tolist() == [2 * artworks] * len(styles)
    splits_of: dict[tuple[int, str], set[str]] = {}
    for file, label, split in zip(catalog.files, catalog.labels.tolist(), catalog.splits.tolist(), strict=True):
        splits_of.setdefault((label, artwork_of(file)), set()).add(split)
    assert {len(splits) for splits in splits_of.values()} == {1}, "variants of one artwork were separated"
    assert "no splits" in printed(catalog)
    assert labels_of(scan(root)) == labels_of(catalog)
    assert labels_of(scan(root, seed=1)) != labels_of(catalog)


def test_style_folders_one_folder_further_in(folder: Folder):
    root = folder({"wikiart/Baroque": {"": 10}, "wikiart/Cubism": {"": 2}}, real=False)
    (root / "notes").mkdir()
    (root / "notes" / "read.txt").write_text("hello")
    catalog = scan(root)
    assert catalog.styles == ("Baroque", "Cubism")
    assert [catalog.counts(split).tolist() for split in ("train", "valid", "test")] == [[8, 2], [1, 0], [1, 0]]
    assert "notes/" in printed(catalog)


def test_best_artworks_of_kaggle(tmp_path: Path):
    files = [f"images/images/{artist}/{artist}_{n}.jpg" for artist in ("Titian", "Paul_Klee") for n in range(4)]
    files += [f"resized/resized/{artist}_{n}.jpg" for artist in ("Titian", "Paul_Klee") for n in range(4)]
    root = touch(tmp_path / "data", files)
    (root / "artists.csv").write_text("id,name,years,genre\n0,Titian,1488 - 1576,High Renaissance\n")
    catalog = scan(root)
    assert catalog.styles == ("Paul_Klee", "Titian")
    assert len(catalog) == 8
    assert "resized/" in printed(catalog)


def test_three_hundred_styles(folder: Folder):
    catalog = scan(folder({"train": {f"style {n:03d}": 2 for n in range(300)}}, real=False))
    assert len(catalog.styles) == 300
    assert catalog.counts("train").tolist() == [2] * 300


# -- ArtGAN --------------------------------------------------------------------------------------------------------


@pytest.fixture
def artgan(tmp_path: Path) -> Path:
    """The folder that ArtGAN's zip unpacks to: `wikiart/<Style>/*.jpg` with `wikiart_csv/`, and no splits."""
    files = ["Baroque/rubens_a.jpg", "Baroque/rubens_b.jpg", "Baroque/titian_c.jpg", "Art_Nouveau_Modern/klimt_d.jpg"]
    root = touch(tmp_path / "artgan", [f"wikiart/{file}" for file in [*files, "Cubism/braque_e.jpg"]])
    tables = root / "wikiart_csv"
    tables.mkdir()
    (tables / "style_class.txt").write_text("0 Art_Nouveau_Modern\n1 Baroque\n2 Cubism\n")
    (tables / "style_train.csv").write_text(f"{files[0]},1\n{files[1]},1\n{files[3]},0\n")
    (tables / "style_val.csv").write_text(f"{files[2]},1\n")
    (tables / "artist_class.txt").write_text("0 Peter_Paul_Rubens\n1 Titian\n")
    (tables / "artist_train.csv").write_text(f"{files[0]},0\n{files[2]},1\n")
    (tables / "artist_val.csv").write_text(f"{files[1]},0\n")
    return root


STYLE_SPLIT = {
    "Baroque/rubens_a.jpg": ("Baroque", "train"),
    "Baroque/rubens_b.jpg": ("Baroque", "train"),
    "Art_Nouveau_Modern/klimt_d.jpg": ("Art_Nouveau_Modern", "train"),
    "Baroque/titian_c.jpg": ("Baroque", "valid"),
}


@pytest.mark.parametrize("inside", [False, True])
def test_artgan_is_split_by_its_tables(inside: bool, artgan: Path):
    catalog = scan(artgan / "wikiart" if inside else artgan)
    prefix = "" if inside else "wikiart/"
    assert labels_of(catalog) == {prefix + file: label for file, label in STYLE_SPLIT.items()}
    assert not catalog.valid_was_cut
    notes = printed(catalog)
    for words in ("style_train.csv", "style_val.csv", "train 3, valid 1", "1 picture not in it", "no test split"):
        assert words in notes


def test_artgan_by_artist(artgan: Path):
    catalog = scan(artgan, label_column="artist")
    assert labels_of(catalog) == {
        "wikiart/Baroque/rubens_a.jpg": ("Peter_Paul_Rubens", "train"),
        "wikiart/Baroque/titian_c.jpg": ("Titian", "train"),
        "wikiart/Baroque/rubens_b.jpg": ("Peter_Paul_Rubens", "valid"),
    }
    assert catalog.fingerprint != scan(artgan).fingerprint
    with pytest.raises(InputError) as error:
        scan(artgan, label_column="genre")
    assert error.value.field == "--label-column"


def test_artists_from_file_names_with_the_splits_of_a_style_table(artgan: Path):
    for name in ("artist_train.csv", "artist_val.csv", "artist_class.txt"):
        (artgan / "wikiart_csv" / name).unlink()
    assert labels_of(scan(f"{artgan}:artist")) == {
        "wikiart/Art_Nouveau_Modern/klimt_d.jpg": ("klimt", "train"),
        "wikiart/Baroque/rubens_a.jpg": ("rubens", "train"),
        "wikiart/Baroque/rubens_b.jpg": ("rubens", "train"),
    }, "nobody can learn titian, whom only valid has"


def test_a_table_that_lies_elsewhere(artgan: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (artgan / "wikiart_csv").rename(tmp_path / "elsewhere" / "tables")
    table = tmp_path / "elsewhere" / "tables" / "style_train.csv"
    assert labels_of(scan(artgan / "wikiart", labels=table)) == STYLE_SPLIT
    assert labels_of(scan(f"{artgan}/wikiart:{table}")) == STYLE_SPLIT
    assert len(scan(artgan / "wikiart")) == 5, "without its tables the folder is cut"


def test_a_table_instead_of_a_folder(artgan: Path):
    catalog = scan(artgan / "wikiart_csv" / "style_val.csv")
    assert catalog.root == artgan
    assert {file.removeprefix("wikiart/"): label for file, label in labels_of(catalog).items()} == STYLE_SPLIT
    assert scan(catalog.source) == catalog


# -- Kaggle's WikiArt ----------------------------------------------------------------------------------------------


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    """Style folders with `classes.csv` (names and subsets) and `wclasses.csv` (numbers, and no names for them)."""
    files = ["Baroque/rubens_a.jpg", "Baroque/titian_b.jpg", "Cubism/braque_c.jpg", "Cubism/braque_d.jpg"]
    root = touch(tmp_path / "kaggle", files)
    lines = [
        f"""{files[0]},peter paul rubens,['Baroque'],portrait,train""",
        f"""{files[1]},titian,['Baroque'],genre,test""",
        f"""{files[2]},georges braque,"['Analytical Cubism', 'Cubism']",still life,train""",
        f"""{files[3]},georges braque,['Cubism'],still life,uncertain artist""",
    ]
    (root / "classes.csv").write_text("\n".join(["filename,artist,genre,description,subset", *lines]))
    numbers = [f"{files[0]},22,135,5", f"{files[1]},7,135,5", f"{files[2]},3,136,8", f"{files[3]},3,136,8"]
    (root / "wclasses.csv").write_text("\n".join(["file,artist,genre,style", *numbers]))
    return root


def test_kaggle_is_split_by_its_subsets(kaggle: Path):
    catalog = scan(kaggle)
    assert labels_of(catalog) == {
        "Baroque/rubens_a.jpg": ("Baroque", "train"),
        "Cubism/braque_c.jpg": ("Cubism", "train"),
        "Baroque/titian_b.jpg": ("Baroque", "test"),
    }
    assert catalog.artists == ("peter paul rubens", "georges braque", "titian")
    assert "1 picture of its subset 'uncertain artist'" in printed(catalog)


def test_kaggle_by_genre_and_by_artist(kaggle: Path):
    genres = scan(kaggle, label_column="genre")
    assert labels_of(genres) == {
        "Baroque/rubens_a.jpg": ("Baroque", "train"),
        "Baroque/titian_b.jpg": ("Baroque", "test"),
    }, "two genres are no label"
    by_artist = labels_of(scan(kaggle, label_column="artist"))
    assert by_artist == {
        "Baroque/rubens_a.jpg": ("peter paul rubens", "train"),
        "Cubism/braque_c.jpg": ("georges braque", "train"),
    }, "nobody can learn titian, whom only test has"


def test_numbers_without_names_take_the_names_of_folders_and_artists(kaggle: Path):
    (kaggle / "classes.csv").unlink()
    styles = scan(kaggle)
    assert styles.styles == ("Baroque", "Cubism")
    assert styles.table == "wclasses.csv"
    assert [styles.styles[label] for label in styles.labels] == ["Baroque", "Baroque", "Cubism", "Cubism"]
    assert scan(kaggle, label_column="artist").styles == ("braque", "rubens", "titian")
    assert scan(kaggle, label_column="genre").styles == ("genre 135", "genre 136")


def test_artists_without_a_table_are_read_from_file_names(folder: Folder):
    root = folder(
        {"train": {"Baroque": ["rubens_a.jpg", "titian_b.jpg", "c.jpg"]}, "test": {"Baroque": ["titian_d.jpg"]}},
        real=False,
    )
    catalog = scan(root, label_column="artist")
    assert {file.rpartition("/")[2]: label for file, label in labels_of(catalog).items()} == {
        "rubens_a.jpg": ("rubens", "train"),
        "titian_b.jpg": ("titian", "train"),
        "titian_d.jpg": ("titian", "test"),
    }
    assert "not known: 1 picture." in printed(catalog)


# -- other tables --------------------------------------------------------------------------------------------------


def test_roboflow_multi_class(tmp_path: Path):
    root = touch(tmp_path / "data", ["train/a_jpg.rf.1.jpg", "train/b.jpg", "train/c.jpg", "valid/d.jpg", "test/e.jpg"])
    (root / "train/_classes.csv").write_text(
        "filename, Art Nouveau, Cubism\na_jpg.rf.1.jpg, 1, 0\nb.jpg, 0, 1\nc.jpg, 1, 1\n"
    )
    (root / "valid/_classes.csv").write_text("filename, Art Nouveau, Cubism\nd.jpg, 0, 1\n")
    (root / "test/_classes.csv").write_text("filename, Art Nouveau, Cubism\ne.jpg, 1, 0\n")
    catalog = scan(root)
    assert labels_of(catalog) == {
        "train/a_jpg.rf.1.jpg": ("Art_Nouveau_Modern", "train"),
        "train/b.jpg": ("Cubism", "train"),
        "valid/d.jpg": ("Cubism", "valid"),
        "test/e.jpg": ("Art_Nouveau_Modern", "test"),
    }
    assert "1 picture with no style in it, or several" in printed(catalog)


@pytest.mark.parametrize(
    "content",
    [
        "file_name;label\nimg/a.jpg;One\nimg/b.jpg;Two\n".encode("utf-8-sig"),  # a German Excel
        b"id,style\na,One\nb,Two\n",  # names without endings
        b"image\tclass\nC:\\me\\img\\a.jpg\tOne\nC:\\me\\img\\b.jpg\tTwo\n",  # another machine's
        "path,movement\nimg/a.jpg,One\nimg/b.jpg,Two\n".encode("utf-16"),
        b"File Name,Style\r\n./img/A.JPG,One\r\n./img/b.jpeg,Two\r\n",  # case and endings as they were once
    ],
)
def test_tables_of_spreadsheets_and_other_machines(content: bytes, tmp_path: Path):
    root = touch(tmp_path / "data", ["img/a.jpg", "img/b.jpg"])
    (root / "labels.csv").write_bytes(content)
    if content.startswith(b"image\t"):
        (root / "labels.csv").rename(root / "labels.tsv")
    assert {file: style for file, (style, _) in labels_of(scan(root)).items()} == {
        "img/a.jpg": "One",
        "img/b.jpg": "Two",
    }


def test_names_that_differ_in_hyphens_and_accents(tmp_path: Path):
    # learn2phoenix/CSD issue 6: the table has not-detected where the file has not_detected.
    root = touch(tmp_path / "data", ["Realism/viktor-vasnetsov_not_detected_237588-1901.jpg", "Realism/józef_x.jpg"])
    (root / "classes.csv").write_text(
        "file,subset\nRealism/viktor-vasnetsov_not-detected-237588-1901.jpg,train\nRealism/jozef_x.jpg,test\n"
    )
    assert [split for _, split in labels_of(scan(root)).values()] == ["train", "test"]


def test_a_table_of_other_pictures_is_refused(artgan: Path, tmp_path: Path):
    other = touch(tmp_path / "other", ["Baroque/1.jpg", "Cubism/2.jpg"])
    with pytest.raises(InputError) as error:
        scan(other, labels=artgan / "wikiart_csv" / "style_train.csv")
    assert error.value.field == str(artgan / "wikiart_csv" / "style_train.csv")
    assert "Baroque/rubens_a.jpg" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\x00\x01\x02", b"file\nx.jpg\n"])
def test_a_file_that_is_no_table(content: bytes, folder: Folder, tmp_path: Path):
    root = folder({"Baroque": {"": 5}, "Cubism": {"": 5}}, real=False)
    (root / "notes.csv").write_bytes(content)
    assert len(scan(root)) == 10, "found by itself it is ignored"
    if content != b"file\nx.jpg\n":
        with pytest.raises(InputError) as error:
            scan(root, labels=root / "notes.csv")
        assert error.value.field == "--labels"
    with pytest.raises(InputError) as error:
        scan(root, labels=root / "missing.csv")
    assert error.value.field == "--labels"


# -- forms from public reports ------------------------------------------------------------------------------------


def test_hugging_face_image_folder_with_metadata(tmp_path: Path):
    root = touch(tmp_path / "data", ["train/a.jpg", "train/b.jpg", "test/a.jpg"])
    (root / "train/metadata.csv").write_text("file_name,label\na.jpg,One\nb.jpg,Two\n")
    (root / "test/metadata.csv").write_text("file_name,label\na.jpg,Two\n")
    assert labels_of(scan(root)) == {
        "train/a.jpg": ("One", "train"), "train/b.jpg": ("Two", "train"), "test/a.jpg": ("Two", "test"),
    }  # fmt: skip


def test_a_kaggle_competition_without_labels_for_its_test_set(tmp_path: Path):
    root = touch(tmp_path / "data", ["train/1.jpg", "train/2.jpg", "test/1.jpg", "test/3.jpg"])
    (root / "train.csv").write_text("id,label\n1,One\n2,Two\n")
    (root / "test.csv").write_text("id\n3\n")
    (root / "sample_submission.csv").write_text("id,label\n3,One\n")
    assert labels_of(scan(root, labels=root / "train.csv")) == {
        "train/1.jpg": ("One", "train"), "train/2.jpg": ("Two", "train"),
    }  # fmt: skip


def test_delaunay_lies_two_folders_deep(tmp_path: Path):
    # camillegontier/DELAUNAY_dataset: images/DELAUNAY/<Artist>/11.jpg
    files = [f"images/DELAUNAY/{artist}/{n}.jpg" for artist in ("Ad Reinhardt", "Yves Klein") for n in range(10)]
    catalog = scan(touch(tmp_path / "data", files))
    assert catalog.styles == ("Ad Reinhardt", "Yves Klein")
    assert catalog.counts("train").tolist() == [8, 8]


def test_what_jupyter_and_macos_leave_behind(folder: Folder):
    # pytorch/vision issues 109 and 2831: .DS_Store and .ipynb_checkpoints were taken for classes.
    root = folder({"train": {"Baroque": 2, ".ipynb_checkpoints": 2}, "test": {"Baroque": 1}}, real=False)
    (root / "train" / ".DS_Store").touch()
    (root / "train" / "Baroque" / "._000.jpg").touch()
    assert labels_of(scan(root)).keys() == {"train/Baroque/000.jpg", "train/Baroque/001.jpg", "test/Baroque/000.jpg"}


def test_artgan_without_its_class_file(artgan: Path):
    # AAAAAAsuka/Impress issue 2: artist_class.txt is missing.
    for name in ("artist_class.txt", "style_class.txt"):
        (artgan / "wikiart_csv" / name).unlink()
    assert scan(artgan).styles == ("Art_Nouveau_Modern", "Baroque")
    assert scan(artgan, label_column="artist").styles == ("rubens", "titian")


# -- formats -------------------------------------------------------------------------------------------------------


def test_pictures_are_recognised_by_content_and_the_rest_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formats, "has_plugin", lambda kind: False)
    monkeypatch.setattr(manifest, "has_plugin", lambda kind: False)
    root = touch(
        tmp_path / "data",
        ["train/Baroque/a.jpg", "train/Baroque/b.JFIF", "train/Baroque/c.avif", "train/Baroque/d.jp2"],
    )
    style = root / "train/Baroque"
    for name in ("no-ending", "e.jpg?size=large", "f.jpg!Large.jpg", "g.weird"):
        Image.new("RGB", (4, 4)).save(style / name, "JPEG")
    for name in ("h.jpg.part", "i.jpg~", "j.jpg_original", "k.jpg.crdownload"):
        Image.new("RGB", (4, 4)).save(style / name, "JPEG")
    (style / "l.heic").write_bytes(b"x")
    (style / "m").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40)
    (style / "n.jxl").write_bytes(b"\xff\x0a")
    (style / "o.NEF").write_bytes(b"II*\0" + b"\0" * 60)
    (style / "p.svg").write_text("<svg></svg>")
    (style / "notes").write_text("BMs are fine, P6 too")
    catalog = scan(root)
    read = {file.rpartition("/")[2] for file in catalog.files}
    assert read == {"a.jpg", "b.JFIF", "c.avif", "d.jp2", "no-ending", "e.jpg?size=large", "f.jpg!Large.jpg", "g.weird"}
    (note,) = (note for note in catalog.notes if "not read" in note)
    for words in (
        "5 pictures",
        "2 HEIC",
        "1 JPEG XL",
        "1 camera raw",
        "1 SVG",
        "train/Baroque/l.heic",
        "wikiart-data[formats]",
    ):
        assert words in note


def test_links_to_files_that_are_gone_are_counted(folder: Folder, tmp_path: Path):
    root = folder({"train": {"Baroque": 3}}, real=False)
    (root / "train/Baroque/gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (root / "train/Baroque/there.jpg").symlink_to(root / "train/Baroque/000.jpg")
    catalog = scan(root)
    assert len(catalog) == 4
    (note,) = (note for note in catalog.notes if "not read" in note)
    assert "1 broken link (train/Baroque/gone.jpg)" in note


def test_a_style_of_heic_alone_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formats, "has_plugin", lambda kind: False)
    monkeypatch.setattr(manifest, "has_plugin", lambda kind: False)
    root = touch(tmp_path / "data", ["train/Baroque/a.jpg", "train/Cubism/b.heic"])
    with pytest.raises(InputError) as error:
        scan(root)
    assert error.value.field == str(root / "train/Cubism")
    assert "wikiart-data[formats]" in str(error.value)


def test_with_the_plugin_the_folder_is_walked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backdate: Callable
):
    monkeypatch.setattr(formats, "has_plugin", lambda kind: False)
    monkeypatch.setattr(manifest, "has_plugin", lambda kind: False)
    root = touch(tmp_path / "data", ["train/Baroque/a.jpg", "train/Baroque/b.heic"])
    backdate(root)
    assert len(scan(root)) == 1
    monkeypatch.setattr(formats, "has_plugin", lambda kind: True)
    monkeypatch.setattr(manifest, "has_plugin", lambda kind: True)
    assert len(scan(root)) == 2


# -- what --data may say -------------------------------------------------------------------------------------------


def test_a_data_source_is_read_as_it_is_written(artgan: Path, tmp_path: Path):
    table = artgan / "wikiart_csv" / "style_train.csv"
    for source in (
        DataSource(artgan),
        DataSource(artgan, None, "artist"),
        DataSource(artgan / "wikiart", table),
        DataSource(artgan / "wikiart", table, "genre"),
    ):
        assert DataSource.parse(str(source)) == source
    (tmp_path / "odd:artist").mkdir()
    assert DataSource.parse(tmp_path / "odd:artist") == DataSource(tmp_path / "odd:artist")
    with pytest.raises(InputError) as error:
        DataSource.parse("  ")
    assert error.value.field == "--data"


def test_find_data_carries_the_table_and_the_column(artgan: Path, monkeypatch: pytest.MonkeyPatch):
    table = artgan / "wikiart_csv" / "artist_train.csv"
    chosen = find_data(artgan / "wikiart", labels=table, label_column="artist")
    assert scan(chosen) == scan(artgan / "wikiart", labels=table, label_column="artist")
    monkeypatch.setenv("WIKIART_DATA", str(artgan))
    assert scan(find_data(label_column="artist")).styles == ("Peter_Paul_Rubens", "Titian")
    monkeypatch.delenv("WIKIART_DATA")
    with pytest.raises(InputError) as error:
        find_data(label_column="artist")
    assert error.value.field == "--label-column"


def test_the_command_line_takes_labels(artgan: Path, capsys: pytest.CaptureFixture):
    assert main(["stats", "--data", str(artgan), "--label-column", "artist"]) == 0
    out = capsys.readouterr().out
    assert "Peter Paul Rubens" in out
    assert "artist_train.csv" in out
    table = artgan / "wikiart_csv" / "style_train.csv"
    assert main(["stats", "--data", f"{artgan}:artist"]) == 0
    assert "Peter Paul Rubens" in capsys.readouterr().out
    assert main(["stats", "--data", str(artgan), "--labels", str(table)]) == 0
    assert "Art Nouveau" in capsys.readouterr().out
