from .series_names import (
    Rank as Rank,
    best_training_name as best_training_name,
    is_rate as is_rate,
    is_validation as is_validation,
    training_rank as training_rank,
)
