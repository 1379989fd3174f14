from .search_down import Pays as Pays, SearchDown as SearchDown
from .search_up import Measurement as Measurement, SearchUp as SearchUp
from .throughput import Window as Window
