/* The benchmarks of parallel algorithms: loops with small bodies, reductions, sorting (forkjoin.h). */
#include "bench/cases/forkjoin.h"
#include "bench/cases/measure.h"

#include <stdlib.h>

/* ---- loops ------------------------------------------------------------------------------------------------------ */

/* `size` is about how many ns the body takes. */
enum { LOOP_NS = 4000000, LOOPS = 10, SHORT_LOOP_NS = 50000, SHORT_LOOPS = 200 };

static struct fine fine;

/* Measured on one machine. Short bodies overlap in the processor, so that it is not in proportion. */
static uint32_t steps_of(int size) { return size == 1 ? 2 : size == 10 ? 16 : size == 100 ? 82 : 670; }

static void prepare_loop(int size)
{
    size_t count = LOOP_NS / (size_t)size;
    free(fine.results);
    fine = (struct fine){ .results = work_memory(count * sizeof *fine.results), .steps = steps_of(size) };
    for (size_t i = 0; i < count; i++)
        fine.results[i] = 0;
}

/* An operation is a body. */
static int64_t iterate_loop(const struct forkjoin *on, int size)
{
    size_t count = LOOP_NS / (size_t)size;
    for (int i = 0; i < LOOPS; i++)
        on->loop(&fine, count);
    return LOOPS * (int64_t)count;
}

/* An operation is a loop. */
static int64_t iterate_short_loop(const struct forkjoin *on, int size)
{
    for (int i = 0; i < SHORT_LOOPS; i++)
        on->loop(&fine, SHORT_LOOP_NS / (size_t)size);
    return SHORT_LOOPS;
}

static void verify_results(size_t count)
{
    for (size_t i = 0; i < count; i++)
        work_check("the result of a loop's body", fine.results[i], work_fine((uint32_t)i, fine.steps));
}

static void verify_loop(int size) { verify_results(LOOP_NS / (size_t)size); }
static void verify_short_loop(int size) { verify_results(SHORT_LOOP_NS / (size_t)size); }

/* ---- reductions ------------------------------------------------------------------------------------------------- */

enum { REDUCTIONS = 10 };

static int64_t *integers;
static double *doubles;

static void prepare_reduce(int size)
{
    free(integers);
    free(doubles);
    integers = work_memory((size_t)size * sizeof *integers);
    doubles = work_memory((size_t)size * sizeof *doubles);
    for (int i = 0; i < size; i++) {
        integers[i] = i % 1000;
        doubles[i] = i % 1000; /* whole numbers: exact in any order */
    }
}

static int64_t sum_of(int size) { return (int64_t)size / 1000 * 499500; }

static int64_t iterate_reduce(const struct forkjoin *on, int size)
{
    for (int i = 0; i < REDUCTIONS; i++)
        work_check("the sum", on->reduce_int64(integers, (size_t)size), sum_of(size));
    return (int64_t)REDUCTIONS * size;
}

static int64_t iterate_reduce_double(const struct forkjoin *on, int size)
{
    for (int i = 0; i < REDUCTIONS; i++)
        work_check("the sum", (int64_t)on->reduce_double(doubles, (size_t)size), sum_of(size));
    return (int64_t)REDUCTIONS * size;
}

/* ---- sorting ---------------------------------------------------------------------------------------------------- */

enum { FEW = 16 };

static uint64_t *numbers, sum_of_numbers;

/* A fixed sequence that looks random (splitmix64). */
static uint64_t scramble(uint64_t i)
{
    uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t uniform(uint64_t i) { return scramble(i); }
static uint64_t sorted(uint64_t i) { return i; }
static uint64_t few(uint64_t i) { return scramble(i) % FEW; }

static void fill(int size, uint64_t (*number)(uint64_t i))
{
    free(numbers);
    numbers = work_memory((size_t)size * sizeof *numbers);
    sum_of_numbers = 0;
    for (int i = 0; i < size; i++)
        sum_of_numbers += numbers[i] = number((uint64_t)i);
}

static void prepare_uniform(int size) { fill(size, uniform); }
static void prepare_sorted(int size) { fill(size, sorted); }
static void prepare_few(int size) { fill(size, few); }

static int64_t iterate_sort(const struct forkjoin *on, int size)
{
    on->sort(numbers, (size_t)size);
    return size;
}

static void verify_sort(int size)
{
    uint64_t sum = numbers[0];
    for (int i = 1; i < size; i++) {
        work_check("neighbours out of order", numbers[i - 1] > numbers[i], 0);
        sum += numbers[i];
    }
    work_check("the sum of the sorted numbers", (int64_t)sum, (int64_t)sum_of_numbers);
}

/* ---- all -------------------------------------------------------------------------------------------------------- */

#define SAME(size) { size, size, size }

const struct forkjoin_bench forkjoin_of_loops[] = {
    { "parallel_for_1ns", SAME(1), prepare_loop, iterate_loop, verify_loop },
    { "parallel_for_10ns", SAME(10), prepare_loop, iterate_loop, verify_loop },
    { "parallel_for_100ns", SAME(100), prepare_loop, iterate_loop, verify_loop },
    { "parallel_for_1us", SAME(1000), prepare_loop, iterate_loop, verify_loop },
    { "parallel_for_short_1ns", SAME(1), prepare_loop, iterate_short_loop, verify_short_loop },
    { "parallel_for_short_10ns", SAME(10), prepare_loop, iterate_short_loop, verify_short_loop },
    { "parallel_for_short_100ns", SAME(100), prepare_loop, iterate_short_loop, verify_short_loop },
    { "parallel_for_short_1us", SAME(1000), prepare_loop, iterate_short_loop, verify_short_loop },
    { "reduce", { 1000000, 10000000, 10000000 }, prepare_reduce, iterate_reduce, NULL },
    { "reduce_double", { 1000000, 10000000, 10000000 }, prepare_reduce, iterate_reduce_double, NULL },
    { "sort_uniform", { 1000000, 10000000, 10000000 }, prepare_uniform, iterate_sort, verify_sort },
    { "sort_sorted", { 1000000, 10000000, 10000000 }, prepare_sorted, iterate_sort, verify_sort },
    { "sort_few", { 1000000, 10000000, 10000000 }, prepare_few, iterate_sort, verify_sort },
    { NULL, SAME(0), NULL, NULL, NULL },
};
