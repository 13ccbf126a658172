"""Tables of labels and splits beside the pictures, as ArtGAN, Kaggle, Roboflow and spreadsheets write them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wikiart_data.cli.main import main
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import scan
from wikiart_data.images.data_folder import find_data
from wikiart_data.images.layout import DataSource

from .conftest import labels_of, printed, touch

Folder = Callable[..., Path]


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


def test_artgan_without_its_class_file(artgan: Path):
    # AAAAAAsuka/Impress issue 2: artist_class.txt is missing.
    for name in ("artist_class.txt", "style_class.txt"):
        (artgan / "wikiart_csv" / name).unlink()
    assert scan(artgan).styles == ("Art_Nouveau_Modern", "Baroque")
    assert scan(artgan, label_column="artist").styles == ("rubens", "titian")


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
