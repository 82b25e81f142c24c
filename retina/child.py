"""A process that works for another: calls come in by its input, answers by its output.

It ends with its input, so it never outlives who started it by more than one call.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys


def main() -> None:
    """Every call that comes in, one after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it ends it
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed is no answer
    while True:
        try:
            call = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
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
            return


def _refusal(error: Exception) -> bytes:
    try:
        answer = pickle.dumps((False, error))
        pickle.loads(answer)  # one whose arguments are not its own comes back broken
        return answer
    except Exception:
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))


if __name__ == "__main__":
    main()
