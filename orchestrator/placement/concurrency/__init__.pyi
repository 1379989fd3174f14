from .number_search import (
    Measurement as Measurement,
    Pays as Pays,
    SearchDown as SearchDown,
    SearchUp as SearchUp,
)
from .throughput import Window as Window
