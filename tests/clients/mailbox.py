"""A webhook for every tenant: takes events by POST, and shows by GET of the same path what came."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "whsec_bm90IGEgc2VjcmV0LCBvbmx5IGEgdGVzdA=="


@contextmanager
def mailbox():
    """Runs it for the length of a `with`, and yields its root URL."""
    came = {}
    lock = threading.Lock()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            with lock:
                came.setdefault(self.path, []).append({"headers": {k.lower(): v for k, v in self.headers.items()}, "body": body})
            self.answer(b"")

        def do_GET(self):
            with lock:
                self.answer(json.dumps(came.get(self.path, [])).encode())

        def answer(self, body):
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
