from .parse import LenientError as LenientError, read_yaml as read_yaml
