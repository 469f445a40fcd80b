#!/bin/bash
# Not run here (no SLURM on the machine that wrote it; checked by `bash -n`). Several machines, one Ray node each:
#   sbatch deploy/slurm-many-nodes.sh mine.yaml
# Once before: `ray get-auth-token --generate` (a token in ~/.ray/auth_token). $SCRATCH is a disk that all nodes see;
# SQLite is written on the node of the driver alone, and lies there in $SCRATCH only if that is no network disk: else
# say SWEEPER_DB=postgresql+psycopg://...
#SBATCH --job-name=sweep
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -u
spec=${1:?a specification, or the name of one that ships}
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK   # since SLURM 22.05 a step has one core unless it is told
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$HOME/.ray/auth_token
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))   # two jobs may share a machine

srun --nodes=1 --ntasks=1 -w "$head" ray start --head --port="$port" --block --disable-usage-stats &
for _ in $(seq 60); do ray status --address "$head:$port" >/dev/null 2>&1 && break; sleep 2; done
if [ "$SLURM_NNODES" -gt 1 ]; then
  srun --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$head" ray start --address="$head:$port" --block &
  sleep 20   # nodes that come later are used by the next resume
fi

sweeper run "$spec" --address "$head:$port" --files "$SCRATCH/sweeps" &
driver=$!
trap 'kill -TERM "$driver" 2>/dev/null' TERM
wait "$driver"; code=$?
while kill -0 "$driver" 2>/dev/null; do wait "$driver"; code=$?; done

if [ "$code" -eq 143 ] || { [ "$code" -eq 7 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 10 ]; }; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
