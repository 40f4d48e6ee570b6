"""Byte-pair encoding over the symbols of a string language (Sennrich et al., ACL 2016), merges reaching across a whole string."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from molvae.errors import InvalidRecord, UsageError

PAD = 0
BEGIN = 1
END = 2
_SPECIALS = ("<pad>", "<begin>", "<end>")
_FORMAT = "molvae-symbol-bpe-1"
# Each symbol is one character of Unicode's private-use areas, which no symbol or special token can contain by accident.
_BASIC_AREA = (0xE000, 6400)
_FURTHER_AREA = (0xF0000, 65534)
_MOST_SYMBOLS = _BASIC_AREA[1] + _FURTHER_AREA[1]


def _character(index: int) -> str:
    start, count = _BASIC_AREA
    return chr(start + index) if index < count else chr(_FURTHER_AREA[0] + index - count)


def _index(character: str) -> int:
    code = ord(character)
    start, count = _BASIC_AREA
    return code - start if code < start + count else code - _FURTHER_AREA[0] + count


class SymbolBPE:
    """A vocabulary of single symbols and merged runs of symbols. Ids: 0 pad, 1 begin, 2 end, then symbols, then merges in the order learnt.

    symbols: the distinct single symbols in id order. merges: pairs of ids, each earlier than what they make.
    Raises UsageError where these do not hold together.
    """

    def __init__(self, symbols: Sequence[str], merges: Sequence[tuple[int, int]]) -> None:
        if len(set(symbols)) != len(symbols) or "" in symbols:
            raise UsageError("the symbols of a vocabulary must be distinct and not empty")
        if len(symbols) > _MOST_SYMBOLS:
            raise UsageError(
                f"{len(symbols)} distinct symbols; at most {_MOST_SYMBOLS} can be told apart. Split the strings into fewer kinds of symbols"
            )
        self._symbols = tuple(symbols)
        self._merges = tuple((int(left), int(right)) for left, right in merges)
        self._character_of = {symbol: _character(index) for index, symbol in enumerate(self._symbols)}
        texts = [*_SPECIALS, *self._character_of.values()]
        ids = {text: number for number, text in enumerate(texts)}
        pairs: list[tuple[str, str]] = []
        for number, (left, right) in enumerate(self._merges):
            if not (END < left < len(texts) and END < right < len(texts)):
                raise UsageError(
                    f"merge {number} joins the ids {left} and {right}; ids from {END + 1} to {len(texts) - 1} are known by then"
                )
            joined = texts[left] + texts[right]
            pairs.append((texts[left], texts[right]))
            # Two merges may make the same run (ab + c, a + bc): it keeps its first id.
            if joined not in ids:
                ids[joined] = len(texts)
                texts.append(joined)
        self._tokens = tuple(tuple(self._symbols[_index(c)] for c in text) for text in texts[len(_SPECIALS) :])
        self._tokenizer = Tokenizer(BPE(vocab=ids, merges=pairs))

    @classmethod
    def train(cls, sequences: Iterable[list[str]], vocab_size: int) -> SymbolBPE:
        """Learn merges until the vocabulary has ``vocab_size`` ids, or no pair of neighbours is seen twice.

        Every symbol seen gets an id, even where that takes more than ``vocab_size``. The order of the sequences does not matter.
        Raises UsageError for no or only empty sequences, and for a ``vocab_size`` that leaves no room beside the special ids.
        """
        if vocab_size <= len(_SPECIALS):
            raise UsageError(f"a vocabulary of {vocab_size}; it needs more than the {len(_SPECIALS)} special ids, 256 to 2048 are usual")
        provisional: dict[str, str] = {}
        texts: list[str] = []
        for sequence in sequences:
            for symbol in sequence:
                if symbol not in provisional:
                    if len(provisional) == _MOST_SYMBOLS:
                        raise UsageError(f"more than {_MOST_SYMBOLS} distinct symbols; split the strings into fewer kinds of symbols")
                    provisional[symbol] = _character(len(provisional))
            texts.append("".join([provisional[symbol] for symbol in sequence]))
        if not provisional:
            raise UsageError("no symbols to learn a vocabulary from; give at least one sequence that is not empty")
        symbols = sorted(provisional)
        # Sorting makes the ids, and with them the breaking of ties between merges, independent of the order of the rows.
        final = {ord(provisional[symbol]): _character(index) for index, symbol in enumerate(symbols)}
        merges = _learn((text.translate(final) for text in texts), len(texts), vocab_size)
        return cls(symbols, _ids_of_merges(len(symbols), merges))

    def __len__(self) -> int:
        return len(_SPECIALS) + len(self._tokens)

    def __reduce__(self) -> tuple[Any, ...]:
        return SymbolBPE, (self._symbols, self._merges)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SymbolBPE):
            return NotImplemented
        return (self._symbols, self._merges) == (other._symbols, other._merges)

    def __hash__(self) -> int:
        return hash((self._symbols, self._merges))

    def encode(self, symbols: list[str]) -> list[int]:
        """Token ids without begin and end marks. Raises InvalidRecord naming the first symbol that is not in the vocabulary."""
        try:
            text = self._text(symbols)
        except KeyError as error:
            symbol = str(error.args[0])
            why = f"the symbol {symbol!r} is not in the vocabulary; train on data that has it, or leave this row out"
            raise InvalidRecord("".join(symbols), why) from None
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_many(self, rows: Sequence[list[str]]) -> list[list[int] | None]:
        """Token ids of each row, None for rows with a symbol that is not in the vocabulary."""
        known: list[int] = []
        texts: list[str] = []
        for number, row in enumerate(rows):
            try:
                texts.append(self._text(row))
            except KeyError:
                continue
            known.append(number)
        encoded: list[list[int] | None] = [None] * len(rows)
        for number, encoding in zip(known, self._tokenizer.encode_batch_fast(texts, add_special_tokens=False), strict=True):
            encoded[number] = list(encoding.ids)
        return encoded

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The symbols of token ids. Raises ValueError for special ids and ids out of range."""
        return [symbol for number in ids for symbol in self.token_symbols(number)]

    def token_symbols(self, number: int) -> tuple[str, ...]:
        """The symbols of one token id. Raises ValueError for special ids and ids out of range."""
        if not END < number < len(self):
            raise ValueError(f"token id {number}; ids from {END + 1} to {len(self) - 1} stand for symbols")
        return self._tokens[number - len(_SPECIALS)]

    def to_dict(self) -> dict[str, Any]:
        """Everything needed to rebuild the vocabulary, as JSON-serialisable values."""
        return {"format": _FORMAT, "symbols": list(self._symbols), "merges": [list(pair) for pair in self._merges]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SymbolBPE:
        """The inverse of ``to_dict``. Raises UsageError for anything else."""
        if content.get("format") != _FORMAT:
            raise UsageError(f"a vocabulary of format {content.get('format')!r}; {_FORMAT!r} is wanted")
        try:
            symbols = [str(symbol) for symbol in content["symbols"]]
            merges = [(int(left), int(right)) for left, right in content["merges"]]
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"a damaged vocabulary: {error!r}; 'symbols' (strings) and 'merges' (pairs of ids) are wanted") from error
        return cls(symbols, merges)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON of ``to_dict``, hexadecimal."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def _text(self, symbols: list[str]) -> str:
        return "".join([self._character_of[symbol] for symbol in symbols])


def _learn(texts: Iterable[str], count: int, vocab_size: int) -> list[tuple[str, str]]:
    tokenizer = Tokenizer(BPE())
    trainer = BpeTrainer(vocab_size=vocab_size, min_frequency=2, special_tokens=list(_SPECIALS), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer, length=count)
    return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def _ids_of_merges(symbols: int, merges: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
    ids = {_character(index): len(_SPECIALS) + index for index in range(symbols)}
    pairs: list[tuple[int, int]] = []
    for left, right in merges:
        pairs.append((ids[left], ids[right]))
        ids.setdefault(left + right, len(_SPECIALS) + len(ids))
    return pairs
