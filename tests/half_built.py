"""A server that somebody stopped writing half way, for tests of what must then not happen."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HalfBuilt(BaseHTTPRequestHandler):
    """Knows buckets and objects by path alone: a sub-resource is not looked at, but for ?policy, which is refused."""

    protocol_version = "HTTP/1.1"
    buckets = None

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def handle_one(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        bucket, _, name = path[1:].partition("/")
        if query.startswith("policy"):
            return self.answer(501, b"<Error><Code>NotImplemented</Code></Error>")
        if not name and self.command == "PUT":
            self.buckets.add(bucket)
            return self.answer(200)
        if bucket not in self.buckets:
            return self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        if not name and self.command == "DELETE":
            self.buckets.discard(bucket)
            return self.answer(204)
        return self.answer(200, b"" if name else b"<ListBucketResult></ListBucketResult>")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one  # noqa: N815 - the names that the library calls

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def half_built_server(port=0):
    """One on a free port, or on this; yields the port and the names of its buckets, one of which is somebody else's."""
    buckets = {"precious"}
    handler = type("Handler", (HalfBuilt,), {"buckets": buckets})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port, buckets
    finally:
        server.shutdown()
        server.server_close()
