"""The process that starts the others, and another for each that ended."""

from uvicorn.supervisors import Multiprocess


class Supervisor(Multiprocess):
    """Notices that a process ended also while it waits for that one to say that it lives.

    uvicorn keeps the process's end of the line open too: so the line never ends, and whoever waits, waits out all of
    `timeout_worker_healthcheck`. Until then nobody takes the place of one that was killed, and signals are not heard.
    """

    def keep_subprocess_alive(self) -> None:
        for process in self.processes:
            process.child_conn.close()  # it has its own since it was started
        super().keep_subprocess_alive()
