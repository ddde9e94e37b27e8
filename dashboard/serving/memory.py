"""What was worked out of one state of the ledger, kept for whoever asks the same next.

A ledger in one state answers a question in one way for ever. So an answer is kept under the state it was read from,
and dropped when newer answers need the room: nothing here ever has to be invalidated.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock


class Memory[T]:
    """The newest so many answers of this process. They are shared between threads: nobody may change one."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.answers: OrderedDict[Hashable, T] = OrderedDict()
        self.lock = Lock()

    def recall(self, key: Hashable, work_out: Callable[[], T], *, worth_keeping: Callable[[T], bool]) -> T:
        with self.lock:
            if key in self.answers:
                self.answers.move_to_end(key)
                return self.answers[key]
        answer = work_out()  # perhaps twice at once: that costs less than waiting
        if worth_keeping(answer):
            with self.lock:
                self.answers[key] = answer
                while len(self.answers) > self.size:
                    self.answers.popitem(last=False)
        return answer
