from .machine import SlotOptions as SlotOptions
from .trial_needs import known_need as known_need
