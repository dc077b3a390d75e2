"""How many requests a second a remote model gets, against what latency and concurrency allow.

    python benchmarks/remote.py --concurrency 8 --concurrency 32

A stub server in a process of its own answers each request after a fixed latency. The requests go the whole way: the
core, its cache on disk, the client. Printed are one JSON object a line, and a Markdown table.
"""

from __future__ import annotations

import asyncio
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from harness.contracts import RunContext
from harness.engine.core import ModelCore
from harness.progress import NoProgress
from harness.references import resolve_model
from harness.store.cache import Cache
from harness.types import Candidate, Completion, Decoding, Generate, Message
from harness_models import make_openai

BODY = json.dumps(
    {
        "choices": [{"message": {"content": "a short answer"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 3},
    }
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY


class Stub(asyncio.Protocol):
    """Just enough HTTP/1.1 to answer POST after a while, at little cost, so that it is not what is measured."""

    latency = 0.05

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        self.transport = transport
        self.read = b""

    def data_received(self, data: bytes) -> None:
        """Answer each whole request after the latency."""
        self.read += data
        while (end := self.read.find(b"\r\n\r\n")) >= 0:
            head = self.read[:end].lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            if len(self.read) < end + 4 + length:
                return
            self.read = self.read[end + 4 + length :]
            asyncio.get_running_loop().call_later(self.latency, self.transport.write, ANSWER)


async def serve(latency: float) -> None:
    """Serve on a free port of this machine, whose number is printed."""
    Stub.latency = latency
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def measure(port: int, concurrency: int, requests: int, folder: Path) -> float:
    """Return the seconds that so many distinct requests take."""
    spec = resolve_model(f"openai:stub@http://127.0.0.1:{port}/v1", schemes=["openai"])
    model = make_openai(spec, RunContext(weights=folder, concurrency=concurrency))
    asked = [
        Generate(messages=(Message(role="user", content=f"question {number} " * 20),), decoding=Decoding())
        for number in range(requests)
    ]
    begin = time.perf_counter()
    with Cache(folder / f"cache-{concurrency}.db") as cache:
        replies = ModelCore(model, cache, NoProgress()).answer(Candidate(model=spec), asked, label="remote")
    seconds = time.perf_counter() - begin
    model.close()
    assert all(isinstance(reply, Completion) for reply in replies)
    return seconds


@click.command()
@click.option("--concurrency", "levels", type=int, multiple=True, default=(8, 32), show_default=True)
@click.option("--latency", type=float, default=0.05, show_default=True, help="Of the stub server, in seconds.")
@click.option("--seconds", type=float, default=10.0, show_default=True, help="That each level should take.")
@click.option("--serve", "serving", is_flag=True, hidden=True)
def main(levels: tuple[int, ...], latency: float, seconds: float, *, serving: bool) -> None:
    """Measure each level of concurrency."""
    if serving:
        asyncio.run(serve(latency))
        return
    command = [sys.executable, __file__, "--serve", "--latency", str(latency)]
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stub,
    ):
        try:
            assert stub.stdout is not None
            port = int(stub.stdout.readline())
            for concurrency in levels:
                most = concurrency / latency
                requests = int(most * seconds)
                took = measure(port, concurrency, requests, Path(folder))
                row = {
                    "concurrency": concurrency, "latency_ms": latency * 1000, "requests": requests,
                    "requests_per_second": round(requests / took, 1), "at_most": round(most, 1),
                    "share": round(requests / took / most, 3), "machine": platform.processor() or platform.machine(),
                    "python": platform.python_version(),
                }  # fmt: skip
                rows.append(row)
                print(json.dumps(row), flush=True)
        finally:
            stub.terminate()
    print("\n| at once | latency | requests/s | concurrency / latency | share |\n|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['concurrency']} | {row['latency_ms']:.0f} ms | {row['requests_per_second']} | {row['at_most']} "
            f"| {row['share']:.1%} |"
        )


if __name__ == "__main__":
    main()
