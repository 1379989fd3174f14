"""The steps and metrics in a line that a program prints, read without a pattern.

A number counts as a metric if the text before it names one: ``val_loss: 0.5``, ``loss=0.5``,
``| valid loss 0.50 |``, ``{'eval/acc': 0.9}``, ``Accuracy: 9912/10000 (99%)``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from orchestrator.files.series_names import CAMEL, METRIC_WORDS, SPLIT_WORDS, SPLITS, is_state
from orchestrator.metrics import goal as named_goal

LONGEST = 1_000  # characters; a longer line is not meant to be read
_WIDE = str.maketrans("：，；｜＝（）［］％", ":,;|=()[]%")
# What programs call these in other languages; compounds as Validierungsverlust are split.
_FOREIGN = {
    word: english
    for english, words in {
        "loss": "verlust perte perda pérdida потери 损失 損失",
        "accuracy": "genauigkeit exactitude exactitud acurácia точность 准确率 精度 正解率",
        "error": "fehler erreur ошибка 误差",
        "train": "trainings entraînement entrenamiento treino 训练 訓練 学習",
        "val": "validierungs validierung validación validação 验证 検証",
        "test": "测试",
    }.items()
    for word in words.split()
}
_FOREIGN_WORD = re.compile("|".join(sorted(_FOREIGN, key=len, reverse=True)))
# pycocotools: name, "@[ IoU=0.50 | area=   all | maxDets=100 ]", value
_COCO = re.compile(
    r"Average (?:Precision|Recall)\s+\((?P<kind>A[PR])\) @\[ IoU=0\.50?(?P<to>:0\.95)?\s*\|"
    r" area=\s*all \| maxDets=100 \] = (?P<value>-?\d\.\d+)"
)
# Names with one of these are settings, whatever else they hold.
_SETTINGS = frozenset((
    *("learning", "min", "scale", "weight", "threshold", "patience", "decay", "throughput"),
    *("speed", "params", "parameters", "seed", "size", "version", "delta", "device", "gpu"),
    *("cpu", "beta"),
))  # fmt: skip
_QUALIFIERS = ("best", "final", "top", "top1", "top5", "mean", "median", "macro", "micro", "ema",
               "balanced", "weighted", "word", "char", "log", "cross", "bits")  # fmt: skip
# Words that name a metric only if a colon or the like follows.
_ENGLISH = frozenset((
    *("correct", "hit", "hits", "miss", "misses", "mistakes", "fail", "failed", "failure"),
    *("failures", "success", "successful", "solved", "wins", "return", "returns", "gain", "lift"),
    *("cost", "costs", "penalty", "violation", "violations", "residual", "residuals", "errors"),
    *("distance", "distances", "quality", "validity", "evidence", "agreement", "completeness"),
    *("purity", "stress", "profit", "utility", "spice", "spider", "comet", "helm", "meteor"),
    *("far", "mad", "fitness", "per", "em", "ba", "ll", "hr", "undefined", "divergence"),
    *("throughput", "fps", "latency", "losses", "scores", "rewards", "accuracies"),
))  # fmt: skip
_FILLERS = ("average", "avg", "set", "the", "of", "on", "in", "for", "at", "a", "an", "is",
            "current", "running", "epoch", "de", "d", "des", "la", "du")  # fmt: skip

_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:(?:\d{1,3}(?:,\d{3})+(?:\.\d*)?(?!,?\d)|\d+,\d+(?!,)|\d+\.?\d*|\.\d+)"
    r"(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)(?!\.?\w)%?",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"(?P<label>(?:(?<=_)|\b)(?:(?P<epoch>epoch(?:s|en?)?|ep|[ée]po(?:que|ca)s?|эпох[аи]|エポック"
    r"|第)|(?P<step>(?:global[_ ])?steps?|iter(?:ation)?s?|rounds?|episodes?)|(?<!/)batch)"
    r"(?:\b|(?<=第))['\"]?\s*(?:[:=#]|no\.?)?\s*[\[(]?\s*)(?P<value>\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:\.\d+)?)"
    r"(?:(?P<slash>\s*(?:/|of)\s*)(?P<total>\d+))?(?:(?=\s*[轮輪代])|(?![\w%]))",
    re.IGNORECASE,
)
# At the beginning, or behind what absl puts in front: "3/10", "[3/10]", "[3] ", "| 3 |".
_COUNT = re.compile(
    r"^(?:[IWEF]\d{4} [^]]*\] |\s*)(?P<label>[\[(]?|\|\s*)(?P<value>\d+)"
    r"(?:(?P<slash>\s*/\s*)(?P<total>\d+)|(?=\s*[\]|]\s|:\s))"
)
_POSSESSIVE = re.compile(r"(?<=\w)['’]s\b")  # LightGBM: valid_0's l2
_AT = re.compile(r"@\d+\s*\Z")  # of "Acc@5"
_FRACTION = re.compile(r"\d+\s*/\s*\d+")
# What parts the name of a number from it, and names from what is before them.
_SIGN = re.compile(
    r"(?P<strong>['\"]?\s*(?:[:=]|[=-]>)\s*(?:\d+\s*/\s*\d+\s*\(\s*)?|\s*\d+\s*/\s*\d+\s*\(\s*)\Z"
    r"|\s+(?:is\s+|was\s+)?\Z"
)
_CUT = re.compile(
    r"[|;,\t{}\[\]]|\s[-–—/]+\s|\s{2,}|[:=]\s*|(?:^|(?<=\s))\(|\)(?=\s)"
    r"|(?<![Vv]al)(?<!VAL)(?<![Vv]alid)(?<![Aa]vg)[.!]\s"  # but not in "Val. loss"
)
_HEADING = re.compile(
    rf"(?:^|[]|,;\[({{>–-]|\s{{2}})\W*(?:(?:final|best)\s+)?(?P<split>{'|'.join(SPLIT_WORDS)})\b"
    r"(?=['\"]?\s*(?:set|phase|results?|metrics|[:\])|>–-]|\Z))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Place:
    """A position in the training: `kind` is ``epoch``, ``step``, ``batch`` or ``count``."""

    kind: str
    value: float
    total: int | None
    span: tuple[int, int]
    label: str
    slash: str


@dataclass(frozen=True)
class Pair:
    """A metric: our name, the text of its value, and where name and value are.

    Attributes:
        is_known: False if the name says nothing, but is written like one.
    """

    name: str
    value: str
    start: int
    span: tuple[int, int]
    is_known: bool


@dataclass(frozen=True)
class Printed:
    """What one line shows."""

    places: tuple[Place, ...]
    pairs: tuple[Pair, ...]


def read_line(text: str, options: Collection[str] = ()) -> Printed:
    """Return the steps and metrics in a line; the program's `options` are no metrics."""
    if len(text) > LONGEST:
        return Printed((), ())
    coco = _COCO.search(text)
    if coco is not None or "@[ IoU=" in text:
        return Printed((), (_coco(coco),) if coco is not None else ())
    original, text = text, text.translate(_WIDE)
    places = _places(text, original)
    taken = [place.span for place in places]
    fractions = [found.span() for found in _FRACTION.finditer(text)]
    tokens: list[tuple[int, int, bool]] = [(*span, True) for span in taken]
    for found in _NUMBER.finditer(text):
        if not any(start < found.end() and found.start() < end for start, end in taken + fractions):
            tokens.append((*found.span(), False))
    pairs: list[Pair] = []
    context = split = ""
    begin = 0
    for start, end, is_place in sorted(tokens):
        label = text[begin:start]
        if is_place:
            context, begin = _heading(label) or context, end
            continue
        made = _named(label, text[start:end], text[end:], options)
        if made is None:
            continue
        name, offset, heading, is_known = made
        context = heading or context
        if name == "test":  # CatBoost: "learn: 0.69  test: 0.68"
            if not any(pair.name == "train_loss" for pair in pairs):
                continue
            name = "val_loss"
        own = next((each for each in SPLITS if name.startswith(f"{each}_")), "")
        names = {pair.name for pair in pairs}
        if not own and (context or name in names):
            name = f"{context or split}_{name}"
        split, begin = own or split, end
        if name not in names and name.isidentifier():
            pairs.append(Pair(name, text[start:end], start - offset, (start, end), is_known))
    return Printed(tuple(places), tuple(pairs))


def _coco(found: re.Match[str]) -> Pair:
    name = {"AP": "map", "AR": "mar"}[found["kind"]] + ("" if found["to"] else "_50")
    return Pair(name, found["value"], found.start(), found.span("value"), True)


def _places(text: str, original: str) -> list[Place]:
    found = []
    for match in _PLACE.finditer(text):
        kind = "epoch" if match["epoch"] else "step" if match["step"] else "batch"
        found.append(_place(kind, match, original))
    count = _COUNT.match(text)
    if count is not None and not any(place.span[0] < count.end() for place in found):
        found.insert(0, _place("count", count, original))
    return found


def _place(kind: str, match: re.Match[str], original: str) -> Place:
    total = int(match["total"]) if match["total"] else None
    label, slash = (original[slice(*match.span(part))] for part in ("label", "slash"))
    span = match.start("label"), match.end()
    return Place(
        kind, float(match["value"].replace(",", "")), total, span, label, slash if total else ""
    )


def _heading(text: str) -> str:
    """Return the split that the text before some metrics names, as in ``Test set:``."""
    found = [match["split"].lower() for match in _HEADING.finditer(text)]
    return SPLIT_WORDS[found[-1]] if found else ""


def _named(
    label: str, value: str, after: str, options: Collection[str]
) -> tuple[str, int, str, bool] | None:
    """Return the name of a number, its distance before it, its heading and if it is known."""
    sign = _SIGN.search(label)
    if sign is None:
        return None
    body = label[: sign.start()]
    cuts = [match.end() for match in _CUT.finditer(body)]
    start = cuts[-1] if cuts else 0
    start += len(body[start:]) - len(body[start:].lstrip(" '\"*->#(<"))
    is_strong = sign["strong"] is not None
    is_whole = re.fullmatch(r"[-+]?[\d,]+", value) is not None
    behind = re.match(r"\s+([a-zA-Z]\w*)", after)
    if is_whole and not is_strong and behind is not None and not _is_metric(behind[1].lower()):
        return None  # "map 20 classes", but "HD95 9 ASD 2"
    name, first = _name(body[start:], is_strong)
    is_known = name is not None
    if name is None and is_strong and not is_whole and not re.match(r"\s*[a-zA-Z/]+\b", after):
        name, first = _unknown_name(body[start:], options), 0
    elif name in SPLITS:
        is_test = name == "test"
        name = None if is_whole else name if is_test else f"{name}_loss"  # "Train: 0.19 | Val: 0.2"
    if name is None:
        return None
    return name, len(label) - start - first, _heading(body[:start]), is_known


def _words(text: str) -> list[tuple[str, int]]:
    found = []
    for match in re.finditer(r"[^\W_]+", _POSSESSIVE.sub("  ", text)):
        if not match[0].isascii() or _FOREIGN_WORD.match(match[0].lower()):
            parts = list(_FOREIGN_WORD.finditer(match[0].lower()))
            found += [(_FOREIGN[part[0]], match.start() + part.start()) for part in parts]
            continue
        cuts = [0, *(cut.start() for cut in CAMEL.finditer(match[0])), len(match[0])]
        found += [
            (match[0][begin:end].lower(), match.start() + begin) for begin, end in pairwise(cuts)
        ]
    for place in range(len(found) - 1, 0, -1):  # "Top-1" is one word
        if found[place - 1][0] == "top" and found[place][0].isdecimal():
            number = found.pop(place)[0]
            found[place - 1] = f"top{number}", found[place - 1][1]
    return found


def _is_other(phrase: str, plain: Collection[str]) -> bool:
    return is_state(phrase) or not _SETTINGS.isdisjoint(plain)


@lru_cache(maxsize=4096)  # a program prints the same words again and again
def _is_metric(word: str) -> bool:
    return word in METRIC_WORDS or (word not in _ENGLISH and named_goal(word) is not None)


def _name(phrase: str, is_strong: bool) -> tuple[str | None, int]:
    """Return our name for the text before a number, and where it begins in the text.

    None is returned if the text names no metric; a split alone is returned as it is.
    """
    words = _words(phrase)
    plain = [word for word, _ in words]
    if not plain or _is_other(phrase, plain):
        return None, 0
    if len(plain) == 1 and plain[0] in SPLIT_WORDS:
        return SPLIT_WORDS[plain[0]], words[0][1]
    at = [place for place, word in enumerate(plain) if _is_metric(word)]
    if at and plain[at[-1]] == "per" and len(plain) > at[-1] + 1:
        at.pop()  # "samples per second"
    after = plain[at[-1] + 1 :] if at else []
    is_last = all(w in SPLIT_WORDS or w in _FILLERS for w in after) or bool(_AT.search(phrase))
    if not at or not (is_strong or is_last or plain[-1] == "rate"):
        return None, 0
    first = at[0]
    is_one_word = " " not in phrase.strip()
    is_short = is_strong and len(plain) <= 4
    while first > 0 and (
        is_one_word
        or plain[first - 1] in _QUALIFIERS
        or plain[first - 1] in SPLIT_WORDS
        or (is_short and plain[first - 1].isalpha())
    ):
        first -= 1
    kept = []
    for place, word in enumerate(plain[first:], first):
        if place > at[-1] and word in _FILLERS and not is_one_word:
            break
        if word not in SPLIT_WORDS and (is_one_word or word not in _FILLERS):
            kept.append(word)
    split = next((SPLIT_WORDS[word] for word in plain if word in SPLIT_WORDS), None)
    return "_".join([split, *kept] if split else kept), words[first][1]


def _unknown_name(phrase: str, options: Collection[str]) -> str | None:
    """Return the name of a number that is written as a metric is, though it is none we know."""
    plain = [word for word, _ in _words(phrase)]
    name = "_".join(plain)
    if not 1 <= len(plain) <= 3 or _is_other(phrase, plain) or not plain[0].isalpha():
        return None
    known = {re.sub(r"[^a-z0-9]+", "_", option.lower()) for option in options}
    return None if name in known or len(name) < 2 else name
