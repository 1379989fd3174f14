from .noise import (
    between_runs as between_runs,
    between_seeds as between_seeds,
)
