"""What the documents tell people to type exists: make targets, commands, options, experiments, markets, files."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from alpha_pipeline import cli
from alpha_pipeline.experiments import EXPERIMENTS
from alpha_pipeline.markets import MARKETS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md"), *ROOT.glob("deploy/**/*.md")])
FENCE = re.compile(r"^```.*?\n(.*?)^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
TRACKED = ("alpha_pipeline/", "alpha_pipeline_tests/", "benchmarks/", "deploy/", "docs/")


def code_of(text: str) -> list[str]:
    """Lines of fenced blocks (continuations joined) and inline code of a Markdown text."""
    blocks = [line for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    return [line.strip().removeprefix("$ ") for line in blocks] + SPAN.findall(FENCE.sub("", text))


def make_targets(text: str) -> list[str]:
    """Targets of every `make …` in the code of a text; variables such as MARKET=demo are left out."""
    found = []
    for line in code_of(text):
        for command in re.split(r"&&|;|\|", line.split(" #")[0]):
            words = command.split()
            if words[:1] == ["make"]:
                found += [word for word in words[1:] if "=" not in word and not word.startswith("-")]
    return found


def commands(text: str) -> list[list[str]]:
    """Arguments of every `alpha-pipeline …` in the code of a text."""
    found = []
    for line in code_of(text):
        at = re.search(r"(?:^|[\s/])alpha-pipeline\s+([^|&;#…]*)", line)
        if at:
            try:
                found.append(shlex.split(at.group(1)))
            except ValueError:  # half of a quoted statement, cut at a character of the shell
                found.append(at.group(1).split())
    return [command for command in found if command]


def subparsers() -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def complaints(arguments: list[str]) -> list[str]:
    """What does not exist in one command."""
    name, *rest = arguments
    if name.startswith("-"):
        return [] if name in ("--help", "--version") else [f"option {name}"]
    if name not in subparsers():
        return [] if name.isupper() else [f"command {name}"]
    known = subparsers()[name]._option_string_actions
    wrong = [f"option {word} of {name}" for word in rest if word.startswith("--") and word.split("=")[0] not in known]
    if name in ("run", "report", "experiments") and rest and re.fullmatch(r"[a-z][a-z0-9_]*", rest[0]) and rest[0] not in EXPERIMENTS:
        wrong.append(f"experiment {rest[0]}")
    for option, value in zip(rest, rest[1:], strict=False):
        if option == "--market" and re.fullmatch(r"[a-z_]+", value) and value not in MARKETS:
            wrong.append(f"market {value}")
    return wrong


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_two_commands_are_enough():
    assert {"demo", "test"} <= set(make_targets((ROOT / "README.md").read_text()))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
class TestDocuments:
    def test_make_targets_exist(self, document):
        assert [target for target in make_targets(document.read_text()) if target not in targets()] == []

    def test_commands_exist(self, document):
        assert [wrong for arguments in commands(document.read_text()) for wrong in complaints(arguments)] == []

    def test_files_exist(self, document):
        """Links, and paths below the tracked folders in code; a pattern such as `docs/*.md` or `<name>` names no file."""
        text = document.read_text()
        links = [link.split("#")[0] for link in LINK.findall(FENCE.sub("", text)) if "://" not in link and not link.startswith(("#", "mailto:"))]
        paths = [code.rstrip("/") for code in code_of(text) if code.startswith(TRACKED) and re.fullmatch(r"[\w./-]+", code)]
        absent = [link for link in links if link and not (document.parent / link).exists()]
        assert absent + [path for path in paths if not (ROOT / path).exists() and not (document.parent / path).exists()] == []


class TestMakefile:
    def test_every_target_says_what_it_does(self):
        text = (ROOT / "Makefile").read_text()
        described = set(re.findall(r"^([a-z]+):.*##", text, re.MULTILINE))
        assert described == targets()
        (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
        assert set(phony.split()) == targets()

    def test_its_commands_exist(self):
        lines = (ROOT / "Makefile").read_text().splitlines()
        typed = [f"`alpha-pipeline {line.split('alpha-pipeline ')[1].replace('$(MARKET)', 'demo')}`" for line in lines if "/alpha-pipeline " in line]
        assert len(typed) >= 2
        assert [wrong for arguments in commands("\n".join(typed)) for wrong in complaints(arguments)] == []


class TestTheTestItself:
    """Each finder sees what it is there for."""

    TEXT = (
        "Type `make demo && make tset` or:\n```\n$ make ui PORT=3001  # the page\nalpha-pipeline rn demo \\\n  --markt ci | tee log\n```\n"
        "make sure `alpha-pipeline run dmeo --market cii`\n"
    )

    def test_targets(self):
        assert make_targets(self.TEXT) == ["ui", "demo", "tset"]

    def test_commands(self):
        assert commands(self.TEXT) == [["rn", "demo", "--markt", "ci"], ["run", "dmeo", "--market", "cii"]]
        assert complaints(["rn", "demo"]) == ["command rn"]
        assert complaints(["run", "demo", "--markt", "ci"]) == ["option --markt of run"]
        assert complaints(["run", "dmeo", "--market", "cii"]) == ["experiment dmeo", "market cii"]
        assert complaints(["run", "EXPERIMENT", "--start=2023-01-03", "--market", "my/market.toml"]) == []
