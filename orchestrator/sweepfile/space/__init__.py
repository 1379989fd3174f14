"""Search space: domains, grids, quantiles and sampler options."""
