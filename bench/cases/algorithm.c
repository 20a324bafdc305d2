/* The benchmarks of parallel algorithms on Skua. */
#include "bench/cases/work.h"

static void fill_part(void *context, size_t begin, size_t end)
{
    const struct fine *fine = context;
    uint32_t *results = fine->results, steps = fine->steps;
    for (size_t i = begin; i < end; i++)
        results[i] = work_fine((uint32_t)i, steps);
}

void work_loop(const struct fine *fine, size_t count)
{
    struct fine copy = *fine;
    work_must(skua_parallel_for(0, count, fill_part, &copy));
}

static void zero_int64(void *context, void *acc)
{
    (void)context;
    *(int64_t *)acc = 0;
}

static void sum_int64(void *context, void *acc, size_t begin, size_t end)
{
    const int64_t *values = context;
    int64_t sum = *(int64_t *)acc;
    for (size_t i = begin; i < end; i++)
        sum += values[i];
    *(int64_t *)acc = sum;
}

static void add_int64(void *context, void *acc, const void *right)
{
    (void)context;
    *(int64_t *)acc += *(const int64_t *)right;
}

static void zero_double(void *context, void *acc)
{
    (void)context;
    *(double *)acc = 0;
}

static void sum_double(void *context, void *acc, size_t begin, size_t end)
{
    const double *values = context;
    double sum = *(double *)acc;
    for (size_t i = begin; i < end; i++)
        sum += values[i];
    *(double *)acc = sum;
}

static void add_double(void *context, void *acc, const void *right)
{
    (void)context;
    *(double *)acc += *(const double *)right;
}

/* The context is only read. */
int64_t work_reduce_int64(const int64_t *values, size_t count)
{
    static const skua_reduce how = { sizeof(int64_t), zero_int64, sum_int64, add_int64 };
    int64_t sum = 0;
    work_must(skua_parallel_reduce(0, count, &how, (void *)(uintptr_t)values, &sum));
    return sum;
}

double work_reduce_double(const double *values, size_t count)
{
    static const skua_reduce how = { sizeof(double), zero_double, sum_double, add_double };
    double sum = 0;
    work_must(skua_parallel_reduce(0, count, &how, (void *)(uintptr_t)values, &sum));
    return sum;
}

SKUA_SORT_DEFINE(sort_u64, uint64_t, a, b, *a < *b);

void work_sort(uint64_t *values, size_t count) { work_must(sort_u64(values, count)); }
