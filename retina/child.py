"""A process that works for another: calls come in by its input, answers by its output.

It ends with its input, in the middle of a call as well: who started it is gone then,
and nobody waits for the answer. What the call had kept stays kept.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import time

GRACE_S = 1.0  # for an answer under way when the input ends


def main() -> None:
    """Every call that comes in, one after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it ends it
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed is no answer
    calls: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(calls,), daemon=True).start()
    while (call := calls.get()) is not None:
        try:
            # Apart from its frame: a call that means nothing here is refused.
            function, given, named = pickle.loads(call)
            answer = pickle.dumps((True, function(*given, **named)))
        except Exception as error:
            answer = _refusal(error)
        try:
            answers.write(answer)
            answers.flush()
        except BrokenPipeError:
            os._exit(1)  # the thread that listens would hold up a clean end


def _listen(calls: queue.SimpleQueue[bytes | None]) -> None:
    while True:
        try:
            calls.put(pickle.load(sys.stdin.buffer))
        except Exception:  # the end, or what was cut short by it
            calls.put(None)
            time.sleep(GRACE_S)
            os._exit(1)  # no clean-up that could wait for the call


def _refusal(error: Exception) -> bytes:
    try:
        answer = pickle.dumps((False, error))
        pickle.loads(answer)  # one whose arguments are not its own comes back broken
        return answer
    except Exception:
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))


if __name__ == "__main__":
    main()
