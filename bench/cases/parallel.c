/* The fork-join benchmarks on Skua. */
#include "bench/cases/work.h"

#include "bench/cases/kernels.h"

static void run_rest(uint64_t pause_ns) { work_must(skua_sleep(pause_ns)); }

const struct forkjoin forkjoin_on_skua = {
    FORKJOIN_KERNELS,
    .loop = work_loop,
    .reduce_int64 = work_reduce_int64,
    .reduce_double = work_reduce_double,
    .sort = work_sort,
    .rest = run_rest,
    .wakes = work_wakes,
};
