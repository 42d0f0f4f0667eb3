"""The rules of the house that a program can check: who may import whom, what is listed, how long a file may be."""

from __future__ import annotations

import ast
import configparser
import logging
import os
import re
from pathlib import Path

import pytest

import alpha_pipeline

PACKAGE = Path(alpha_pipeline.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
GLUE = {"assets", "resources", "definitions", "cli"}
MAX_LINES = 450
FORBIDDEN = re.compile(r"\bTODO\b|\bFIXME\b|\bXXX\b|NotImplementedError|except (Base)?Exception\b|except:|pragma: no cover")


def top(path: Path) -> str:
    """The package (or module) directly below ``alpha_pipeline`` that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(source: str) -> set[str]:
    """Full names of everything a module imports, at its top, inside functions, and for type checkers."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def contract(name: str) -> dict[str, str]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return dict(parser[f"importlinter:contract:{name}"])


def listed(text: str) -> set[str]:
    return {word.removeprefix("alpha_pipeline.") for word in re.findall(r"[\w.]+", text)}


def modules(*, glue: bool) -> list[Path]:
    return [path for path in MODULES if (top(path) in GLUE) == glue and path != PACKAGE / "__init__.py"]


class TestImports:
    @pytest.mark.parametrize("path", modules(glue=False), ids=lambda path: str(path.relative_to(PACKAGE)))
    def test_pure_packages_do_not_know_dagster(self, path):
        assert [name for name in imported(path.read_text()) if name.split(".")[0].startswith("dagster")] == []

    def test_nobody_imports_the_tests(self):
        assert [path for path in MODULES if any(name.startswith("alpha_pipeline_tests") for name in imported(path.read_text()))] == []

    def test_the_finder_finds(self):
        assert imported("def f():\n    import dagster.x\n") == {"dagster.x"}
        assert imported("from dagster import op") == {"dagster", "dagster.op"}

    def test_contracts_hold(self, monkeypatch, capsys):
        from importlinter.cli import lint_imports

        monkeypatch.chdir(ROOT)
        disabled = {name: logger.disabled for name, logger in logging.root.manager.loggerDict.items() if isinstance(logger, logging.Logger)}
        try:
            assert lint_imports(config_filename="setup.cfg", no_cache=True) == os.EX_OK, capsys.readouterr().out
        finally:  # import-linter configures logging anew, which silences every logger that exists
            for name, was_disabled in disabled.items():
                logging.getLogger(name).disabled = was_disabled

    def test_contracts_name_every_package(self):
        """A new package has to take its place; none can be dropped to make a contract hold."""
        packages = {top(path) for path in MODULES} - {"__init__"}
        assert listed(contract("layers")["layers"]) == packages
        assert listed(contract("no-dagster")["source_modules"]) == packages - GLUE


class TestLists:
    def test_every_network_file_is_listed(self):
        from alpha_pipeline.models import NETWORKS
        from alpha_pipeline_tests.test_model_zoo import SHARED_FILES

        files = {path.stem for path in (PACKAGE / "models").glob("*.py")} - SHARED_FILES
        assert {config.__module__.rsplit(".", 1)[1] for config in NETWORKS.values()} == files

    def test_every_experiment_file_is_used(self):
        from alpha_pipeline import experiments

        source = (PACKAGE / "experiments" / "__init__.py").read_text()
        specs = {path.stem for path in (PACKAGE / "experiments").glob("*.py")} - {"__init__", "select", "contents"}
        unused = {name for name in specs if not name.startswith("published_") and name not in source}
        assert unused == set()
        assert experiments.EXPERIMENTS

    def test_every_test_folder_mirrors_a_package(self):
        packages = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
        folders = {path.parent.relative_to(ROOT / "alpha_pipeline_tests").parts[0] for path in (ROOT / "alpha_pipeline_tests").glob("*/**/test_*.py")}
        assert folders <= packages


class TestFiles:
    def test_a_file_can_be_held_in_mind(self):
        lengths = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in MODULES}
        assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}

    def test_every_module_says_what_it_is(self):
        assert [str(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))] == []

    def test_no_loose_ends(self):
        found = [
            f"{path.relative_to(PACKAGE)}:{number}: {line.strip()}"
            for path in MODULES
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if FORBIDDEN.search(line)
        ]
        assert found == []

    def test_what_a_loose_end_looks_like(self):
        for line in ("# TODO later", "    raise NotImplementedError", "except Exception as error:", "except:"):
            assert FORBIDDEN.search(line)
        assert not FORBIDDEN.search("except BadInput as error:")
