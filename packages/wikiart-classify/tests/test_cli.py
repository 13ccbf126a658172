"""The command line answers at once."""

import subprocess
import sys

import pytest

from wikiart_classify.cli import COMMANDS, main


def test_overview_names_every_command(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(command.name in said for command in COMMANDS)


@pytest.mark.parametrize("verb", [command.name for command in COMMANDS])
def test_help_shows_an_example(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert "Example: wikiart-classify" in capsys.readouterr().out


def test_help_loads_no_torch():
    program = (
        "import sys; from wikiart_classify.cli import main; main(['train', '--help']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_an_unknown_command_is_a_sentence(capsys):
    assert main(["tarin"]) == 2
    assert "Did you mean 'train'?" in capsys.readouterr().err
