/* The kernels without a runtime, which is what the others are compared with. */
#include "bench/cases/serial_macros.h"

#include "bench/cases/kernels.h"

#include <time.h>

static void run_loop(const struct fine *fine, size_t count)
{
    uint32_t *results = fine->results, steps = fine->steps;
    for (size_t i = 0; i < count; i++)
        results[i] = work_fine((uint32_t)i, steps);
}

static int64_t run_reduce_int64(const int64_t *values, size_t count)
{
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

static double run_reduce_double(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

static void run_rest(uint64_t pause_ns) { nanosleep(&(struct timespec){ .tv_nsec = (long)pause_ns }, NULL); }

const struct forkjoin forkjoin_serial = {
    FORKJOIN_KERNELS,
    .loop = run_loop,
    .reduce_int64 = run_reduce_int64,
    .reduce_double = run_reduce_double,
    .rest = run_rest,
};
