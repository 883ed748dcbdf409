#!/usr/bin/env bash
# torch 2.13.0, Linux, CPU build, on an AMD processor with AVX-512 (Zen 5): a linear layer in float32 runs at less than half of what the
# processor does, whatever its size, because torch multiplies float32 with the MKL inside its wheel (2024.0 Update 2), whose verbose mode
# names no vector extension of this processor. oneDNN (3.12), in the same wheel and used for bfloat16, multiplies
# float32 too: the operation that torch.compile puts in place of a linear layer, torch.ops.mkldnn._linear_pointwise, gives the same
# numbers to rounding in less than half the time. torch.backends.mkldnn has no setting that sends float32 there in full precision.
# Guess from memory: MKL has had kernels for AMD's Zen since 2020, and torch's CPU capability says AVX512, so float32 runs at full width.
# Seen, one thread, GFLOP/s: linear layer 106, oneDNN 227. On other processors there is nothing to see, and it says so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0
cat > "$place/seen.py" <<'PYTHON'
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")  # torch says that numpy is not installed
import torch

def rate(multiply):
    multiply()
    best = float("inf")
    for _ in range(12):
        start = time.perf_counter()
        multiply()
        best = min(best, time.perf_counter() - start)
    return 2 * 1536**3 / best / 1e9

torch.set_num_threads(1)
if torch.backends.cpu.get_cpu_capability() != "AVX512" or "AuthenticAMD" not in Path("/proc/cpuinfo").read_text():
    print("no AMD processor with AVX-512: nothing to see here")
    raise SystemExit(0)
states, weight = torch.randn(1536, 1536), torch.randn(1536, 1536)
by_layer = lambda: torch.nn.functional.linear(states, weight)
by_onednn = lambda: torch.ops.mkldnn._linear_pointwise(states, weight, None, "none", [], "")
layer, onednn = rate(by_layer), rate(by_onednn)
apart = float((by_layer() - by_onednn()).abs().max() / by_layer().abs().max())
print(f"linear layer {layer:.0f} GFLOP/s, oneDNN {onednn:.0f}; largest difference {apart:.0e} of the largest number")
raise SystemExit(0 if onednn > 1.5 * layer and apart < 1e-5 else 1)
PYTHON
"$place/venv/bin/python" "$place/seen.py"
