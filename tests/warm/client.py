"""`client.py ARGUMENT ...`: has the server at WARM do it, passes signals on, and ends as that ended."""

import json
import os
import signal
import socket
import sys

asked = socket.socket(socket.AF_UNIX)
asked.connect(os.environ["WARM"])
socket.send_fds(asked, [b"3"], [0, 1, 2])
request = {
    "arguments": sys.argv[1:], "environment": dict(os.environ), "folder": os.path.realpath("."), "parent": os.getppid(),
}  # fmt: skip
asked.sendall(json.dumps(request).encode())
asked.shutdown(socket.SHUT_WR)
answer = asked.makefile()
process = int(answer.readline())
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(process, number))
status = int(answer.readline())
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
