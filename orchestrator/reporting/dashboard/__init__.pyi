from .own_process import beside_run as beside_run
from .server import address as address, listen as listen, serve as serve
