#!/usr/bin/env bash
# Nodes of a Slurm cluster that take proxies from the work pool `olmix`, for `olmix run --runner deployment`:
#
#   PREFECT_API_URL=http://HOST:4200/api sbatch --array=1-8 --gres=gpu:1 deployments/slurm/worker.sh
#
# from the root of the repository, on a file system that the nodes share. Each job of the array is a Prefect worker that
# runs OLMIX_PROXIES proxies at once (1 where it is not set) until its time limit; `scancel --name olmix` ends them all.
# What is cut off goes on elsewhere once the server knows: it misses the heartbeats, by its automation for crashed runs.
#SBATCH --job-name=olmix
#SBATCH --output=olmix-%A_%a.log
#SBATCH --cpus-per-task=2
#SBATCH --time=24:00:00
set -euo pipefail

: "${PREFECT_API_URL:?name a Prefect server that the nodes can reach}"
cd "$SLURM_SUBMIT_DIR"
PATH="${OLMIX_VENV:-$PWD/.venv}/bin:$PATH"
exec prefect worker start --pool olmix --type process --limit "${OLMIX_PROXIES:-1}" \
  --name "slurm-$SLURM_JOB_ID"
