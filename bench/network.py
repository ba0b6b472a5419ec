"""The rows of bench/compare that need a server: what a request costs it, by its own CPU time.

Server and client have a core each, and servers take turns. Speeds are not compared: the client
decides them."""
import os
import pathlib
import subprocess
import tempfile
import time

SERVER_CPU, CLIENT_CPU = 0, 1
SECONDS = "1.5"


def on(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


class Server:
    """A process that says 'listening on ADDRESS:PORT' and ends on SIGTERM."""

    def __init__(self, command, wrapped_by=()):
        self.process = subprocess.Popen([*wrapped_by, *map(str, command)], stdout=subprocess.PIPE, text=True,
                                        preexec_fn=on(SERVER_CPU))
        line = self.process.stdout.readline()
        if "listening on" not in line:
            self.process.kill()
            raise RuntimeError(f"{command[0]} did not listen; it said: {line.strip() or 'nothing'}")
        self.port = line.rsplit(":", 1)[1].strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def cpu(self):
        """(all, in user mode) in seconds: the scheduler's sum, shared out by what its ticks saw."""
        folder = pathlib.Path(f"/proc/{self.process.pid}")
        ran = sum(int((t / "schedstat").read_text().split()[0]) for t in (folder / "task").iterdir()) * 1e-9
        ticks = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        return ran, int(ticks[11]), int(ticks[12])


def load(program, server, *how):
    done = subprocess.run([program, "--port", server.port, *map(str, how)], capture_output=True, text=True,
                          preexec_fn=on(CLIENT_CPU))
    said = dict(word.split("=", 1) for word in done.stdout.split())
    if done.returncode != 0 or said.get("errors") != "0":
        raise RuntimeError(f"the client had errors: {(done.stderr or done.stdout).strip()}")
    return said


def measure(client, command, connections, size):
    """Of one request, in microseconds: user, cpu; and the client's p99."""
    with Server(command) as server:
        how = ("--connections", connections, "--size", size)
        load(client, server, *how, "--seconds", "0.2")
        before = server.cpu()
        said = load(client, server, *how, "--seconds", SECONDS)
        after = server.cpu()
    requests = int(said["round_trips"])
    ran, user, kernel = (b - a for a, b in zip(before, after))
    return {"user": ran * user / max(1, user + kernel) / requests * 1e6, "cpu": ran / requests * 1e6,
            "p99": float(said["p99_us"])}


def calls(client, command, connections, size):
    """System calls a request: the difference of a long and a short run, so that start and end are in neither."""
    def count(round_trips):
        with tempfile.NamedTemporaryFile("r") as file:
            with Server(command, ("strace", "-f", "-c", "-U", "calls,name", "-o", file.name)) as server:
                load(client, server, "--connections", connections, "--size", size, "--round-trips", round_trips)
                # strace passes no signal on: its child is asked to end.
                children = pathlib.Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
                for child in children.read_text().split():
                    os.kill(int(child), 15)
                server.process.wait(10)
            time.sleep(0.05)
            rows = [line.split() for line in file]
        return next(int(r[0]) for r in rows if r and r[-1] == "total")

    few, more = 20 * connections, 220 * connections
    return (count(more) - count(few)) / (more - few)
