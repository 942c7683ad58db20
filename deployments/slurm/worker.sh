#!/usr/bin/env bash
# Prefect workers on the nodes of a Slurm cluster, for the work pool `olmix` and `olmix run --runner deployment`:
#
#   PREFECT_API_URL=http://HOST:4200/api sbatch --array=1-8 --gres=gpu:1 deployments/slurm/worker.sh
#
# from the root of the repository, on a file system that the nodes share. Each job of the array is a worker that runs
# OLMIX_PROXIES proxies at once (default 1) until its time limit; `scancel --name olmix` ends them all. A proxy that is
# cut off continues on another worker once the server has missed its heartbeats and marked its run as crashed.
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
