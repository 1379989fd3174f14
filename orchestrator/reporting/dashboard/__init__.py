"""The live page: the report of a sweep while it runs, for a browser on this machine.

In: a folder of results. Out: pages on 127.0.0.1 that show what changes as it changes. Nothing is
written but stop requests, so ending the server at any time harms no sweep. Starlette and uvicorn
are loaded only when a server starts.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
