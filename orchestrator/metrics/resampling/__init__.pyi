from .choices import resampled as resampled
from .per_sample import (
    Called as Called,
    Ratio as Ratio,
    Resampled as Resampled,
    Sums as Sums,
    Weighted as Weighted,
    mean_of as mean_of,
)
