"""The command line: `python -m sweeper COMMAND`. Everything heavy is imported inside the commands.

Exit codes: 0 done; 1 internal error; 2 usage; 3 bad spec; 4 finished, some trials failed, or repro --check:
not equal; 5 nothing to rank, or too little for importance and profile; 6 budget ended it; 7 the machine lacks
something; 8 judge: discard; 9 judge: not enough evidence; 130 interrupted, resumable; 143 terminated.
"""

from sweeper.cli import (
    board,
    claims,
    comparisons,
    controls,
    export,
    follow,
    housekeeping,
    machine,
    models,
    notes,
    plan,
    run,
    settle,
    stages,
    start,
    status,
)
from sweeper.cli.app import made_of

# In the order of --help. A new command is one function in the file of its kind; a new kind is one file, and
# its name here.
KINDS = (
    *(start, run, settle, status, machine, board, comparisons, claims),
    *(export, models, follow),
    *(controls, notes, plan, housekeeping, stages),
)

app = made_of((kind.app for kind in KINDS), epilog=__doc__.partition("\n\n")[2].replace("\n", " "))
