from .other_tools import LenientError as LenientError, read_yaml as read_yaml
