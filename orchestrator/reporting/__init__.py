"""Reports: one HTML page of a comparison, with plots.

In: folders with runs, of our sweeps or of other tools. Out: a page that needs no network, and its
figures for notebooks. Plotly and Jinja are loaded only when something is drawn.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
