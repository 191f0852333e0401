"""A collector of traces in the test's process: OTLP over HTTP, as any other would take it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["Collector", "Span"]


@dataclass(frozen=True)
class Span:
    """One span."""

    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str]
    #: Which process: `ingress`, `session`, `webhooks` …
    part: str
    seconds: float


@dataclass
class Collector:
    """What came in."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)

    def of(self, trace: str) -> list[Span]:
        return [span for span in list(self.spans) if span.trace == trace]

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                for one in scope.spans:
                    self.spans.append(
                        Span(
                            name=one.name,
                            trace=one.trace_id.hex(),
                            id=one.span_id.hex(),
                            parent=one.parent_span_id.hex(),
                            attributes={
                                a.key: a.value.string_value or str(a.value.int_value)
                                for a in one.attributes
                            },
                            part=about.get("service.instance.part", ""),
                            seconds=(one.end_time_unix_nano - one.start_time_unix_nano) / 1e9,
                        )
                    )

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Collector]:
        one = cls()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                one.take(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        one.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield one
        finally:
            server.shutdown()
