from .seeds import MEAN_OF as MEAN_OF
