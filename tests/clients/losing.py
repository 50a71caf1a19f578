"""A line to the gateway that loses answers: a TCP proxy that cuts some of the requests it carries.

Whether a request is cut, and whether before the gateway has answered it or after, is decided by a seeded
lot. The gateway has read the request whole in either case, so whatever it was to pay for is paid for.
"""

import random
import socket
import socketserver
import struct
import threading
from contextlib import contextmanager

# Longer than the simulator takes, so that an answer is cut and not only a wait.
CUT_WHILE_WORKING_AFTER_S = 0.005


def read_request(connection):
    """The bytes of one request whose length is told, or nothing if the client is gone."""
    read = b""
    while b"\r\n\r\n" not in read:
        more = connection.recv(65536)
        if not more:
            return b""
        read += more
    head, _, body = read.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            return b""
        body += more
    # One exchange for each connection: what comes back is then over when the gateway closes.
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"connection: close"]) + b"\r\n\r\n" + body


def reset(connection):
    """Closes a connection so that the other side sees it torn."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextmanager
def losing_line(port, share, seed):
    """Runs the proxy to a local port for the length of a `with`; yields its port and a tally of what it did."""
    lots, lock = random.Random(seed), threading.Lock()
    tally = {"carried": 0, "cut after the answer": 0, "cut before the answer": 0}

    def fate():
        with lock:
            fate = "carried" if lots.random() >= share else lots.choice(["cut after the answer", "cut before the answer"])
            tally[fate] += 1
            return fate

    class Exchange(socketserver.BaseRequestHandler):
        def handle(self):
            request = read_request(self.request)
            if not request:
                return
            is_create = request.startswith(b"POST ")
            decided = fate() if is_create else "carried"
            with socket.create_connection(("127.0.0.1", port)) as gateway:
                gateway.sendall(request)
                if decided == "cut before the answer":
                    threading.Event().wait(CUT_WHILE_WORKING_AFTER_S)
                    reset(gateway)
                else:
                    answer = b""
                    while more := gateway.recv(65536):
                        answer += more
                    if decided == "carried":
                        self.request.sendall(answer)
                        return
            reset(self.request)

    class Line(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 128

    with Line(("127.0.0.1", 0), Exchange) as line:
        threading.Thread(target=line.serve_forever, daemon=True).start()
        try:
            yield line.server_address[1], tally
        finally:
            line.shutdown()
