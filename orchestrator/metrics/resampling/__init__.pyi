from .choices import resampled as resampled
from .per_sample import (
    Resampled as Resampled,
    Sums as Sums,
    Weighted as Weighted,
    mean_of as mean_of,
)
