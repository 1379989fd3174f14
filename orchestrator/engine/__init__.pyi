from .remedies import (
    add_resumed as add_resumed,
    times_before as times_before,
    values_of as values_of,
)
