#!/usr/bin/env bash
# accelerate 1.15.0: `accelerate launch --cpu --num_processes 2` starts one process and says nothing of the other; so does --num_processes 2
# on a machine without GPUs. Only under MPI, or with --multi_gpu, does it start several.
# Guess from memory: --num_processes is the number of processes that are started.
# Seen: one line is printed, without a rank; with --multi_gpu two, with ranks 0 and 1.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q accelerate==1.15.0 torch
echo 'import os; print("started, rank", os.environ.get("RANK"))' > "$place/seen.py"
alone=$("$place/venv/bin/accelerate" launch --cpu --num_processes 2 "$place/seen.py" 2> /dev/null | grep -c started)
several=$("$place/venv/bin/accelerate" launch --num_machines 1 --num_processes 2 --multi_gpu "$place/seen.py" 2> /dev/null | grep -c started)
echo "--cpu --num_processes 2: $alone; --multi_gpu --num_processes 2: $several"
test "$alone" = 1 && test "$several" = 2
