#!/usr/bin/env bash
# torch 2.13.0, Linux, CPU build: torch.set_num_threads in one thread sets the number of the process for every thread that has not computed yet,
# and of no other. A pool whose workers each set 1, as ThreadPoolExecutor(initializer=torch.set_num_threads, initargs=(1,)) does, leaves
# one thread to all threads that are started later, and to a main thread that had set its own number and had not computed since; a thread
# that has computed (or asked for its number) keeps what it had.
# Guess from memory: the number is the process's, so that all see 1, or the thread's, so that nobody else does.
# Seen, after 3 in the main thread and then 1 in a worker: worker 1, a thread that had asked before 3, one started afterwards 1; the main
# thread 1 where it had only set 3, and 3 where it had also asked.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0
cat > "$place/seen.py" <<'PYTHON'
import sys, threading
import torch

def in_a_thread(action):
    found = []
    thread = threading.Thread(target=lambda: found.append(action()))
    thread.start()
    thread.join()
    return found[0]

def set_one():
    torch.set_num_threads(1)
    return torch.get_num_threads()

torch.set_num_threads(3)
if sys.argv[1] == "asked":
    torch.get_num_threads()
at_work, go, earlier = threading.Event(), threading.Event(), []

def ask_twice():
    torch.get_num_threads()
    at_work.set()
    go.wait()
    earlier.append(torch.get_num_threads())

before = threading.Thread(target=ask_twice)
before.start()
at_work.wait()
worker = in_a_thread(set_one)
go.set()
before.join()
print(worker, earlier[0], in_a_thread(torch.get_num_threads), torch.get_num_threads())
PYTHON
only_set=$("$place/venv/bin/python" "$place/seen.py" set)
also_asked=$("$place/venv/bin/python" "$place/seen.py" asked)
echo "worker, earlier thread, later thread, main thread: $only_set; where the main thread had asked: $also_asked"
[ "$only_set" = "1 3 1 1" ] && [ "$also_asked" = "1 3 1 3" ]
