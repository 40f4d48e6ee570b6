"""Exact reconstruction of held-out molecules: the canonical SMILES that comes back, free-running, is the one that went in.

Default: molecules of MOSES's test split through each view alone and through several, and through all at several noise levels; most likely
tokens, nothing teacher-forced. Then the codes of all views with ``--search`` further draws each, of which the one that encodes nearest to
the code is taken (molvae.invert): the code is all that the search knows. A molecule that the vocabularies cannot spell counts as lost.

``--jtvae``: the protocol of JT-VAE (Jin et al. 2018) on ZINC-250k: each molecule is encoded 10 times and each code decoded 10 times, and
the share of the 100 that are the molecule is averaged; then 1,000 prior draws are decoded 100 times each and the valid share taken. What
varies between the 10 encodings is the noise of --level: none at level 0, where the code is a function of the molecule. What varies between
the 10 decodings are the tokens, drawn at temperature 1; in the searched row a decoding is a search, of which --searches are averaged (the
noiseless code makes the encodings one, and searches of different seeds hardly differ). Prior validity counts what RDKit reads, before any
rejection.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from benchmarks.support.codes import decode
from benchmarks.support.heldout import encodable, from_file, held_out
from benchmarks.support.record import Row, command_line, write_result
from benchmarks.support.terminal import common, show
from molvae.api import Model, load
from molvae.sample import noised

LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
# Jin et al. 2018, Table 1 and the papers it quotes: reconstruction and prior validity on ZINC, quoted from memory.
PUBLISHED = {"CVAE": (0.446, 0.007), "GVAE": (0.537, 0.072), "SD-VAE": (0.762, 0.435), "JT-VAE": (0.767, 1.0)}


def views_of(model: Model) -> dict[str, tuple[str, ...]]:
    """Sets of views to encode by, by name: each alone, and all together where there are several."""
    names = {"sequence": model.representation.source.name, "written": model.representation.target.name, "graph": "graph"}
    views = tuple(model.representation.views)
    found: dict[str, tuple[str, ...]] = {names[view]: (view,) for view in views}
    if {"sequence", "graph"} <= set(views):
        found[f"{names['sequence']} and graph"] = ("sequence", "graph")
    return found if len(views) < 3 else {**found, "all": views}


def exact_share(
    model: Model, texts: list[str], count: int, *, level: float, views: tuple[str, ...] | None, seed: int, search: int = 0
) -> float:
    """Exactly reconstructed among ``count`` molecules, of which ``texts`` are those that have a code."""
    back = model.reconstruct(texts, level=level, views=views, seed=seed, search=search) if texts else []
    return sum(one.exact for one in back) / count


def plain(model: Model, options: argparse.Namespace) -> tuple[dict[str, Any], list[Row]]:
    """By views at level 0, and by level."""
    texts, origin = held_out(model, options, options.n)
    able = [text for text, can in zip(texts, encodable(model, texts), strict=True) if can]
    by_view = {
        name: exact_share(model, able, len(texts), level=0.0, views=views, seed=options.seed) for name, views in views_of(model).items()
    }
    print(f"{model.name}: exact reconstruction of {len(texts)} molecules of {origin}, {len(texts) - len(able)} without a code")
    show(("views", "level 0"), list(by_view.items()))
    name, views = list(views_of(model).items())[-1]
    searched = {}
    if options.search:
        searched[name] = exact_share(model, able, len(texts), level=0.0, views=views, seed=options.seed, search=options.search)
    show(("views", f"with {options.search} further draws"), list(searched.items()))
    by_level = {f"{t:g}": exact_share(model, able, len(texts), level=t, views=None, seed=options.seed) for t in LEVELS}
    show(("views", *(f"t={t}" for t in by_level)), [("all", *by_level.values())])
    rows = [Row(f"exact reconstruction, {name}", share) for name, share in by_view.items()]
    rows += [Row(f"exact reconstruction, {name}, checked search of {options.search} draws", share) for name, share in searched.items()]
    rows += [Row(f"exact reconstruction at noise level {t}", share) for t, share in by_level.items() if t != "0"]
    payload = {"molecules": len(texts), "without_code": len(texts) - len(able), "data": origin, "by_view": by_view, "by_level": by_level}
    payload |= {"search_draws": options.search, "by_view_searched": searched}
    return payload, rows


# --- JT-VAE's protocol ------------------------------------------------------------------------------------------------------------------


def repeated(model: Model, texts: list[str], count: int, options: argparse.Namespace) -> float:
    """Mean share of the encodings x decodings of each molecule that are it, over ``count`` molecules."""
    generator = torch.Generator().manual_seed(options.seed)
    codes = model.sampler.codes(texts).repeat_interleave(options.encodings, 0)
    hits = 0
    per = options.encodings * options.decodings
    step = max(1, 5120 // per)  # molecules at a time
    for k in range(0, len(texts), step):
        part = texts[k : k + step]
        mode = codes[k * options.encodings : (k + len(part)) * options.encodings]
        z = noised(mode, torch.full((len(mode),), options.level), generator).repeat_interleave(options.decodings, 0)
        found = decode(model, z, options.level, temperature=options.temperature, generator=generator)
        hits += sum(record is not None and model.domain.write(record) == part[j // per] for j, record in enumerate(found))
    return float(hits / (count * per))


def prior_validity(model: Model, level: float, options: argparse.Namespace) -> float:
    """Valid share of ``prior_draws`` codes from N(0, I), decoded ``prior_decodings`` times each, before rejection."""
    generator = torch.Generator().manual_seed(options.seed)
    valid = 0
    for _ in range(options.prior_decodings):
        # Every pass decodes the same codes, so that memory does not grow with the number of decodings.
        z = torch.randn(options.prior_draws, model.vae.latent.width, generator=torch.Generator().manual_seed(options.seed + 1))
        valid += sum(record is not None for record in decode(model, z, level, temperature=options.temperature, generator=generator))
    return float(valid / (options.prior_draws * options.prior_decodings))


def jtvae(model: Model, options: argparse.Namespace) -> tuple[dict[str, Any], list[Row]]:
    """JT-VAE's two figures, beside those of the most likely tokens."""
    texts = from_file(model, options.zinc, options.n, options.seed)
    if len(texts) < options.n:
        print(f"note: {len(texts)} held-out molecules in {options.zinc.name} instead of {options.n}", file=sys.stderr)
    able = [text for text, can in zip(texts, encodable(model, texts), strict=True) if can]
    likeliest = exact_share(model, able, len(texts), level=0.0, views=None, seed=options.seed)
    sampled = repeated(model, able, len(texts), options)
    checked = [
        exact_share(model, able, len(texts), level=0.0, views=None, seed=options.seed + k, search=options.search)
        for k in range(options.searches if options.search else 0)
    ]
    valid = prior_validity(model, options.prior_level, options)
    show(
        ("model", "reconstruction", "prior validity"),
        [(f"{model.name}, drawn tokens", sampled, valid), (f"{model.name}, most likely tokens", likeliest, float("nan"))]
        + [(f"{model.name}, checked search of {options.search} draws", mean(checked), float("nan"))] * bool(checked)
        + [(f"{name} (m)", *figures) for name, figures in PUBLISHED.items()],
    )
    payload = {
        "molecules": len(texts),
        "without_code": len(texts) - len(able),
        "encodings": options.encodings,
        "decodings": options.decodings,
        "level": options.level,
        "temperature": options.temperature,
        "varies": "tokens drawn at the temperature"
        + (" and the noise of each encoding" if options.level else "; the code is deterministic"),
        "reconstruction": sampled,
        "reconstruction_most_likely": likeliest,
        "search_draws": options.search,
        "reconstruction_searched": checked,
        "prior_level": options.prior_level,
        "prior_validity_before_rejection": valid,
    }
    beside = [", ".join(f"{name} {figures[k]:.1%}" for name, figures in PUBLISHED.items()) + " (m)" for k in (0, 1)]
    rows = [
        Row("reconstruction, 10 encodings x 10 decodings, tokens drawn", sampled, beside[0]),
        Row("reconstruction, most likely tokens", likeliest, beside[0]),
        *([Row(f"reconstruction, checked search of {options.search} draws", mean(checked), beside[0])] if checked else []),
        Row("prior validity before rejection (1 after it)", valid, beside[1]),
    ]
    return payload, rows


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reconstruction", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="moses", help="shipped model or checkpoint folder (default moses)")
    parser.add_argument("--n", type=int, help="held-out molecules (default 10000, with --jtvae 5000)")
    parser.add_argument("--store", type=Path, help="take held-out rows of this prepared data set instead of MOSES's test split")
    parser.add_argument("--jtvae", action="store_true", help="JT-VAE's protocol")
    parser.add_argument("--zinc", type=Path, help="with --jtvae: ZINC-250k, one SMILES a line; training molecules are left out")
    parser.add_argument("--search", type=int, default=128, help="further draws a code of the checked search, 0 for none (default 128)")
    parser.add_argument("--searches", type=int, default=2, help="with --jtvae: searches of each code, averaged (default 2)")
    parser.add_argument("--encodings", type=int, default=10)
    parser.add_argument("--decodings", type=int, default=10)
    parser.add_argument("--level", type=float, default=0.0, help="with --jtvae: noise level of the encodings (default 0)")
    parser.add_argument("--temperature", type=float, default=1.0, help="with --jtvae (default 1)")
    parser.add_argument("--prior-draws", type=int, default=1000)
    parser.add_argument("--prior-decodings", type=int, default=100)
    parser.add_argument("--prior-level", type=float, default=1.0, help="with --jtvae: level at which prior draws are decoded (default 1)")
    common(parser, out=None)
    options = parser.parse_args(arguments)
    if options.jtvae and options.zinc is None:
        parser.error("--jtvae wants --zinc FILE")
    options.n = options.n or (5000 if options.jtvae else 10_000)
    return options


def main(arguments: list[str]) -> None:
    """Measures, prints and writes the result file."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    model = load(options.model)
    payload, rows = jtvae(model, options) if options.jtvae else plain(model, options)
    command = command_line("benchmarks.reconstruction", arguments)
    name = options.out or ("reconstruction_zinc" if options.jtvae else "reconstruction")
    write_result(name, payload, command=command, seed=options.seed, rows=rows, threads=options.threads)


if __name__ == "__main__":
    main(sys.argv[1:])
