from .all_figures import draw as draw
from .drawing import Drawing as Drawing, is_number as is_number
from .style import COLORS as COLORS, style_of as style_of
