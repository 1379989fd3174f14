"""Several hosts on this machine: network namespaces with own addresses, joined by a bridge.

Each host has its own name, and its own file system for what it shall not share. Needs root.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parents[4]

_LETTERS = cycle("abcdefghijklmnopqrstuvwxyz")


def why_not() -> str:
    """Return why there can be no such hosts here; "" if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "needs ip (iproute2) and unshare (util-linux)"
    tried = subprocess.run(["unshare", "-n", "-m", "-u", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this machine allows no namespaces"


class Hosts:
    """A Ray cluster of hosts ``h0`` (the head), ``h1`` and so on; `close` ends it.

    Args:
        cores: of each host.
        private: a folder that is different on each host but the first.
        environ: environment of all processes, added to this one's.
    """

    def __init__(
        self,
        cores: Sequence[int],
        private: Path | None = None,
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        # What was closed before may take a while to vanish.
        self._tag = f"s{os.getpid() % 100_000}{next(_LETTERS)}"
        self._private = private
        self._net = f"10.{77 + os.getpid() % 100}.0"
        self.address = f"{self._net}.1:6379"
        Path("/tmp/ray").mkdir(exist_ok=True)
        self._disks = Path(tempfile.mkdtemp(prefix="hosts-"))
        self._token = secrets.token_hex(32)
        self._environ = dict(environ)
        self._raylets: list[subprocess.Popen[bytes]] = []
        self._cores: list[int] = []
        self._ip("link", "add", self._tag, "type", "bridge")
        self._ip("link", "set", self._tag, "up")
        for count in cores:
            self.add(count)

    def add(self, cores: int) -> int:
        """Start another host, and return its number."""
        number = len(self._cores)
        self._cores.append(cores)
        name, here, there = self._name(number), f"{self._tag}v{number}", "eth0"
        self._ip("netns", "add", name)
        self._ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        self._ip("link", "set", here, "master", self._tag, "up")
        inside = ("netns", "exec", name, "ip")
        self._ip(*inside, "addr", "add", f"{self._net}.{number + 1}/24", "dev", there)
        self._ip(*inside, "link", "set", there, "up")
        self._ip(*inside, "link", "set", "lo", "up")
        self.boot(number)
        return number

    def boot(self, number: int) -> None:
        """Start Ray on a host."""
        role = ["--head", "--port=6379"] if number == 0 else [f"--address={self.address}"]
        self._raylets.append(
            self.start(
                number,
                [
                    *("ray", "start", *role, f"--node-ip-address={self._net}.{number + 1}"),
                    *(f"--num-cpus={self._cores[number]}", "--block", "--disable-usage-stats"),
                    *(["--include-dashboard=false"] if number == 0 else []),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def start(
        self, number: int, command: Sequence[str], **options: object
    ) -> subprocess.Popen[bytes]:
        """Start a command on a host, in a session of its own."""
        own = self._disks / f"h{number}"
        for name in ("ray", "private"):
            (own / name).mkdir(parents=True, exist_ok=True)
        script = f"hostname h{number}; mount --bind {own}/ray /tmp/ray; "
        if self._private is not None and number > 0:
            script += f"mount --bind {own}/private {self._private}; "
        return subprocess.Popen(
            [
                *("ip", "netns", "exec", self._name(number), "unshare", "-m", "-u"),
                *("sh", "-c", script + 'exec "$@"', "sh", *command),
            ],
            env={
                **{name: value for name, value in os.environ.items() if name[:4] != "RAY_"},
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN": self._token,
                **self._environ,
            },
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **options,
        )

    def wait(self, count: int, timeout_s: float) -> None:
        """Wait until as many hosts have joined."""
        alive = "sum(node['Alive'] for node in ray.nodes())"
        self._ask(f"while {alive} < {count}: time.sleep(0.2)", timeout_s)

    def drain(self, number: int) -> None:
        """Announce to Ray that a host is about to leave the cluster."""
        self.run(
            *("ray", "drain-node", f"--address={self.address}", "--reason-message=maintenance"),
            "--reason=DRAIN_NODE_REASON_PREEMPTION",
            number=number,
            timeout_s=30,
        )

    def run(self, *command: str, timeout_s: float, cwd: Path | None = None, number: int = 0) -> str:
        """Run a command on a host to its end, and return what it printed."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "cwd": cwd}
        process = self.start(number, command, **options)
        output = process.communicate(timeout=timeout_s)[0].decode()
        assert process.returncode == 0, output
        return output

    def cut(self, number: int) -> None:
        """Disconnect a host; nothing there ends."""
        self._ip("link", "set", f"{self._tag}v{number}", "down")

    def heal(self, number: int) -> None:
        """Connect a host again."""
        self._ip("link", "set", f"{self._tag}v{number}", "up")

    def kill(self, number: int, signal: str = "KILL", but: int = 0) -> None:
        """Send a signal to all processes of a host; KILL is what a power cut does.

        Args:
            but: leader of a session that is left out.
        """
        found = subprocess.run(
            ["ip", "netns", "pids", self._name(number)], capture_output=True, text=True, check=True
        )
        pids = [pid for pid in map(int, found.stdout.split()) if _session(pid) != but]
        subprocess.run(["kill", f"-{signal}", *map(str, pids)], capture_output=True, check=False)

    def close(self) -> None:
        """End all hosts."""
        for number in range(len(self._cores)):
            self.kill(number)
        for raylet in self._raylets:
            raylet.wait(20)
        for number in range(len(self._cores)):
            self._ip("netns", "delete", self._name(number))
        self._ip("link", "delete", self._tag)
        shutil.rmtree(self._disks, ignore_errors=True)

    def _ask(self, code: str, timeout_s: float) -> str:
        """Run Python code on the head with Ray joined, and return what it printed."""
        begin = f"import ray, time; ray.init(address={self.address!r}, log_to_driver=False)\n"
        return self.run(sys.executable, "-c", begin + code, timeout_s=timeout_s)

    def _name(self, number: int) -> str:
        return f"{self._tag}h{number}"

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1
