# SPDX-License-Identifier: BSD-2-Clause
"""A sieve in shared memory, filled by a pool of forked workers; then the workers sort private data.

Each worker inherits the parent's objects, and counting references to them copies their pages.
"""
import multiprocessing as mp
from multiprocessing import shared_memory

LIMIT = 600_000
CHUNK = 50_000
BASE = [n for n in range(2, 800) if all(n % d for d in range(2, int(n ** 0.5) + 1))]


def sieve(job):
    name, start = job
    memory = shared_memory.SharedMemory(name=name)
    end = min(start + CHUNK, LIMIT)
    for prime in BASE:
        first = max(prime * prime, (start + prime - 1) // prime * prime)
        if first < end:
            memory.buf[first:end:prime] = bytes(len(range(first, end, prime)))
    memory.close()
    return start


def rank(job):
    seed, pairs = job
    return sorted((value * seed % 9973, key) for key, value in pairs.items())[0]


def main():
    mp.set_start_method("fork")
    memory = shared_memory.SharedMemory(create=True, size=LIMIT)
    memory.buf[:LIMIT] = b"\1" * LIMIT
    try:
        with mp.Pool(4) as pool:
            pool.map(sieve, [(memory.name, start) for start in range(0, LIMIT, CHUNK)])
        print("primes below", LIMIT, ":", sum(memory.buf[2:LIMIT]))
    finally:
        memory.close()
        memory.unlink()
    pairs = {f"key{n}": n for n in range(8000)}
    for generation in range(3):
        with mp.Pool(4, maxtasksperchild=2) as pool:
            print(pool.map(rank, [(seed, pairs) for seed in range(2 + generation, 18)], 2)[0])


if __name__ == "__main__":
    main()
