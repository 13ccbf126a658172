"""Commands in processes of their own: what they import, closed pipes, terminals of other encodings."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from wikiart_data.cli.commands import Command, main
from wikiart_data.cli.options import PackOptions
commands = [Command("pack", PackOptions, "wikiart_data.cli.prepare:pack_now", "x")]
status = main("program", "About.", commands, sys.argv[1:])
print("torch" in sys.modules, file=sys.stderr)
raise SystemExit(status)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["pack", "--help"], ["pakc"]])
def test_help_and_errors_do_not_import_torch(arguments: list[str]):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True)
    assert done.returncode == (2 if arguments == ["pakc"] else 0)
    assert done.stderr.endswith("False\n")
    assert "Traceback" not in done.stderr


PRINTS = """
import dataclasses, sys, types
from wikiart_data.cli.commands import Command, main
from wikiart_data.console import echo
@dataclasses.dataclass(frozen=True)
class Options:
    '''Print.'''
    lines: int = 1
    '''How many.'''
def prints(options):
    for _ in range(options.lines):
        print("x" * 79)
module = types.ModuleType("printing")
module.prints = prints
sys.modules["printing"] = module
raise SystemExit(main("program", "About.", [Command("print", Options, "printing:prints", "x")]))
"""


@pytest.mark.parametrize("lines", ["1", "20000"])
def test_a_closed_pipe_is_no_error(lines: str):
    reading, writing = os.pipe()
    os.close(reading)  # as after `| head`, or `| true`
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", PRINTS, "--lines", lines],
        env=buffered,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_pipe_is_no_error_for_rich_either():
    reading, writing = os.pipe()
    os.close(reading)
    program = PRINTS.replace("print(", "echo(")
    done = subprocess.run([sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")  # rich by itself would end with status 1


def test_names_that_the_terminal_cannot_show_are_escaped():
    program = PRINTS.replace('print("x" * 79)', 'echo("é \\udcff →")')
    for encoding, shown in (("utf-8", "é \\udcff →\n"), ("ascii", "\\xe9 \\udcff \\u2192\n")):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}
        )
        assert (done.returncode, done.stdout.decode()) == (0, shown), done.stderr.decode()
