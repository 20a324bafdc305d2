/* The fork-join benchmarks of bench/README.md on OpenMP, in a process per measurement: `openmp-peer NAME WORKERS
 * SECONDS`. A NAME that ends in /guided has its loops scheduled that way. Sizes, input and checks are those of
 * bench/cases/forkjoin.h.
 */
#include <omp.h>
#include <string.h>

#include "bench/cases/forkjoin.h"
#include "bench/cases/measure.h"

static long fib(int n)
{
    if (n < 2)
        return n;
    long left, right;
#pragma omp task shared(left)
    left = fib(n - 1);
    right = fib(n - 2);
#pragma omp taskwait
    return left + right;
}

enum { CHILDREN = 10, NQUEENS_MOST = 16 };

static int64_t skynet(int64_t first, int64_t leaves)
{
    if (leaves == 1)
        return first;
    int64_t sums[CHILDREN];
    leaves /= CHILDREN;
    for (int i = 0; i < CHILDREN - 1; i++) {
#pragma omp task shared(sums)
        sums[i] = skynet(first + i * leaves, leaves);
    }
    int64_t sum = skynet(first + (CHILDREN - 1) * leaves, leaves);
#pragma omp taskwait
    for (int i = 0; i < CHILDREN - 1; i++)
        sum += sums[i];
    return sum;
}

static long nqueens(uint32_t all, uint32_t columns, uint32_t left, uint32_t right)
{
    if (columns == all)
        return 1;
    long found[NQUEENS_MOST], solutions = 0;
    int count = 0;
    for (uint32_t open = all & ~(columns | left | right); open != 0; open &= open - 1) {
        uint32_t queen = open & (0u - open);
        int mine = count++;
#pragma omp task shared(found)
        found[mine] = nqueens(all, columns | queen, (left | queen) << 1, (right | queen) >> 1);
    }
#pragma omp taskwait
    while (count-- > 0)
        solutions += found[count];
    return solutions;
}

static int64_t tree_sum(const struct tree *tree)
{
    if (tree == NULL)
        return 0;
    int64_t left, right;
#pragma omp task shared(left)
    left = tree_sum(tree->left);
    right = tree_sum(tree->right);
#pragma omp taskwait
    return left + right + tree->value;
}

static void matmul(double *c, const double *a, const double *b, size_t n, size_t stride)
{
    if (n == MATMUL_BASE) {
        matmul_base(c, a, b, stride);
        return;
    }
    size_t h = n / 2, below = h * stride;
    for (int product = 0; product < 2; product++, a += h, b += below) {
#pragma omp task
        matmul(c, a, b, h, stride);
#pragma omp task
        matmul(c + h, a, b + h, h, stride);
#pragma omp task
        matmul(c + below, a + below, b, h, stride);
        matmul(c + below + h, a + below, b + h, h, stride);
#pragma omp taskwait
    }
}

/* Each in a parallel region, in which one thread begins and the others help. */
static long run_fib(int n)
{
    long result = 0;
#pragma omp parallel
#pragma omp single
    result = fib(n);
    return result;
}

static int64_t run_skynet(int64_t first, int64_t leaves)
{
    int64_t result = 0;
#pragma omp parallel
#pragma omp single
    result = skynet(first, leaves);
    return result;
}

static long run_nqueens(uint32_t all, uint32_t columns, uint32_t left, uint32_t right)
{
    long result = 0;
#pragma omp parallel
#pragma omp single
    result = nqueens(all, columns, left, right);
    return result;
}

static int64_t run_tree_sum(const struct tree *tree)
{
    int64_t result = 0;
#pragma omp parallel
#pragma omp single
    result = tree_sum(tree);
    return result;
}

static void run_matmul(double *c, const double *a, const double *b, size_t n, size_t stride)
{
#pragma omp parallel
#pragma omp single
    matmul(c, a, b, n, stride);
}

static void run_loop(const struct fine *fine, size_t count)
{
    uint32_t *results = fine->results, steps = fine->steps;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < count; i++)
        results[i] = work_fine((uint32_t)i, steps);
}

static void run_loop_guided(const struct fine *fine, size_t count)
{
    uint32_t *results = fine->results, steps = fine->steps;
#pragma omp parallel for schedule(guided)
    for (size_t i = 0; i < count; i++)
        results[i] = work_fine((uint32_t)i, steps);
}

static int64_t run_reduce_int64(const int64_t *values, size_t count)
{
    int64_t sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum)
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

static double run_reduce_double(const double *values, size_t count)
{
    double sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum)
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

int main(int argc, char **argv)
{
    struct forkjoin_call call = forkjoin_parse(argc, argv);
    struct forkjoin on = {
        .fib = run_fib,
        .skynet = run_skynet,
        .nqueens = run_nqueens,
        .tree_sum = run_tree_sum,
        .matmul = run_matmul,
        .loop = strstr(call.name, "/guided") != NULL ? run_loop_guided : run_loop,
        .reduce_int64 = run_reduce_int64,
        .reduce_double = run_reduce_double,
        .rest = forkjoin_serial.rest,
        .fib_most = 30,
        .nqueens_most = 12,
        .patience = 10,
    };
    omp_set_dynamic(0);
    omp_set_num_threads(call.workers);
    if (!forkjoin_measure(&on, call.name, call.effort))
        work_die(call.name, "no such benchmark");
    return 0;
}
