"""What the side-by-side benchmarks share."""
import os, statistics, subprocess, sys, time

MIB = 1 << 20


def measured(argv, env=None):
    """Run to the end; return (wall seconds, CPU seconds, peak MiB of the largest process)."""
    os.sync()  # what the program before us left to write is not ours to wait for
    start = time.monotonic()
    p = subprocess.Popen(argv, env=dict(os.environ, **(env or {})), stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    err = p.stderr.read()
    _, status, usage = os.wait4(p.pid, 0)
    wall = time.monotonic() - start
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        sys.exit(f"{' '.join(argv)}: exit {p.returncode}\n{err.decode(errors='replace')[-2000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def shell(line, env=None): return measured(["bash", "-o", "pipefail", "-c", line], env)


def size_of(path):
    if os.path.isfile(path): return os.path.getsize(path) / MIB
    return sum(os.lstat(os.path.join(d, f)).st_size for d, _, fs in os.walk(path) for f in fs) / MIB


class Table:
    """Measurements, printed as medians."""

    def __init__(s): s.rows = {}

    def add(s, workload, program, times, stored=0):
        s.rows.setdefault(workload, {}).setdefault(program, []).append((*times, stored))

    def show(s):
        print(f"{'workload':18} {'program':44} {'wall s':>7} {'cpu s':>7} {'peak MiB':>9} {'stored MiB':>11} {'wall ratio':>11} {'cpu ratio':>10}")
        for workload, programs in s.rows.items():
            median = {name: [statistics.median(x) for x in zip(*rounds)] for name, rounds in programs.items()}
            for name, (wall, cpu, peak, stored) in median.items():
                ours = median["mainstay"]
                print(f"{workload:18} {name:44} {wall:7.2f} {cpu:7.2f} {peak:9.0f} {stored:11.1f} {wall / ours[0]:11.2f} {cpu / ours[1]:10.2f}", flush=True)
