// The fork-join benchmarks of bench/README.md on oneTBB, in a process per measurement: `tbb-peer NAME WORKERS SECONDS`.
// With 0 workers the sorting of the C++ library, serially. Sizes, input and checks are those of bench/cases/forkjoin.h.
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_reduce.h>
#include <tbb/parallel_sort.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <functional>

#include "bench/cases/forkjoin.h"
#include "bench/cases/measure.h"

namespace {

long fib(int n)
{
    if (n < 2)
        return n;
    long left;
    tbb::task_group group;
    group.run([&left, n] { left = fib(n - 1); });
    long right = fib(n - 2);
    group.wait();
    return left + right;
}

int64_t skynet(int64_t first, int64_t leaves)
{
    constexpr int children = 10;
    if (leaves == 1)
        return first;
    int64_t sums[children - 1];
    leaves /= children;
    tbb::task_group group;
    for (int i = 0; i < children - 1; i++)
        group.run([&sum = sums[i], first, leaves, i] { sum = skynet(first + i * leaves, leaves); });
    int64_t sum = skynet(first + (children - 1) * leaves, leaves);
    group.wait();
    for (int64_t part : sums)
        sum += part;
    return sum;
}

long nqueens(uint32_t all, uint32_t columns, uint32_t left, uint32_t right)
{
    if (columns == all)
        return 1;
    long found[32];
    int count = 0;
    long solutions = 0;
    tbb::task_group group;
    for (uint32_t open = all & ~(columns | left | right); open != 0; open &= open - 1) {
        uint32_t queen = open & (0u - open);
        group.run([&part = found[count++], all, columns, left, right, queen] {
            part = nqueens(all, columns | queen, (left | queen) << 1, (right | queen) >> 1);
        });
    }
    group.wait();
    while (count-- > 0)
        solutions += found[count];
    return solutions;
}

int64_t tree_sum(const tree *node)
{
    if (node == nullptr)
        return 0;
    int64_t left;
    tbb::task_group group;
    group.run([&left, node] { left = tree_sum(node->left); });
    int64_t right = tree_sum(node->right);
    group.wait();
    return left + right + node->value;
}

void matmul(double *c, const double *a, const double *b, size_t n, size_t stride)
{
    if (n == MATMUL_BASE) {
        matmul_base(c, a, b, stride);
        return;
    }
    size_t h = n / 2, below = h * stride;
    for (int product = 0; product < 2; product++, a += h, b += below) {
        tbb::task_group group;
        group.run([=] { matmul(c, a, b, h, stride); });
        group.run([=] { matmul(c + h, a, b + h, h, stride); });
        group.run([=] { matmul(c + below, a + below, b, h, stride); });
        matmul(c + below + h, a + below, b + h, h, stride);
        group.wait();
    }
}

using range = tbb::blocked_range<size_t>;

void loop(const struct fine *fine, size_t count)
{
    tbb::parallel_for(range(0, count), [fine](const range &part) {
        uint32_t *results = fine->results, steps = fine->steps;
        for (size_t i = part.begin(); i < part.end(); i++)
            results[i] = work_fine(static_cast<uint32_t>(i), steps);
    });
}

template <typename number>
number reduce(const number *values, size_t count)
{
    return tbb::parallel_reduce(
        range(0, count), number(0),
        [values](const range &part, number sum) {
            for (size_t i = part.begin(); i < part.end(); i++)
                sum += values[i];
            return sum;
        },
        std::plus<number>());
}

void sort(uint64_t *values, size_t count) { tbb::parallel_sort(values, values + count); }
void sort_serially(uint64_t *values, size_t count) { std::sort(values, values + count); }

forkjoin on_tbb()
{
    forkjoin on{};
    on.rest = forkjoin_serial.rest;
    on.fib = fib;
    on.skynet = skynet;
    on.nqueens = nqueens;
    on.tree_sum = tree_sum;
    on.matmul = matmul;
    on.loop = loop;
    on.reduce_int64 = reduce<int64_t>;
    on.reduce_double = reduce<double>;
    on.sort = sort;
    on.fib_most = 32;
    on.nqueens_most = 12;
    on.patience = 5;
    return on;
}

} // namespace

int main(int argc, char **argv)
{
    const forkjoin_call call = forkjoin_parse(argc, argv);
    forkjoin on = on_tbb();
    bool known = false;
    if (call.workers == 0) {
        on.sort = sort_serially;
        known = forkjoin_measure(&on, call.name, call.effort);
    } else {
        tbb::global_control limit(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(call.workers));
        tbb::task_arena arena(call.workers);
        known = arena.execute([&] { return forkjoin_measure(&on, call.name, call.effort); });
    }
    if (!known)
        work_die(call.name, "no such benchmark");
    return 0;
}
