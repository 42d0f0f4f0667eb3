"""Runs the benchmarks one after another and rewrites docs/benchmarks.md from what they print.

    python benchmarks/run_all.py                        # the quick ones; the others keep the section they have
    python benchmarks/run_all.py --only windows panels  # some of them
    python benchmarks/run_all.py --with-recovery        # the recovery of planted alpha too: hours

Each section holds the command, the load of the machine, the output as it was printed, and a table of bars whose figures are read
off that output. A bar that is missed says so; only the notes in :mod:`benchmarks.sections` are typed in by hand.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
if str(REPOSITORY) not in sys.path:  # started as a file, Python looks for modules in its folder only
    sys.path.insert(0, str(REPOSITORY))

from benchmarks.sections import SECTIONS, Section  # noqa: E402

PAGE = REPOSITORY / "docs" / "benchmarks.md"
ONE_THREAD = ("factor_tests", "risk_model")  # compared or stated per core: BLAS may not take a second one
LIBRARIES = ("numpy", "pandas", "torch", "numba", "scipy", "statsmodels", "cvxpy", "ecos", "clarabel", "highspy", "pyarrow")


@dataclass(frozen=True)
class Ran:
    """One command: its output, seconds, load averages before and after."""

    command: str
    output: str
    seconds: float
    loads: tuple[float, float]


def run_command(command: str, extra: Sequence[str] = ()) -> Ran:
    """Run ``python -m benchmarks.<command>`` from the repository; ``extra`` arguments are not shown on the page."""
    before, began = os.getloadavg()[0], time.perf_counter()
    # scripts that start themselves again must find the packages too
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    }
    if command.startswith(ONE_THREAD):
        environment["OPENBLAS_NUM_THREADS"] = "1"
    name, *arguments = command.split()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}", *arguments, *extra],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return Ran(command, done.stdout, time.perf_counter() - began, (before, os.getloadavg()[0]))


def section_text(section: Section, runs: Sequence[Ran]) -> str:
    """The section's Markdown: title, notes, bars, then each command with its output."""
    output = "\n".join(run.output for run in runs)
    lines = [f"## {section.title}", "", section.notes, ""]
    if section.bars:
        lines += ["| bar | figure | limit | |", "|---|---|---|---|", *(bar.row(output) for bar in section.bars), ""]
    for run in runs:
        threads = "OPENBLAS_NUM_THREADS=1 " if run.command.startswith(ONE_THREAD) else ""
        lines += [
            f"`{threads}python -m benchmarks.{run.command}` — {run.seconds:.0f} s, "
            f"load {run.loads[0]:.1f} before and {run.loads[1]:.1f} after, on {os.cpu_count()} cores",
            "",
            "```text",
            run.output.strip("\n"),
            "```",
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def machine_facts() -> str:
    """Processor, cores, memory and the versions of what is compared."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())
        model = found[1] if found else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = []
    for name in LIBRARIES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} absent")
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB; Python {platform.python_version()}, {', '.join(versions)}"


def assemble(sections: dict[str, str], facts: str) -> str:
    """The page: machine, summary of all bars, sections in the order of :data:`SECTIONS`."""
    rows = [
        f"| {section.title} {row}"
        for section in SECTIONS
        for row in re.findall(r"^\| (?!bar \|)[^|]+\|[^|]+\| [≥≤].*$", sections.get(section.key, ""), re.MULTILINE)
    ]
    head = [
        "# Benchmarks",
        "",
        "Written by `make bench` (`python benchmarks/run_all.py`); do not edit by hand. Ratios are medians of interleaved "
        "repeats within one run, so both sides see the same machine; every section names its command and the load average.",
        "",
        f"Machine of the last run: {facts}.",
        "",
        "| benchmark | bar | figure | limit | |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]
    body = [
        f"<!-- begin {section.key} -->\n{sections[section.key]}<!-- end {section.key} -->\n"
        for section in SECTIONS
        if section.key in sections
    ]
    return "\n".join(head) + "\n" + "\n".join(body)


def stored_sections(page: str) -> dict[str, str]:
    """The sections of an earlier page by key."""
    return {found[1]: found[2] for found in re.finditer(r"<!-- begin (\w+) -->\n(.*?)<!-- end \1 -->", page, re.DOTALL)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    known = [section.key for section in SECTIONS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=known, help="run these and keep the other sections")
    parser.add_argument(
        "--with-recovery", action="store_true", help="train and measure the recovery of planted alpha as well: hours"
    )
    parser.add_argument(
        "--recovery-root", type=Path, default=Path("build/recovery"), help="scratch folder of the recovery; continues there"
    )
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    chosen = options.only or [key for key in known if not key.startswith("recovery") or options.with_recovery]
    sections = stored_sections(options.page.read_text()) if options.page.exists() else {}
    for section in SECTIONS:
        if section.key not in chosen:
            continue
        print(f"{section.title} …", flush=True)
        extra = ["--root", str(options.recovery_root.resolve())] if section.key.startswith("recovery") else []
        sections[section.key] = section_text(section, [run_command(command, extra) for command in section.commands])
        options.page.parent.mkdir(parents=True, exist_ok=True)
        options.page.write_text(assemble(sections, machine_facts()))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"{options.page}: {', '.join(chosen)}; largest process {peak:.1f} GiB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
