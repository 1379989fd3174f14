from .leases import Leases as Leases
