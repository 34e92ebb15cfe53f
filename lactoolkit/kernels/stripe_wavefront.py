"""One table shared by several threads: stripes follow each other as a wavefront."""

from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from lactoolkit.kernels import stripe_layout as layout
from lactoolkit.kernels import stripe_passes as passes
from lactoolkit.kernels.memory import thread_workspace
from lactoolkit.kernels.stripe_layout import GROUP
from lactoolkit.kernels.worker_pool import run_in_order


def visit_table(
    batch: tuple,
    tangents: tuple | None,
    allow_empty: bool,
    b: int,
    totals: NDArray,
    results: tuple | None,
    threads: int,
) -> None:
    """Total of pair b of a batch into ``totals`` and, unless ``results`` is None, its derivatives into these.

    The arguments are those of :func:`.stripe_passes.differentiate_pairs`. Every chunk is computed as by one thread,
    so the results are the same to the last bit.
    """
    table, arithmetic, suffices = passes.pair_of(batch, b)
    totals[b, 3] = suffices
    if not suffices:
        return
    dtype = batch[0].dtype
    n, m = int(table[3]), int(table[4])
    stripes, chunks = int(layout.count_stripes(n)), int(layout.count_chunks(n, m))
    groups = int(layout.count_groups(n, m, GROUP))
    chunk_totals = np.empty((stripes, chunks, 3))
    gap_sums = np.empty((stripes, chunks, 2))
    edges = passes.new_edges(n, m, tangents, batch[0])
    checkpoints = passes.new_checkpoints(stripes, groups, tangents, batch[0])
    constant_gaps = passes.new_gaps(table, arithmetic, tangents, GROUP)
    tape_size = passes.tape_size(n, m, GROUP, tangents)

    def workspace() -> tuple[NDArray, NDArray]:
        gaps = constant_gaps if table[1].size == 1 else np.zeros_like(constant_gaps)
        return thread_workspace(tape_size, dtype), gaps

    # A group needs the same group of the neighbouring stripe and the next one, since the adjacent rows lie LANES - 1
    # steps apart. Tokens count the groups that a stripe has finished.
    def wait_for(neighbour: int, received: int, finished: int) -> int:
        while neighbour >= 0 and received < min(finished + 2, groups):
            tokens[neighbour].get()
            received += 1
        return received

    def forward(stripe: int) -> None:
        tape, gaps = workspace()
        received = 0
        for group in range(groups):
            received = wait_for(stripe - 1, received, group)
            passes.forward_group(
                table, arithmetic, tangents, stripe, group, GROUP, tape, gaps, edges, checkpoints, chunk_totals, False
            )
            tokens[stripe].put(None)

    def backward(index: int) -> None:
        stripe = stripes - 1 - index
        tape, gaps = workspace()
        carry = np.empty(checkpoints.shape[2], dtype)
        received = 0
        for finished in range(groups):
            group = groups - 1 - finished
            passes.forward_group(
                table, arithmetic, tangents, stripe, group, GROUP, tape, gaps, edges, checkpoints, chunk_totals, True
            )
            received = wait_for(index - 1, received, finished)
            passes.backward_group(
                table, arithmetic, tangents, stripe, group, GROUP, tape, gaps, edges, carry, total, results, gap_sums
            )
            tokens[index].put(None)

    tokens: list[SimpleQueue] = [SimpleQueue() for _ in range(stripes)]
    run_in_order(forward, stripes, threads)
    total = passes.grand_total(chunk_totals, allow_empty)
    totals[b, :3] = total
    if results is None:
        return
    results = tuple(a[b] for a in results)
    layout.clear_edge(edges[stripes])
    tokens = [SimpleQueue() for _ in range(stripes)]
    run_in_order(backward, stripes, threads)
    if table[1].size == 1:
        passes.add_gap_sums(gap_sums, results)
