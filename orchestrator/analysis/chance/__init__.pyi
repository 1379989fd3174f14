from .best import against_the_best as against_the_best
from .confidence import Estimate as Estimate, estimate as estimate
from .power import (
    SeedNoise as SeedNoise,
    resolution as resolution,
    seed_noise as seed_noise,
)
from .replicates import Replicates as Replicates, between_means as between_means
from .samples import SampledRun as SampledRun
from .student import LEVEL as LEVEL, holm as holm
