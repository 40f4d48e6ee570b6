"""What surrounds the code: metadata that must agree, the two ways to the command, the shape of the files, the contents of the wheel."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import molvae

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("molvae", "tests", "benchmarks", "data", ".ci")
TOP_FILES = ("cli.py", "pyproject.toml", "Makefile", "environment.yml", "README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE")
TEXT_SUFFIXES = {"", ".py", ".toml", ".md", ".json", ".yml", ".cff", ".html", ".j2", ".css", ".js", ".csv", ".smi", ".txt", ".sh"}


def project_files() -> list[Path]:
    """Every file of the project, without caches and build products."""
    inside = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sorted(inside) + [ROOT / name for name in TOP_FILES]


def python_files() -> list[Path]:
    return [path for path in project_files() if path.suffix == ".py"]


@pytest.fixture(scope="module")
def pyproject() -> dict[str, dict[str, object]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def test_environment_yml_installs_this_package_and_nothing_else(pyproject: dict[str, dict[str, object]]) -> None:
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    start = lines.index("dependencies:")
    entries = [line.strip().removeprefix("- ") for line in lines[start + 1 :] if line.strip()]
    # Versions stand in pyproject.toml alone: a second list would drift.
    assert entries == [f"python{pyproject['project']['requires-python']}", "pip", "pip:", "-e ."]
    assert f"name: {pyproject['project']['name']}" in lines


def test_version_is_the_same_everywhere(pyproject: dict[str, dict[str, object]]) -> None:
    version = pyproject["project"]["version"]
    citation = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    released = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert molvae.__version__ == version
    assert citation is not None
    assert citation.group(1) == version
    assert not released or released[0] == version


def test_ruff_and_classifiers_know_the_oldest_python(pyproject: dict[str, dict[str, object]]) -> None:
    oldest = str(pyproject["project"]["requires-python"]).removeprefix(">=")
    assert pyproject["tool"]["ruff"]["target-version"] == "py" + oldest.replace(".", "")  # type: ignore[index]
    assert f"Programming Language :: Python :: {oldest}" in pyproject["project"]["classifiers"]  # type: ignore[operator]


def help_of(*command: str) -> str:
    env = {**os.environ, "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run([*command, "--help"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_cli_py_is_the_installed_command() -> None:
    installed = Path(sys.executable).parent / "molvae"
    assert installed.exists(), f"{installed} is missing: install the package first (make install)"
    assert help_of(sys.executable, "cli.py").replace("cli.py", "molvae") == help_of(str(installed))


def test_files_are_short() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {name: n for name, n in lengths.items() if n > 400} == {}


def test_functions_are_short() -> None:
    long = []
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None and node.end_lineno - node.lineno >= 50:
                long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert long == []


def test_no_file_names_a_folder_of_one_machine_or_a_package_index() -> None:
    paths = r"(?<![\w.~-])/(?:work|root|home|Users)/\w|/tmp/\w|/opt/\w"
    indexes = r"pypi\.org|pythonhosted\.org|anaconda\.org|download\.pytorch\.org"
    found = []
    for path in project_files():
        if path.suffix in TEXT_SUFFIXES:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                if match := re.search(f"{paths}|{indexes}", line):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {match.group()}")
    assert found == []


@pytest.mark.slow
def test_wheel_contains_the_package_its_models_and_its_cards(tmp_path: Path) -> None:
    # The wheel is built from the sdist, so this also shows that the sdist is complete.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        info = next(name.split("/")[0] for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
        scripts = wheel.read(f"{info}/entry_points.txt").decode()
    package = [path for path in project_files() if path.is_relative_to(ROOT / "molvae")]
    cards = [path.relative_to(ROOT / "data").as_posix() for path in project_files() if path.is_relative_to(ROOT / "data")]
    expected = {path.relative_to(ROOT).as_posix() for path in package} | {f"molvae/cards/{name}" for name in cards}
    assert {name for name in names if not name.startswith(info)} == expected
    assert "molvae/py.typed" in names
    assert f"{info}/licenses/LICENSE" in names
    assert metadata["License-Expression"] == "MIT"
    assert "molvae = molvae.cli:main" in scripts
