"""A server of files on this machine, with a certificate: what weights are fetched from in tests."""

import contextlib
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme


class Served:
    """What the server holds and how it behaves; `asked` is each request's path and range."""

    def __init__(self):
        self.files = {}
        self.moved = {}  # path: the address it redirects to
        self.ranges = True
        self.break_after = None  # bytes of an answer, then the line is cut
        self.length = None  # what it says of the length, if not the truth
        self.drip = False  # whether it sends byte after byte, with some time between
        self.asked = []
        self.headers = []  # of each request
        self.address = ""


def handler(served):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            served.asked.append((self.path, self.headers.get("Range")))
            served.headers.append(dict(self.headers))
            if self.path in served.moved:
                self.send_response(302)
                self.send_header("Location", served.moved[self.path])
                self.end_headers()
                return
            if self.path not in served.files:
                self.send_error(404)
                return
            content, start = served.files[self.path], 0
            if served.ranges and (asked := self.headers.get("Range")):
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/*")
            else:
                self.send_response(200)
            rest = content[start:]
            self.send_header("Content-Length", str(served.length or len(rest)))
            self.end_headers()
            with contextlib.suppress(OSError):  # the other side had enough
                for number in range(len(rest) if served.drip else 0):
                    self.wfile.write(rest[number : number + 1])
                    time.sleep(0.01)
                self.wfile.write(rest[: served.break_after])

    return Handler


@contextlib.contextmanager
def serve(certificate, protect=True):
    """A running server; by http only if not `protect`."""
    served = Served()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(served)) as server:
        server.daemon_threads = True
        if protect:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        kind = "https" if protect else "http"
        served.address = f"{kind}://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


def authority(folder):
    """A certificate for localhost, by name and number, and the file of who signed it."""
    signer = trustme.CA()
    path = folder / "authority.pem"
    signer.cert_pem.write_to_path(path)
    return signer.issue_cert("localhost", "127.0.0.1"), path
