"""What READMEs, guides, report and help texts print can be typed: its programs, verbs, options and files exist."""

import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from wikiart_data.cli.commands import main as run_command

ROOT = Path(__file__).resolve().parent.parent
WITHOUT_COMMANDS = [ROOT / name for name in ("docs/INSTALL.md", "benchmarks/README.md", "faults/README.md")]
"""Pages that print options and links, but no command of ours."""
PAGES = [
    *(ROOT / name for name in ("README.md", "REPORT.md", "CONTRIBUTING.md")),
    *(ROOT / name for name in ("benchmarks/README.md", "faults/README.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("packages/*/README.md")),
]
PROGRAMS = {
    "wikiart-data": "wikiart_data.cli.main",
    "wikiart-classify": "wikiart_classify.cli",
    "wikiart-autoencode": "wikiart_autoencode.cli",
    "wikiart-cluster": "wikiart_autoencode.clustering.cli",
    "wikiart-stylegen": "wikiart_stylegen.cli",
    "wikiart-lora": "wikiart_lora.cli",
}
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OURS = re.compile(r"\bwikiart[-_](data|classify|autoencode|cluster|stylegen|lora)\b")


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands_of(program: str) -> tuple:
    return importlib.import_module(PROGRAMS[program]).COMMANDS


def programs_of(page: Path) -> list[str]:
    """The programs that a package's README is about; none for other pages."""
    package = page.parent.name.replace("-", "_")
    return [program for program, module in PROGRAMS.items() if module.startswith(f"{package}.")]


def command_lines(page: Path) -> Iterator[list[str]]:
    """Every command line on a page, as a program and its arguments: in blocks, and in code within text."""
    text = page.read_text(encoding="utf-8")
    blocks = [block for language, block in _BLOCK.findall(text) if language not in ("text", "python")]
    blocks += re.findall(r"(?:^    \S.*\n)+", text, re.MULTILINE)
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        if _OURS.search(line):
            yield from our_program(shlex.split(line, comments=True), page)
    verbs = {command.name: program for program in programs_of(page) for command in commands_of(program)}
    for span in re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text)):
        words = span.replace("…", "").split(" ")
        if words[0] in (*PROGRAMS, "uv", "accelerate"):
            yield from our_program(shlex.split(span.replace(" …", "")), page)
        elif words[0] in verbs and len(words) > 1:  # `export RUN --format kohya`, without the program's name
            yield [verbs[words[0]], *shlex.split(span)]


def our_program(words: list[str], page: Path) -> Iterator[list[str]]:
    """The program of ours that a command line starts, with its arguments, also behind `uv run` and `-m`."""
    for position, word in enumerate(words):
        before = words[position - 1] if position else ""
        if word in PROGRAMS and before != "--package":
            yield words[position:]
            return
        if word.startswith("wikiart_") and (before == "-m" or before.endswith(".sbatch")):
            yield [word.replace("_", "-"), *words[position + 1 :]]
            return
    assert words[0] in ("uv", "pip", "accelerate"), f"{page_name(page)}: {shlex.join(words)} runs no program of ours"


def exit_status(line: list[str]) -> int:
    """The exit status of a command line that is parsed, but whose function does nothing."""
    program, *arguments = line
    if arguments == ["--base", "list"]:  # of wikiart-lora, handled before any verb
        return 0
    if len(arguments) == 1 and arguments[0] in {command.name for command in commands_of(program)}:
        return 0  # a verb mentioned without its arguments
    # operator.not_ of the options is False, which is exit status 0.
    idle = [replace(command, function="operator:not_") for command in commands_of(program)]
    return run_command(program, "", idle, arguments)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_printed_command_parses(page: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    course = {"trainingdir": "data/train", "testingdir": "data/test", "epochs": 3}
    Path("config.json").write_text(json.dumps(course))
    lines = list(command_lines(page))
    assert bool(lines) == (page not in WITHOUT_COMMANDS)
    for line in lines:
        assert exit_status(line) == 0, f"{shlex.join(line)}: {capsys.readouterr()}"


def test_a_command_that_does_not_exist_fails(capsys):
    assert exit_status(["wikiart-classify", "train", "--epoch", "3"]) == 2
    assert exit_status(["wikiart-lora", "paint"]) == 2


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_printed_option_exists(page: Path):
    text = page.read_text(encoding="utf-8")
    known = {"--extra", "--package", "--all-packages", "--check", "--multi_gpu", "--num_processes", "--num_machines"}
    known |= {"--machine_rank", "--main_process_ip", "--main_process_port", "--help", "-n", "--strict"}
    for program in [ROOT / "tools/reproduce.py", *ROOT.glob("benchmarks/*.py"), ROOT / "faults/__main__.py"]:
        known |= set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', program.read_text(encoding="utf-8")))
    for program in programs_of(page) or PROGRAMS:
        for command in commands_of(program):
            fields = command.options.__dataclass_fields__
            known |= {"--" + name.replace("_", "-") for name in fields}
            known |= {"--no-" + name.replace("_", "-") for name, field in fields.items() if field.type is bool}
    # A README may mention another package's option after that package's program.
    spans = [span for span in re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text)) if not span.startswith("wikiart-")]
    printed = {option for span in spans for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)}
    assert printed - known - ({"--size", "--epochs", "--balance"} if "lora" in page_name(page) else set()) == set()


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere_and_imports_work(page: Path):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), f"{page_name(page)} links to {target}"
    for language, block in _BLOCK.findall(text):
        if language == "python":
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom):
                    module = importlib.import_module(str(node.module))
                    assert all(hasattr(module, name.name) for name in node.names)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_readme_lists_the_verbs_of_each_program(program: str):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `{program}` \|.*?; also (.*?) \(", text, re.MULTILINE)
    assert re.findall(r"`([\w-]+)`", row) == [command.name for command in commands_of(program)][1:]


def test_links_to_headings_of_the_report():
    headings = re.findall(r"^#+ (.+)$", (ROOT / "REPORT.md").read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for page in PAGES:
        linked = re.findall(r"REPORT\.md#([\w-]+)\)", page.read_text(encoding="utf-8"))
        assert set(linked) <= anchors, page_name(page)


@pytest.mark.parametrize("page", sorted(ROOT.glob("packages/*/README.md")), ids=page_name)
def test_files_listed_in_a_readme_exist(page: Path):
    (source,) = (page.parent / "src").iterdir()
    _, _, section = page.read_text(encoding="utf-8").partition("## Files\n")
    for row in re.findall(r"^\| (`.+?) \|", section, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", row):
            assert (source / name).exists(), f"{page_name(page)} lists {name}"


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_has_an_example_that_parses_and_fits_the_terminal(program: str, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    main = importlib.import_module(PROGRAMS[program]).main
    for command in commands_of(program):
        assert main([command.name, "--help"]) == 0
        shown = capsys.readouterr().out
        examples = re.findall(r"^Example: (.+)$", shown, re.MULTILINE)
        assert len(examples) == 1, f"{program} {command.name}"
        assert exit_status(shlex.split(examples[0])) == 0, examples[0]
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", shown), "control characters"
        about = [line for line in shown.splitlines() if not line.startswith(("Example: ", "usage: "))]
        assert max(map(len, about)) <= 80
