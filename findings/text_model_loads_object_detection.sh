#!/usr/bin/env bash
# transformers 5.24.0 with torch 2.13.0: importing the code of one text model (models.llama.modeling_llama, no weights read) also imports the
# losses of object detection, torch's tensors on several machines, its graph compiler and sympy, and scipy.optimize where scipy is there.
# It adds more seconds than `import torch` itself takes: most of what the first load of a small model waits for.
# Guess from memory: transformers imports lazily, so a text model brings its own module and what attention needs.
# Seen: all five are loaded, and none of them by torch alone.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q transformers==5.24.0 torch==2.13.0 scipy
cat > "$place/seen.py" <<'PYTHON'
import sys, time
heavy = ["transformers.loss.loss_for_object_detection", "torch.distributed.tensor", "torch._dynamo.symbolic_convert", "sympy", "scipy.optimize"]
start = time.perf_counter()
import torch
between = time.perf_counter()
alone = [name for name in heavy if name in sys.modules]
import transformers.models.llama.modeling_llama
end = time.perf_counter()
loaded = [name for name in heavy if name in sys.modules]
print(f"torch alone, {between - start:.1f} s: {alone}; then a text model, {end - between:.1f} s: {loaded}")
sys.exit(0 if not alone and loaded == heavy else 1)
PYTHON
"$place/venv/bin/python" "$place/seen.py"
