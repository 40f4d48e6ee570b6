"""The installed command as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import molvae
from tests.fixtures_model import Tiny

ROOT = Path(__file__).resolve().parents[2]
MOLVAE = Path(sys.executable).parent / "molvae"


def call(*command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    return subprocess.run([str(c) for c in command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=100, check=False)


def test_cli_py_is_the_same_program() -> None:
    for arguments in (["--version"], ["generate", "--target", "nonsense"]):
        ours, installed = call(sys.executable, "cli.py", *arguments), call(MOLVAE, *arguments)
        assert (ours.returncode, ours.stdout, ours.stderr) == (installed.returncode, installed.stdout, installed.stderr)
    assert call(MOLVAE, "--version").stdout == f"molvae {molvae.__version__}\n"


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    heavy = "import sys, molvae.cli; print(*{'torch', 'rdkit', 'pandas', 'numpy', 'pydantic'} & set(sys.modules))"
    assert call(sys.executable, "-c", heavy).stdout.strip() == ""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        assert call(MOLVAE, "--help").returncode == 0
        times.append(time.perf_counter() - started)
    assert min(times) < 1.5  # about 0.2 s on an idle machine


@pytest.mark.slow
def test_equal_seeds_give_equal_files(tiny: Tiny, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        done = call(
            MOLVAE,
            "generate",
            "-n",
            "7",
            "--model",
            tiny.run,
            "--target",
            "logp=1.5",
            "--seed",
            "3",
            "--threads",
            "1",
            "-o",
            tmp_path / name,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_closed_pipe_is_no_error_message() -> None:
    done = subprocess.run(["sh", "-c", f"'{MOLVAE}' config | true"], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX signal")
def test_interruption_of_training_saves_and_tells_how_to_go_on(tiny: Tiny, tmp_path: Path) -> None:
    import signal

    out = tmp_path / "run"
    words = [str(MOLVAE), "train", "--data", str(tiny.store), "--out", str(out), "--set", "train.steps=1000000", "--threads", "1", "-v"]
    small = ["train.log_steps=1", "encoder.features=16", "decoder.hidden=16", "train.prior_batch=8", "train.code_batch=8"]
    words += [word for setting in small for word in ("--set", setting)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step 3 "):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert f"molvae train --data {tiny.store} --out {out} --resume" in " ".join(err.split())
    assert (out / "checkpoint" / "weights.safetensors").exists()
