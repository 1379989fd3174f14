"""Which way a metric is better, read from its name: the one table that everything uses.

Names are compared as words: case, separators and CamelCase do not matter (``Val/mAP50``,
``val_map_50``). A loss or an error wins over a score (``ssim_loss`` is a loss), and a leading
``neg`` reverses what follows (``neg_log_likelihood``, scikit-learn's ``neg_mean_squared_error``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

from orchestrator.files.series_names import SPLIT_WORDS

Goal = Literal["minimize", "maximize"]

_LOWER: Final = (
    # losses and errors
    r"\w*loss(?:es)?|objective loss|\w*errors?|err|residuals?|mistakes|misses|fail(?:ure)?s?",
    r"\w*[mrs]?mse|mae|nmae|\w*rmse|s?mape|mase|msle|rmsle|wape|medae|mdape|rmspe|sse|rss|mad",
    r"misclassification|inaccuracy|undefined|violations?|penalty|regret|costs?",
    r"false (?:pos\w*|neg\w*|alarm\w*|accept\w*|reject\w*|discovery\w*)|fpr|fnr|fdr|far|frr",
    # probabilities
    r"nll|nlpd|deviance|cross entropy|crossentropy|xent|b?ce|kl|kld|kl div|jsd|divergence",
    r"perplexity|ppl|bpc|bpb|bpd|bits per \w+|brier|ece|mce|crps|pinball|[aw]ic|bic|waic",
    # distances
    r"distances?|wasserstein|emd|chamfer|hausdorff|hd\d*|ass?d|epe|mpjpe|rpe|abs rel|sq rel",
    r"fid|kid|fvd|fad|mmd|swd|lpips|davies\w*|inertia|stress",
    # speech and text, where PER ends a name (in "per_class_acc" it is the word)
    r"wer|cer|mer|ter|der|eer|wil|edit|levenshtein|min ?dcf|mean rank|id switches|latency",
)
_HIGHER: Final = (
    # classification
    r"\w*acc(?:uracy|uracies)?\d*|top ?\d+|correct|exact(?: match| rate)?|em|(?:balanced )?ba",
    r"precision|prec\d*|recall|sensitivity|specificity|[tr]pr|tnr|ppv|npv|true (?:pos|neg)\w*",
    r"\w*f1\w*|f ?(?:beta|2|05|score|measure)|\w*au(?:c|roc|prc?)\d*|roc|gini|lift",
    r"kappa|qwk|mcc|matthews\w*|informedness|youden\w*|g ?mean|c ?index|concordance|agreement",
    # detection and segmentation
    r"\w*m?ap\d*|aps|apm|apl|ap(?:50|75)\w?|ar\d+|\w*iou\d*|dice|dsc|jaccard|[psr]q|pck\w*",
    r"hota|mota|motp|amota|idf1|nds|oks|delta ?[123]|fitness",
    # images and sound
    r"\w*psnr|\w*ssim\w*|\w*snr|\w*sdr|\w*sdri|enl|epi|vif|fsim|uqi|vmaf|pesq|e?stoi|\w*mos",
    # text, search and language models
    r"\w*bleu\d*|rouge\w*|meteor|chrf\w*|cider\w*|spice|spider|\w*bert ?score|bleurt|comet",
    r"n?dcg\d*|mrr\d*|hits?|hit rat\w+|hr \d+|[pr] \d+|pass (?:rate|at|\d+)\w*|mmlu|gsm8k|helm",
    # regression, correlation and clustering
    r"r2|r ?squared|adj r2|explained variance|evs|nse|kge|corr\w*|\w*correlation|\w*corrcoef",
    r"pearson\w*|spearman\w*|kendall\w*|ccc|plcc|sr?o?cc|\w*similarity|cos sim|h ?mean",
    r"ari|nmi|ami|v measure|homogeneity|completeness|silhouette|calinski\w*|purity|rand index",
    # likelihoods and returns
    r"elbo|elpd|\w*likelihood|evidence|log ?lik\w*|log ?probs?|ll|mll|rew|\w*rewards?|returns?",
    r"ep ret|succ\w*|solved?\w*|win ?(?:rates?|ratio)?|wins|elo|utility|profit|sharpe|gain",
    r"\w*scores?|hypervolume|quality|validity|uniqueness|throughput|fps|mfu|tflops",
    r"(?:\w+ per|it|iter|iters|samples|tokens|images|steps) (?:s|sec|second)",
)
_SPEED: Final = re.compile(r" per (?:s|sec|second)\b")
_IS_LOWER: Final = re.compile(rf"\b(?:{'|'.join(_LOWER)})\b|\bper$")
_IS_HIGHER: Final = re.compile(rf"\b(?:{'|'.join(_HIGHER)})\b")
_BEFORE: Final = re.compile(
    rf"^(?:(?:{'|'.join(SPLIT_WORDS)}|best|final|mean|avg|average|metrics?) )+(?=\w)"
)
_NEGATED: Final = re.compile(r"^(?:neg|negative|minus|one minus|1) (?=\w)")


@lru_cache(maxsize=4096)
def named_goal(name: str) -> Goal | None:
    """Return which way a metric of that name is better; None if the name does not show it."""
    # "meanIoU" is read as "meaniou" and as "mean io u", "successRate" as "success rate".
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", name) if part]
    joined = " ".join(parts).lower()
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})", " ", " ".join(parts)).lower()
    for text in dict.fromkeys((joined, split)):
        bare = _BEFORE.sub("", text)
        rest = _NEGATED.sub("", bare)
        found = _direction(rest)
        if found is None:
            continue
        if rest != bare:
            return "minimize" if found == "maximize" else "maximize"
        return found
    return None


def _direction(words: str) -> Goal | None:
    if _IS_LOWER.search(words) and not _SPEED.search(words):
        return "minimize"
    return "maximize" if _IS_HIGHER.search(words) else None
