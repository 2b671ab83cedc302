"""Runs a command and measures it from outside: wall time, CPU time, peak memory, what others took."""

import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

# Often enough to see the working set of runs that take seconds; a reading of a 1 GB process takes about
# 10 ms. Shorter peaks of a single process are still seen, through its high-water mark.
SAMPLING_INTERVAL_S = 0.5
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Measurement:
    """One run. `others` is the share of the machine's CPU time that other processes and the hypervisor took."""

    exit_code: int
    timed_out: bool
    wall_s: float
    cpu_s: float
    # Of the process tree, shared pages counted once; sampled, for the kernel's own maximum begins with the
    # size of the process that started the command.
    peak_memory_bytes: int
    others: float


def measure(command, cwd, env, log_path, timeout_s):
    """Runs `command` to its end; its output goes to `log_path`."""
    busy_before = busy_cpu_s()
    with open(log_path, "wb") as log:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        ended = os.pidfd_open(child.pid)
        peak, timed_out = 0, False
        try:
            while not select.select([ended], [], [], SAMPLING_INTERVAL_S)[0]:
                peak = max(peak, tree_bytes(child.pid))
                if time.perf_counter() - start > timeout_s:
                    timed_out = True
                    os.killpg(child.pid, signal.SIGKILL)
            wall_s = time.perf_counter() - start
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        finally:
            os.close(ended)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
    busy_after = busy_cpu_s()
    cpu_s = usage.ru_utime + usage.ru_stime
    others_s = max(0.0, busy_after - busy_before - cpu_s)
    return Measurement(
        exit_code=child.returncode,
        timed_out=timed_out,
        wall_s=wall_s,
        cpu_s=cpu_s,
        peak_memory_bytes=peak,
        others=others_s / (wall_s * os.cpu_count()),
    )


def tree_bytes(root):
    """Proportional set size of a process and all its descendants."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            # The name, in parentheses, may hold anything.
            parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    members = {root}
    grown = True
    while grown:
        more = {process for process, parent in parents.items() if parent in members} - members
        grown = bool(more)
        members |= more
    return sum(map(proportional_bytes, members))


def proportional_bytes(process):
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass  # It has ended.
    return 0


def busy_cpu_s():
    """CPU seconds of the whole machine since its start that were not idle. Steal counts as busy."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS_PER_S
