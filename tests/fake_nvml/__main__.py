"""Run a command as if this machine had such GPUs, to see what it would say and do.

::

    python -m tests.fake_nvml 24GB -- sweep gpu --need 8GB --trials 3
    python -m tests.fake_nvml 24GB/9GB:"RTX 3090" 16GB -- sweep plan sweeps/edc_weights.yaml
    python -m tests.fake_nvml 24GB --then 5:0:7GB --then 30:0:24GB -- sweep run trial.yaml

A card is ``TOTAL[/FREE][:NAME]``. What is not free is held by a process of somebody else; what
`played.py` beside this file takes, which a sweep file may name as its program, is counted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest import SkipTest

from orchestrator.files.units import parse_size, to_mib
from tests.fake_nvml import Card, FakeNvml, Held, Instance, build

STRANGER = 4711


def size(text: str) -> int:
    """Return MiB; 0 needs no unit."""
    return 0 if text == "0" else to_mib(parse_size(text))


def card_of(text: str) -> Card:
    """Return the card that a word of the command line describes."""
    sizes, _, name = text.partition(":")
    total, _, free = sizes.partition("/")
    total_mib = size(total)
    free_mib = size(free) if free else total_mib
    return freed(Card(total_mib, name=name or "NVIDIA Test Card"), free_mib)


def freed(card: Card, free_mib: int) -> Card:
    """Return a card of which so much is free and a stranger holds the rest."""
    held = card.total_mib - free_mib
    theirs = [Held(STRANGER, held)] if held else []
    return replace(card, free_mib=free_mib, processes=theirs)


def divided(card: Card, parts: int) -> Card:
    """Return a card that is divided into equal MIG instances."""
    each = card.total_mib // parts
    names = [f"MIG-{n}aaaaaaa-1111-2222-3333-444444444444" for n in range(parts)]
    found = [Instance(uuid, each, name=f"{card.name} MIG {each // 1024}g") for uuid in names]
    return replace(card, instances=found)


def play(nvml: FakeNvml, cards: list[Card], changes: Sequence[tuple[float, int, int]]) -> None:
    """Let the free memory of cards change after so many seconds, without waiting for it."""
    for seconds, index, free_mib in changes:

        def change(index: int = index, free_mib: int = free_mib) -> None:
            cards[index] = freed(cards[index], free_mib)
            nvml.write(cards)

        timer = threading.Timer(seconds, change)
        timer.daemon = True
        timer.start()


def main(words: Sequence[str]) -> int:
    """Run the command behind ``--`` and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fake_nvml",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cards", nargs="*", metavar="CARD", help="TOTAL[/FREE][:NAME]")
    parser.add_argument("--mig", type=int, metavar="N", help="divide each card into N instances")
    parser.add_argument(
        "--then",
        action="append",
        default=[],
        metavar="SECONDS:CARD:FREE",
        help="after so many seconds so much is free on the card at that index; repeatable",
    )
    split = list(words).index("--") if "--" in words else len(words)
    options, command = parser.parse_args(words[:split]), list(words[split + 1 :])
    if not command:
        parser.error("give the command to run behind --")
    changes = []
    try:
        cards = [card_of(text) for text in options.cards]
        for text in options.then:
            seconds, index, free = text.split(":")
            changes.append((float(seconds), int(index), size(free)))
    except ValueError as error:
        parser.error(str(error))
    if options.mig:
        cards = [divided(card, options.mig) for card in cards]
    with tempfile.TemporaryDirectory() as folder:
        try:
            nvml = build(Path(folder))
        except SkipTest as reason:
            parser.error(str(reason))
        nvml.write(cards)
        play(nvml, cards, changes)
        env = nvml.env(USES=str(nvml.uses), SWEEP_LEASES=os.path.join(folder, "leases"))
        with subprocess.Popen(command, env=env) as running:
            while True:
                try:
                    return running.wait()
                except KeyboardInterrupt:
                    continue  # the command got it too, and ends in its own way


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
