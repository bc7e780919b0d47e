"""Between the service and PostgreSQL: a wire that can be cut at a chosen moment."""

import select
import socket
import threading


class Wire:
    """Once something has been asked for and done, the answer is lost and with it the connection."""

    def __init__(self, port):
        self.server = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.cut_after = None

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.server)
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near, far):
        is_to_be_cut = False
        with near, far:
            while True:
                for end in select.select([near, far], [], [])[0]:
                    data = end.recv(65536)
                    if not data or (is_to_be_cut and end is far):
                        return
                    if end is near and self.cut_after and self.cut_after in data:
                        is_to_be_cut, self.cut_after = True, None
                    (far if end is near else near).sendall(data)
