/* The kernels of the fork-join benchmarks, for SKUA_PARALLEL and SKUA_COMPUTE: behind skua/parallel.h they are Skua's,
 * behind serial_macros.h the serial ones. Included by one file for each; FORKJOIN_KERNELS are the members of struct
 * forkjoin that run them.
 */
#ifndef SKUA_BENCH_KERNELS_H
#define SKUA_BENCH_KERNELS_H

#include "bench/cases/forkjoin.h"

SKUA_PARALLEL(long, fib, int, n)
{
    if (n < 2)
        return n;
    SKUA_FORK(left, fib, n - 1);
    long right = SKUA_CALL(fib, n - 2);
    return SKUA_JOIN(fib, left) + right;
}
static long run_fib(int n) { return SKUA_RUN(fib, n); }

SKUA_COMPUTE(long, fib_compute, int, n)
{
    if (n < 2)
        return n;
    SKUA_FORK(left, fib_compute, n - 1);
    long right = SKUA_CALL(fib_compute, n - 2);
    return SKUA_JOIN(fib_compute, left) + right;
}
static long run_fib_compute(int n) { return SKUA_RUN(fib_compute, n); }

enum { SKYNET_CHILDREN = 10 };

SKUA_COMPUTE(int64_t, skynet, int64_t, first, int64_t, leaves)
{
    if (leaves == 1)
        return first;
    SKUA_FORKED(skynet) child[SKYNET_CHILDREN - 1];
    leaves /= SKYNET_CHILDREN;
    for (int i = 0; i < SKYNET_CHILDREN - 1; i++)
        SKUA_FORK_INTO(child[i], skynet, first + i * leaves, leaves);
    int64_t sum = SKUA_CALL(skynet, first + (SKYNET_CHILDREN - 1) * leaves, leaves);
    for (int i = SKYNET_CHILDREN - 1; i-- > 0;)
        sum += SKUA_JOIN(skynet, child[i]);
    return sum;
}
static int64_t run_skynet(int64_t first, int64_t leaves) { return SKUA_RUN(skynet, first, leaves); }

/* Row by row. Bits are columns: all of them, those taken, and those that a diagonal takes in this row. */
enum { NQUEENS_MOST = 16 };

SKUA_COMPUTE(long, nqueens, uint32_t, all, uint32_t, columns, uint32_t, left, uint32_t, right)
{
    if (columns == all)
        return 1;
    SKUA_FORKED(nqueens) placed[NQUEENS_MOST];
    int count = 0;
    long solutions = 0;
    for (uint32_t open = all & ~(columns | left | right); open != 0; open &= open - 1) {
        uint32_t queen = open & (0u - open);
        SKUA_FORK_INTO(placed[count++], nqueens, all, columns | queen, (left | queen) << 1, (right | queen) >> 1);
    }
    while (count-- > 0)
        solutions += SKUA_JOIN(nqueens, placed[count]);
    return solutions;
}
static long run_nqueens(uint32_t all, uint32_t columns, uint32_t left, uint32_t right)
{
    return SKUA_RUN(nqueens, all, columns, left, right);
}

SKUA_COMPUTE(int64_t, tree_sum, const struct tree *, tree)
{
    if (tree == NULL)
        return 0;
    SKUA_FORK(left, tree_sum, tree->left);
    int64_t right = SKUA_CALL(tree_sum, tree->right);
    return SKUA_JOIN(tree_sum, left) + right + tree->value;
}
static int64_t run_tree_sum(const struct tree *tree) { return SKUA_RUN(tree_sum, tree); }

/* By quarters: the four of c get their first products, then their second ones. */
SKUA_COMPUTE_VOID(matmul, double *, c, const double *, a, const double *, b, size_t, n, size_t, stride)
{
    if (n == MATMUL_BASE) {
        matmul_base(c, a, b, stride);
        return;
    }
    size_t h = n / 2, below = h * stride;
    {
        SKUA_FORK(c11, matmul, c, a, b, h, stride);
        SKUA_FORK(c12, matmul, c + h, a, b + h, h, stride);
        SKUA_FORK(c21, matmul, c + below, a + below, b, h, stride);
        SKUA_CALL(matmul, c + below + h, a + below, b + h, h, stride);
        SKUA_JOIN(matmul, c21);
        SKUA_JOIN(matmul, c12);
        SKUA_JOIN(matmul, c11);
    }
    a += h;
    b += below;
    SKUA_FORK(c11, matmul, c, a, b, h, stride);
    SKUA_FORK(c12, matmul, c + h, a, b + h, h, stride);
    SKUA_FORK(c21, matmul, c + below, a + below, b, h, stride);
    SKUA_CALL(matmul, c + below + h, a + below, b + h, h, stride);
    SKUA_JOIN(matmul, c21);
    SKUA_JOIN(matmul, c12);
    SKUA_JOIN(matmul, c11);
}
static void run_matmul(double *c, const double *a, const double *b, size_t n, size_t stride)
{
    SKUA_RUN(matmul, c, a, b, n, stride);
}

#define FORKJOIN_KERNELS                                                                                    \
    .fib = run_fib, .fib_compute = run_fib_compute, .skynet = run_skynet, .nqueens = run_nqueens,           \
    .tree_sum = run_tree_sum, .matmul = run_matmul

#endif
