"""python -m benchmarks.gpu.worker CASE SECONDS: one trial of several on a card; steps of it, counted.

Says `ready` when it has warmed up, begins when it is written a line, and prints {"steps", "seconds"}.
"""

import json
import sys
import time

from benchmarks.forms import Case, our_step, prepared

WARM = 4  # steps: every shape is compiled, and the graph captured


def main() -> None:
    case, seconds = Case(*json.loads(sys.argv[1])), float(sys.argv[2])
    learner, _, x0_BL = prepared(case, with_plain=False)
    for step in range(1, WARM + 1):
        our_step(learner, x0_BL, step)
    print("ready", flush=True)
    sys.stdin.readline()
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        our_step(learner, x0_BL, WARM + 1 + steps)  # it waits for the GPU: the loss is read
        steps += 1
    print(json.dumps({"steps": steps, "seconds": time.perf_counter() - began}), flush=True)


if __name__ == "__main__":
    main()
