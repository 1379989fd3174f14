"""Takes no arguments: the environment sets its parameters, and a progress bar shows its metrics."""

import os
import sys

lr = float(os.environ["LR"])
for epoch in (1, 2):
    for batch in range(3):
        sys.stderr.write(
            f"\r\x1b[32mepoch {epoch}/2\x1b[0m batch {batch} loss {1 / (batch + 1):.3f}"
        )
    sys.stderr.write(
        f"\r\x1b[32mepoch {epoch}/2\x1b[0m val_mae {abs(lr - 0.01) / epoch:.4f}\x1b[K\n"
    )
