#!/bin/bash
# Not run here (no SLURM on the machine that wrote it; checked by `bash -n`). One machine, its GPUs, a queue that preempts:
#   sbatch deploy/slurm-one-node.sh mine.yaml
# SIGTERM, two minutes before the end, has trials save; the job queues itself again, and the same line goes on.
#SBATCH --job-name=sweep
#SBATCH --nodes=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -u
spec=${1:?a specification, or the name of one that ships}
place=${SCRATCH:-$HOME}/sweeps
mkdir -p "$place"

# In the background, so that the trap is run at once; the driver hears of it, saves and ends with 143.
sweeper run "$spec" --db "sqlite:///$place/sweeps.db" --files "$place/files" &
driver=$!
trap 'kill -TERM "$driver" 2>/dev/null' TERM
wait "$driver"; code=$?
while kill -0 "$driver" 2>/dev/null; do wait "$driver"; code=$?; done   # the trap cut the first wait short

# 143: ended by SIGTERM; 7: the machine lacked something, for a while or for good: so that is tried ten times, no more.
# All else is the sweep's own end.
if [ "$code" -eq 143 ] || { [ "$code" -eq 7 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 10 ]; }; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
