"""ExaBGP's API process: carries its events to a Unix socket of the lab, and the lab's commands back.

python -I -S exabgp_relay.py SOCKET
"""

import os
import selectors
import socket
import sys
from collections.abc import Callable


def main(path: str) -> None:
    lab = socket.socket(socket.AF_UNIX)
    lab.connect(path)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ, lab.sendall)
    selector.register(lab.fileno(), selectors.EVENT_READ, _to_exabgp)
    while True:
        for key, _ in selector.select():
            data = os.read(key.fd, 65536)
            if not data:
                return
            forward: Callable[[bytes], None] = key.data
            forward(data)


def _to_exabgp(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main(sys.argv[1])
