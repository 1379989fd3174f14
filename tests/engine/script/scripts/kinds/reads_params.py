"""Read everything from params.toml, and take no arguments."""

import tomllib

with open("params.toml", "rb") as stream:
    params = tomllib.load(stream)
print(f"lr={params['optim']['lr']} width={params['model']['width']}")
with open("result.txt", "w") as stream:
    stream.write(str(params["optim"]["lr"]))
