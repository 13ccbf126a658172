"""The command line, and the public names of the package."""

import subprocess
import sys

import pytest

import wikiart_classify
from wikiart_classify.cli import COMMANDS, main


def run_python(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_overview_lists_every_command(capsys):
    assert main(["--help"]) == 0
    output = capsys.readouterr().out
    assert all(command.name in output for command in COMMANDS)


@pytest.mark.parametrize("verb", [command.name for command in COMMANDS])
def test_help_shows_an_example(verb, capsys):
    assert main([verb, "--help"]) == 0
    output = capsys.readouterr().out
    assert "Example: wikiart-classify" in output
    assert "{None}" not in output


@pytest.mark.parametrize(
    "program",
    [
        "import sys, wikiart_classify; print('torch' in sys.modules)",
        "import sys; from wikiart_classify.cli import main; main(['train', '--help']); print('torch' in sys.modules)",
    ],
)
def test_import_and_help_do_not_load_torch(program):
    assert run_python(program)[-1] == "False"


def test_an_unknown_command_gets_a_suggestion(capsys):
    assert main(["tarin"]) == 2
    assert "'train'" in capsys.readouterr().err


def test_public_names():
    assert [name for name in wikiart_classify.__all__ if not callable(getattr(wikiart_classify, name))] == []
    assert set(wikiart_classify.__all__) <= set(dir(wikiart_classify))
    with pytest.raises(AttributeError):
        _ = wikiart_classify.nothing


def test_train_is_the_function_whatever_was_imported_before(run_program):
    program = "import wikiart_classify.compare, wikiart_classify; print(callable(wikiart_classify.train))"
    assert run_program(program) == "True\n"
