"""Run attempts on the nodes of a Ray cluster that runs already.

The driver plans and judges as on one machine. On each node an `Agent`, an actor of Ray, reads the
hardware, starts children with the node's own forkserver, supervises them and passes on their
messages. Tune is not in between: one trial of Tune for each slot would pass its messages one by
one, and a cluster has too many of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
