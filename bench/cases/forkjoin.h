/* The fork-join benchmarks in C and C++ (bench/README.md says what each is): sizes, input, checks and clocks are here
 * and the same for all; a runtime only says how it runs the kernels. kernels.h has them for Skua and, by other macros,
 * serially; TBB and OpenMP have their own (bench/peers/).
 */
#ifndef SKUA_BENCH_FORKJOIN_H
#define SKUA_BENCH_FORKJOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tree {
    const struct tree *left, *right;
    int64_t value;
};

/* A loop whose body takes a while: the body of i is work_fine(), its result goes to results[i]. */
struct fine {
    uint32_t *results;
    uint32_t steps;
};

/* What a runtime does. NULL: it does not take part in this. Called in a task, if the runtime has such a thing. */
struct forkjoin {
    long (*fib)(int n);
    long (*fib_compute)(int n); /* by jobs that may not wait */
    int64_t (*skynet)(int64_t first, int64_t leaves);
    long (*nqueens)(uint32_t all, uint32_t columns, uint32_t left, uint32_t right);
    int64_t (*tree_sum)(const struct tree *tree);
    void (*matmul)(double *c, const double *a, const double *b, size_t n, size_t stride);
    void (*loop)(const struct fine *fine, size_t count);
    int64_t (*reduce_int64)(const int64_t *values, size_t count);
    double (*reduce_double)(const double *values, size_t count);
    void (*sort)(uint64_t *values, size_t count);
    void (*rest)(uint64_t pause_ns); /* sleep */
    double (*wakes)(void);           /* kernel wake-ups sent to workers so far */
    int fib_most, nqueens_most;      /* the greatest that it runs in a reasonable time; 0: any */
    int patience;                    /* what is repeated is repeated so many times less; 0: as often as by others */
};

/* Of kernels.h, without a runtime. */
extern const struct forkjoin forkjoin_serial;

/* How much: to warm up, with --quick, in full. */
enum forkjoin_effort { FORKJOIN_WARM, FORKJOIN_QUICK, FORKJOIN_FULL };

struct forkjoin_bench {
    const char *name;
    int sizes[3]; /* by effort */
    void (*prepare)(int size); /* before each iteration, not measured; or NULL */
    int64_t (*iterate)(const struct forkjoin *on, int size); /* returns how many operations it was */
    void (*verify)(int size); /* after it, not measured; or NULL */
};
extern const struct forkjoin_bench forkjoin_of_trees[], forkjoin_of_loops[]; /* each ends with a NULL name */

/* Runs the named benchmark and prints its figures. A name may end in /twin: the process is one of two that run at once,
 * and keeps its processor busy for a while after the measurement, so that the other one's does not end alone. False:
 * there is no such benchmark. */
bool forkjoin_measure(const struct forkjoin *on, const char *name, enum forkjoin_effort effort);

/* The SECONDS that a driver is called with. */
enum forkjoin_effort forkjoin_effort_of(int seconds);

/* The arguments of a driver. */
struct forkjoin_call {
    const char *name;
    int workers;
    enum forkjoin_effort effort;
};
/* For drivers that have no other benchmarks: of main. Ends the process if there are not so many. */
struct forkjoin_call forkjoin_parse(int argc, char **argv);

enum { MATMUL_BASE = 64 };

/* c += a b, for squares of MATMUL_BASE in larger ones with so many columns. Compiled once, for everybody. */
void matmul_base(double *c, const double *a, const double *b, size_t stride);

/* The body of a fine loop. No step can begin before the one before has ended, and no compiler knows a shorter way. */
static inline uint32_t work_fine(uint32_t i, uint32_t steps)
{
    for (uint32_t step = 0; step < steps; step++) {
        i = i * 747796405u + 2891336453u;
        i ^= i >> 15;
    }
    return i;
}

#ifdef __cplusplus
}
#endif

#endif
