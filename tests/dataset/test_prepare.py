"""Preparation of a toy data set, end to end: counts, columns, duplicates, splits, resuming, refusals."""

from __future__ import annotations

import csv
import functools
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import toy_domain

from molvae.dataset import Store, Summary, prepare
from molvae.dataset.plan import Plan
from molvae.errors import DataError, InvalidRecord, UnknownName, UsageError

HERE = Path(__file__).parent
ROWS = [
    ("Apple", "1.5", "train"),
    ("pear", "", "valid"),
    ("APPLE", "9", "test"),  # a duplicate of the first
    ("p3ar", "2", "train"),  # not parsed
    ("boom", "3", "train"),  # a bug in the domain
    ("xyz", "many", "test"),  # no vowels, no odd view, a label that is no number
    ("quince", "4", "train"),
]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("molvae.dataset.prepare"), "Plan", functools.partial(Plan, chunk=3))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "words.csv"
    path.write_text("text,length,part\n" + "".join(",".join(row) + "\n" for row in ROWS))
    return path


def make(source: Path, out: Path, **options: object) -> Store:
    return prepare(toy_domain.domain, source, out, **{"properties": ["length", "vowels"], "workers": 1, **options})  # type: ignore[arg-type]


class Letters:
    """A vocabulary of single letters without z."""

    fingerprint = "0" * 64
    calls = 0

    def encode(self, symbols: list[str]) -> list[int]:
        if "z" in symbols:
            raise InvalidRecord("".join(symbols), "unknown symbol z")
        return [ord(symbol) - ord("a") + 3 for symbol in symbols]

    def encode_many(self, rows: list[list[str]]) -> list[list[int] | None]:
        Letters.calls += 1
        return [None if "z" in row else self.encode(row) for row in rows]


def test_columns_and_counts(table: Path, tmp_path: Path) -> None:
    store = make(table, tmp_path / "out", label_columns=["length"], units={"length": "cm"})
    everything = store.rows("all")
    assert store.texts("text", everything) == ["apple", "pear", "xyz", "quince"]
    assert store.texts("plain", everything) == store.texts("text", everything)
    assert store.texts("back", everything[::-1]) == ["ecniuq", "zyx", "raep", "elppa"]
    assert store.texts("odd", everything) == ["appleapple", "pearpear", "", "quincequince"]
    assert store.keys(everything) == ["apple", "pear", "xyz", "quince"]
    assert store.line.tolist() == [2, 3, 7, 8]
    assert store.property_names == ("length", "vowels", "length_given")
    assert store.units == {"length": "letters", "vowels": "letters", "length_given": "cm"}
    np.testing.assert_array_equal(store.labels, [[5, 2, 1.5], [4, 2, np.nan], [3, np.nan, np.nan], [6, 3, 4]])
    for i, word in enumerate(store.texts("text", everything)):
        graph = toy_domain.build(word)
        np.testing.assert_array_equal(store.nodes.row(i), graph.nodes)
        np.testing.assert_array_equal(store.edges.row(i), graph.edges)
        np.testing.assert_array_equal(store.edge_features.row(i), graph.edge_features)
    summary = Summary.from_manifest(store.manifest)
    assert (summary.read, summary.kept, summary.duplicates) == (7, 4, 1)
    assert summary.rejected == {"not parsed": 2}
    assert summary.changed == {"lower": 2}
    assert summary.unreadable_labels == {"length_given": 1}
    assert summary.read == summary.kept + summary.duplicates + sum(summary.rejected.values())
    assert summary.first[0] == "words.csv:5: not parsed: letters are wanted"
    assert "unexpected RuntimeError: a bug in the domain" in summary.first[1]
    assert not (tmp_path / "out" / "shards").exists()
    assert not (tmp_path / "out" / "view.plain.values.npy").exists()


def test_rejected_rows_are_listed(table: Path, tmp_path: Path) -> None:
    make(table, tmp_path / "out")
    with (tmp_path / "out" / "rejected.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["file"], row["line"], row["reason"], row["text"]) for row in rows] == [
        ("words.csv", "4", "duplicate of words.csv:2", ""),
        ("words.csv", "5", "not parsed: letters are wanted", "p3ar"),
        ("words.csv", "6", "not parsed: unexpected RuntimeError: a bug in the domain", "boom"),
    ]


def test_labels_are_found_by_themselves_and_given_ones_stand_alone_where_asked(table: Path, tmp_path: Path) -> None:
    table.write_text(table.read_text().replace("many", "7"))
    store = make(table, tmp_path / "out", properties=["vowels"])
    assert store.property_names == ("vowels", "length")
    assert store.labels[0].tolist() == [2.0, 1.5]
    with pytest.raises(DataError, match="no column 'weight'; found beside the text: length, part"):
        make(table, tmp_path / "other", label_columns=["weight"])


def test_columns_of_numbers_and_words_are_left_out_with_a_word(table: Path, tmp_path: Path) -> None:
    table.write_text("text,act,name\napple,1,one\npear,>3,two\nquince,2,three\n")
    said: list[str] = []
    store = make(table, tmp_path / "out", note=said.append)
    assert store.property_names == ("length", "vowels")
    assert said == [
        "columns left out, for they hold words beside numbers: act (1 of 3 cells are words); name them as labels to keep their numbers"
    ]
    with pytest.warns(UserWarning, match="act"):
        make(table, tmp_path / "aloud")
    named = make(table, tmp_path / "named", label_columns=["act"], note=said.append)
    assert np.array_equal(named.labels[:, 2], [1, np.nan, 2], equal_nan=True)
    assert len(said) == 1


def test_a_duplicate_lends_the_labels_that_the_first_lacks(table: Path, tmp_path: Path) -> None:
    rows = ["text,act,dose", "apple,,5", "pear,1,", "plum,4,4", "APPLE,3,7", "Apple,9,1", "Pear,8,"]  # chunks of three rows
    table.write_text("\n".join(rows) + "\n")
    store = make(table, tmp_path / "out", properties=["vowels"])
    assert store.texts("text", store.rows("all")) == ["apple", "pear", "plum"]
    assert np.array_equal(store.labels[:, 1:], [[3, 5], [1, np.nan], [4, 4]], equal_nan=True)


def test_steps_by_name_and_with_arguments(table: Path, tmp_path: Path) -> None:
    store = make(table, tmp_path / "out", step_names=["lower", "no_q", "least=4"])
    assert store.texts("text", store.rows("all")) == ["apple", "pear"]
    assert store.manifest["summary"]["rejected"] == {"not parsed": 2, "least": 1, "no_q": 1}
    assert len(make(table, tmp_path / "none", step_names=[])) == 4  # the key alone makes APPLE a duplicate
    with pytest.raises(UsageError, match=r"unknown cleaning step 'nope'; known: lower, no_q"):
        make(table, tmp_path / "bad", step_names=["nope"])


def test_splits_by_column_file_and_group(table: Path, tmp_path: Path) -> None:
    by_column = make(table, tmp_path / "column", split="part")
    assert {name: by_column.texts("text", by_column.rows(name)) for name in ("train", "valid", "test")} == {
        "train": ["apple", "quince"],
        "valid": ["pear"],
        "test": ["xyz"],
    }
    files = []
    for name, words in (("train.smi", ["a", "b"]), ("test.smi", ["b", "c"])):
        files.append(tmp_path / name)
        files[-1].write_text("\n".join(words))
    by_file = prepare(toy_domain.domain, files, tmp_path / "file", split="file", workers=1)
    assert by_file.texts("text", by_file.rows("train")) == ["a", "b"]
    assert by_file.texts("text", by_file.rows("test")) == ["c"]
    assert by_file.file.tolist() == [0, 0, 1]
    many = tmp_path / "many.smi"
    many.write_text("\n".join(a + b for a in "abcdefghij" for b in "abcdefghij"))
    grouped = prepare(toy_domain.domain, many, tmp_path / "group", split="group", workers=1)
    parts = [{text[0] for text in grouped.texts("text", grouped.rows(name))} for name in ("train", "valid", "test")]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert len(grouped.rows("train")) == 90


def test_limit_reads_only_so_many_rows(table: Path, tmp_path: Path) -> None:
    store = make(table, tmp_path / "out", limit=2)
    assert store.manifest["summary"]["read"] == 2


def test_workers_make_the_same_files_as_one_process(table: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    one = make(table, tmp_path / "one")
    two = make(table, tmp_path / "two", workers=2, progress=lambda *at: seen.append(at))
    for file in sorted(one.path.glob("*.npy")):
        assert file.read_bytes() == (two.path / file.name).read_bytes(), file.name
    assert ("convert", 7, 7) in seen
    assert seen[-1] == ("write", 4, 4)


def test_the_same_request_opens_and_another_is_refused(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = make(table, out).manifest["created"]
    before = {file: file.stat().st_mtime_ns for file in out.iterdir()}
    assert make(table, out).manifest["created"] == made
    assert before == {file: file.stat().st_mtime_ns for file in out.iterdir()}
    with pytest.raises(DataError, match=r"another prepared data set \(other: seed\)"):
        make(table, out, seed=1)
    table.write_text(table.read_text() + "plum,1,train\n")
    with pytest.raises(DataError, match=r"\(other: sources\)"):
        make(table, out)


def test_missing_and_damaged_shards_are_made_again_and_only_they(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("molvae.dataset.prepare")
    out = tmp_path / "out"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "merge", stop)
        with pytest.raises(KeyboardInterrupt):
            make(table, out)
    shards = sorted((out / "shards").glob("shard-*.npz"))
    assert len(shards) == 3
    shards[0].unlink()
    shards[1].write_bytes(shards[1].read_bytes()[:100])
    kept = shards[2].stat().st_mtime_ns
    with pytest.raises(DataError, match="unfinished preparation of another data set"):
        make(table, out, seed=5)
    made: list[int] = []
    bench_make = module.Bench.make
    with monkeypatch.context() as patch:
        patch.setattr(module.Bench, "make", lambda self, number, *rest: made.append(number) or bench_make(self, number, *rest))
        patch.setattr(module, "merge", lambda *a: kept == shards[2].stat().st_mtime_ns and import_module("molvae.dataset.merge").merge(*a))
        store = make(table, out)
    assert made == [0, 1]
    assert store.texts("text", store.rows("all")) == ["apple", "pear", "xyz", "quince"]


SCRIPT = """
import functools, sys
from importlib import import_module
from molvae.dataset.plan import Plan
sys.path.insert(0, sys.argv[1])
import toy_domain
module = import_module("molvae.dataset.prepare")
module.Plan = functools.partial(Plan, chunk=100)
if __name__ == "__main__":
    store = module.prepare(toy_domain.domain, sys.argv[2], sys.argv[3], properties=["slow"], workers=2)
    print(len(store))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    letters = random.Random(0)
    words = sorted({"".join(letters.choices("abcdefghij", k=8)) for _ in range(4000)})
    source, out, script = tmp_path / "words.smi", tmp_path / "out", tmp_path / "script.py"
    source.write_text("\n".join(words))
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(HERE), str(source), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    running = subprocess.Popen(command, env=environment, start_new_session=True)
    while len(before := {file: file.stat().st_mtime_ns for file in (out / "shards").glob("shard-*.npz")}) < 6:
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    time.sleep(1.0)
    settled = len(list((out / "shards").glob("shard-*.npz")))
    time.sleep(1.5)
    assert len(list((out / "shards").glob("shard-*.npz"))) == settled, "orphaned workers go on"
    assert not (out / "manifest.json").exists()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(again.stdout) == len(words)
    assert len(before) >= 6


def test_folders_and_requests_that_make_no_sense(table: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("x")
    with pytest.raises(DataError, match="holds other files"):
        make(table, foreign)
    assert (foreign / "thesis.tex").exists()
    with pytest.raises(UnknownName, match="unknown property 'mass'"):
        make(table, tmp_path / "out", properties=["mass"])
    with pytest.raises(UsageError, match="sum to 1"):
        make(table, tmp_path / "out", fractions=(0.5, 0.1, 0.1))
    with pytest.raises(UsageError, match="top level of a module"):
        prepare(lambda: toy_domain.domain(), table, tmp_path / "out")
    with pytest.raises(DataError, match="no column 'fold'"):
        make(table, tmp_path / "out", split="fold")
    with pytest.raises(DataError, match="no such file"):
        make(tmp_path / "none.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_usable_row_is_an_error_with_reasons(tmp_path: Path) -> None:
    source = tmp_path / "words.smi"
    source.write_text("1\n2\n")
    with pytest.raises(DataError, match=r"no row of 2 can be used: words.smi:1: not parsed: letters are wanted"):
        make(source, tmp_path / "out")
    assert (tmp_path / "out" / "rejected.csv").exists()


def test_tokens_are_made_once_and_failures_counted(table: Path, tmp_path: Path) -> None:
    store = make(table, tmp_path / "out")
    bpe = Letters()
    Letters.calls = 0
    tokens = store.tokens("back", bpe, list)
    assert tokens.values.dtype == np.uint16
    assert [tokens.row(i).tolist() for i in range(4)] == [
        bpe.encode(list("elppa")),
        bpe.encode(list("raep")),
        [],
        bpe.encode(list("ecniuq")),
    ]
    assert store.untokenised("back", bpe) == {"count": 1, "first": [[2, "unknown symbol z"]]}
    assert len(store.tokens("back", bpe, list)) == 4
    assert Letters.calls == 1
    store.tokens("odd", bpe, list)
    assert store.untokenised("odd", bpe)["first"] == [[2, "the record has no string of this view"]]
    with pytest.raises(UnknownName, match="sequence view"):
        store.tokens("sideways", bpe, list)


def test_label_scale_ignores_nan_and_other_splits(table: Path, tmp_path: Path) -> None:
    store = make(table, tmp_path / "out", split="part", label_columns=["length"])
    mean, std = store.label_scale()
    np.testing.assert_allclose(mean, [5.5, 2.5, 2.75])
    np.testing.assert_allclose(std, [0.5, 0.5, 1.25])
    one = make(table, tmp_path / "one", fractions=(1.0, 0.0, 0.0), limit=1, label_columns=[], properties=["length"])
    assert one.label_scale().std.tolist() == [1.0]


def test_a_store_pickles_as_its_path(table: Path, tmp_path: Path) -> None:
    store = make(table, tmp_path / "out")
    again = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(again.labels, store.labels)
    assert len(pickle.dumps(store)) < 1000


def test_damaged_and_foreign_stores(table: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no prepared data set"):
        Store.open(tmp_path)
    out = tmp_path / "out"
    make(table, out)
    manifest = json.loads((out / "manifest.json").read_text())

    def rewrite(**changes: object) -> None:
        (out / "manifest.json").write_text(json.dumps({**manifest, **changes}))

    rewrite(format_version=99)
    with pytest.raises(DataError, match="format 99"):
        Store.open(out)
    rewrite(format="zip")
    with pytest.raises(DataError, match="not the manifest"):
        Store.open(out)
    rewrite(rows=5)
    with pytest.raises(DataError, match=r"labels\.npy: float32 \(4, 2\), the manifest wants float32 \(5, 2\)"):
        Store.open(out)
    (out / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="no JSON"):
        Store.open(out)
    rewrite()
    (out / "key.values.npy").unlink()
    with pytest.raises(DataError, match="missing"):
        Store.open(out)
