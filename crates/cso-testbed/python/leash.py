"""Runs a command and ends it when standard input closes.

The parent holds the other end of a pipe. However the parent ends, SIGKILL included, the pipe closes and the command
goes with it: no emulator outlives the test that started it.
"""

import os
import signal
import subprocess
import sys
import threading

child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)


def hold():
    while os.read(0, 1):
        pass
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


threading.Thread(target=hold, daemon=True).start()
status = child.wait()
sys.stdout.flush()
os._exit(status if status >= 0 else 128 - status)
