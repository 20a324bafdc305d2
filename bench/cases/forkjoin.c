/* The fork-join benchmarks of recursive kernels, and how all of forkjoin.h are measured. */
#include "bench/cases/forkjoin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cases/measure.h"

/* ---- the kernels ----------------------------------------------------------------------------------------------- */

static int at_most(int size, int most) { return most > 0 && most < size ? most : size; }

/* A fork for each number from 2 on. What a fork costs does not depend on n. */
static int64_t check_fib(long (*fib)(int n), int n)
{
    int64_t value = 0, next = 1;
    for (int i = 0; i < n; i++) {
        int64_t sum = value + next;
        value = next;
        next = sum;
    }
    work_check("fib", fib(n), value);
    return next - 1;
}
static int64_t iterate_fib(const struct forkjoin *on, int size)
{
    return check_fib(on->fib, at_most(size, on->fib_most));
}
static int64_t iterate_fib_compute(const struct forkjoin *on, int size) { return check_fib(on->fib_compute, size); }

/* How often to do something whose cost does not depend on it. */
static int repeats(const struct forkjoin *on, int often)
{
    int fewer = on->patience > 0 ? often / on->patience : often;
    return fewer > 0 ? fewer : 1;
}

enum { LEAVES = 1000000 };

static void check_skynet(const struct forkjoin *on, int64_t leaves)
{
    work_check("the sum of the leaves", on->skynet(0, leaves), leaves * (leaves - 1) / 2);
}

/* `size` is how many times. */
static int64_t iterate_skynet(const struct forkjoin *on, int size)
{
    int runs = repeats(on, size);
    for (int i = 0; i < runs; i++)
        check_skynet(on, LEAVES);
    return (int64_t)runs * LEAVES;
}

static int64_t iterate_large_skynet(const struct forkjoin *on, int size)
{
    check_skynet(on, size);
    return size;
}

static int64_t iterate_nqueens(const struct forkjoin *on, int size)
{
    static const struct {
        long solutions;
        int64_t placements;
    } known[] = { [10] = { 724, 35538 }, [12] = { 14200, 856188 }, [14] = { 365596, 27358552 } };
    int n = at_most(size, on->nqueens_most);
    work_check("solutions", on->nqueens((1u << n) - 1, 0, 0, 0), known[n].solutions);
    return known[n].placements;
}

/* ---- trees ------------------------------------------------------------------------------------------------------ */

/* A heap's shape, nodes made level by level: so it is all the same whether left or right comes first. */

static const struct tree *the_tree;

static struct tree *new_node(void)
{
    struct tree *tree = malloc(sizeof *tree);
    if (tree == NULL)
        work_die("memory", "there is none");
    return tree;
}

static void plant(int size)
{
    if (the_tree != NULL)
        return;
    struct tree **nodes = work_memory((size_t)size * sizeof(struct tree *));
    for (int i = 0; i < size; i++)
        nodes[i] = new_node();
    for (int i = 0; i < size; i++)
        *nodes[i] = (struct tree){ .left = 2 * i + 1 < size ? nodes[2 * i + 1] : NULL,
                                   .right = 2 * i + 2 < size ? nodes[2 * i + 2] : NULL,
                                   .value = i };
    the_tree = nodes[0];
    free(nodes);
}

enum { NODES = 4000000, FEW_NODES = 1000 };

/* `size` is how many times. */
static void prepare_tree(int size)
{
    (void)size;
    plant(NODES);
}

static void prepare_small_tree(int size)
{
    (void)size;
    plant(FEW_NODES);
}

static void check_tree_sum(const struct forkjoin *on, int64_t nodes)
{
    work_check("the sum of the tree", on->tree_sum(the_tree), nodes * (nodes - 1) / 2);
}

static int64_t iterate_tree_sum(const struct forkjoin *on, int size)
{
    int runs = repeats(on, size);
    for (int i = 0; i < runs; i++)
        check_tree_sum(on, NODES);
    return (int64_t)runs * NODES;
}

/* An operation is the whole tree. */
static int64_t iterate_small_tree(const struct forkjoin *on, int size)
{
    int runs = repeats(on, size);
    for (int i = 0; i < runs; i++)
        check_tree_sum(on, FEW_NODES);
    return runs;
}

/* ---- matrices: small whole numbers, so that sums are exact ------------------------------------------------------ */

static struct {
    double *a, *b, *c;
} matrices;

static void prepare_matmul(int size)
{
    size_t n = (size_t)size, bytes = n * n * sizeof(double);
    free(matrices.a);
    free(matrices.b);
    free(matrices.c);
    matrices.a = work_memory(bytes);
    matrices.b = work_memory(bytes);
    matrices.c = work_memory(bytes);
    for (size_t i = 0; i < n * n; i++) {
        matrices.a[i] = (double)(i * 7 % 11);
        matrices.b[i] = (double)(i * 5 % 13);
    }
    memset(matrices.c, 0, bytes);
}

/* An operation is a base case. */
static int64_t iterate_matmul(const struct forkjoin *on, int size)
{
    int64_t blocks = size / MATMUL_BASE;
    on->matmul(matrices.c, matrices.a, matrices.b, (size_t)size, (size_t)size);
    return blocks * blocks * blocks;
}

/* By the sums of rows: c (1, 1, …) is a (b (1, 1, …)). */
static void verify_matmul(int size)
{
    size_t n = (size_t)size;
    double *sums = work_memory(n * sizeof *sums);
    for (size_t i = 0; i < n; i++) {
        sums[i] = 0;
        for (size_t j = 0; j < n; j++)
            sums[i] += matrices.b[i * n + j];
    }
    for (size_t i = 0; i < n; i++) {
        double found = 0, expected = 0;
        for (size_t j = 0; j < n; j++) {
            found += matrices.c[i * n + j];
            expected += matrices.a[i * n + j] * sums[j];
        }
        work_check("the sum of a row of the product", (int64_t)found, (int64_t)expected);
    }
    free(sums);
}

const struct forkjoin_bench forkjoin_of_trees[] = {
    { "fib", { 27, 36, 39 }, NULL, iterate_fib, NULL },
    { "fib_compute", { 27, 36, 39 }, NULL, iterate_fib_compute, NULL },
    { "skynet", { 5, 30, 100 }, NULL, iterate_skynet, NULL },
    { "skynet_100m", { 1000000, 100000000, 100000000 }, NULL, iterate_large_skynet, NULL },
    { "nqueens", { 10, 12, 14 }, NULL, iterate_nqueens, NULL },
    { "tree_sum", { 1, 2, 5 }, prepare_tree, iterate_tree_sum, NULL },
    { "tree_sum_small", { 100, 1000, 3000 }, prepare_small_tree, iterate_small_tree, NULL },
    { "matmul", { 256, 1024, 1024 }, prepare_matmul, iterate_matmul, verify_matmul },
    { "matmul_2048", { 256, 2048, 2048 }, prepare_matmul, iterate_matmul, verify_matmul },
    { NULL, { 0, 0, 0 }, NULL, NULL, NULL },
};

/* ---- bursts ---------------------------------------------------------------------------------------------------- */

enum { BURST_FIB = 21, BURST_PAUSE_NS = 200000, BURSTS_IN_A_ROW = 25 };

struct cost {
    double wall, cpu, wakes;
};

static double wakes_so_far(const struct forkjoin *on) { return on->wakes != NULL ? on->wakes() : 0; }

/* Adds what a row of bursts costs. The pauses count for the processor time, but not for the wall time. */
static void burst(const struct forkjoin *on, const struct forkjoin *whose, struct cost *cost)
{
    double cpu = work_cpu_ns(), wakes = wakes_so_far(on);
    for (int i = 0; i < BURSTS_IN_A_ROW; i++) {
        on->rest(BURST_PAUSE_NS);
        uint64_t begin = work_wall_ns();
        work_check("fib", (whose->fib_compute != NULL ? whose->fib_compute : whose->fib)(BURST_FIB), 10946);
        cost->wall += (double)(work_wall_ns() - begin);
    }
    cost->cpu += work_cpu_ns() - cpu;
    cost->wakes += wakes_so_far(on) - wakes;
}

static void measure_bursts(const struct forkjoin *on, enum forkjoin_effort effort)
{
    int rows = repeats(on, effort == FORKJOIN_FULL ? 40 : 20);
    struct cost warm = { .wall = 0 }, own = { .wall = 0 }, serial = { .wall = 0 };
    burst(on, on, &warm);
    burst(on, &forkjoin_serial, &warm);
    for (int i = 0; i < rows; i++) {
        burst(on, on, &own);
        burst(on, &forkjoin_serial, &serial);
    }
    double bursts = rows * (double)BURSTS_IN_A_ROW;
    work_print("-", own.wall / bursts, "ns/op");
    work_print("cpu", own.cpu / bursts, "ns/op");
    if (on->wakes != NULL)
        work_print("wakes_per_op", own.wakes / bursts, "wakes");
    work_print("to_serial", own.wall / serial.wall, "times");
}

/* ---- measuring -------------------------------------------------------------------------------------------------- */

enum forkjoin_effort forkjoin_effort_of(int seconds) { return seconds < 10 ? FORKJOIN_QUICK : FORKJOIN_FULL; }

struct forkjoin_call forkjoin_parse(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: DRIVER NAME WORKERS SECONDS\n", stderr);
        exit(2);
    }
    return (struct forkjoin_call){ argv[1], atoi(argv[2]), forkjoin_effort_of(atoi(argv[3])) };
}

static int64_t iterate_once(const struct forkjoin_bench *bench, const struct forkjoin *on, int size, struct cost *cost)
{
    if (bench->prepare != NULL)
        bench->prepare(size);
    double wakes = wakes_so_far(on), cpu = work_cpu_ns();
    uint64_t begin = work_wall_ns();
    int64_t ops = bench->iterate(on, size);
    cost->wall = (double)(work_wall_ns() - begin);
    cost->cpu = work_cpu_ns() - cpu;
    cost->wakes = wakes_so_far(on) - wakes;
    if (bench->verify != NULL)
        bench->verify(size);
    return ops;
}

static void measure(const struct forkjoin_bench *bench, const struct forkjoin *on, enum forkjoin_effort effort,
                    bool is_twin)
{
    struct cost cost, unused;
    iterate_once(bench, on, bench->sizes[FORKJOIN_WARM], &unused);
    double ops = (double)iterate_once(bench, on, bench->sizes[effort], &cost);
    work_print("-", cost.wall / ops, "ns/op");
    work_print("cpu", cost.cpu / ops, "ns/op");
    if (on->wakes != NULL)
        work_print("wakes_per_op", cost.wakes / ops, "wakes");
    if (is_twin)
        iterate_once(bench, on, bench->sizes[effort], &unused);
}

static const struct forkjoin_bench *find(const struct forkjoin_bench *benches, const char *name, size_t length)
{
    while (benches->name != NULL && (strlen(benches->name) != length || strncmp(benches->name, name, length) != 0))
        benches++;
    return benches->name != NULL ? benches : NULL;
}

bool forkjoin_measure(const struct forkjoin *on, const char *name, enum forkjoin_effort effort)
{
    if (strcmp(name, "bursts") == 0) {
        measure_bursts(on, effort);
        return true;
    }
    size_t length = strcspn(name, "/");
    const struct forkjoin_bench *bench = find(forkjoin_of_trees, name, length);
    if (bench == NULL)
        bench = find(forkjoin_of_loops, name, length);
    if (bench == NULL)
        return false;
    measure(bench, on, effort, strcmp(name + length, "/twin") == 0);
    return true;
}
