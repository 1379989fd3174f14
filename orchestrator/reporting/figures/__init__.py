"""Figures: turn the runs of a report into Plotly figures.

In: a `Report`. Out: `Drawing`s, in the order of the page. One run has one color and one dash in
every figure.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
