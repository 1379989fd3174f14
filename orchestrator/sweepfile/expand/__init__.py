"""From a spec to the configs of its trials, in starting order."""
