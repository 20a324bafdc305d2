/* What a benchmark in C sees of the harness, which is Google Benchmark behind harness.cc.
 *
 *     static void run(struct bench_state *state)
 *     {
 *         while (bench_next(state))                     // one iteration: bench->ops operations
 *             …;
 *     }
 *     BENCH_FILE
 *     {
 *         bench_register(&(struct bench){ .name = "inject", .runtime = BENCH_OURS, .run = run, .ops = 10000 });
 *     }
 *
 * Wall time and the CPU time of all threads run from the first bench_next() to the last. Benchmarks are run in rounds:
 * in each all of them once, in the order of their names' registration, the runtimes of one name in random order. The
 * report gives medians over rounds. A benchmark may be measured under several runtimes: same name and arguments,
 * another `runtime`; the project's own ones begin with BENCH_OURS and are compared with the others, and behind an "@"
 * stands the number of workers, if there are any.
 */
#ifndef SKUA_BENCH_HARNESS_H
#define SKUA_BENCH_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_OURS "skua"
#define BENCH_FLOOR "floor"   /* what no runtime can do without: compared with, but not as a peer */
#define BENCH_SERIAL "serial" /* likewise: the same without a runtime */
#define BENCH_TWIN "twin"     /* two serial processes at once: what the machine gains by a second processor */
enum { BENCH_ARGS = 4 };

struct bench_state;

struct bench {
    const char *name;
    const char *runtime;
    void (*run)(struct bench_state *state);
    const void *context; /* for run: bench_context() */
    double ops;          /* operations per iteration */
    bool self_timed;     /* run calls bench_set_time() in each iteration */
    bool gives_figures;  /* run is called once per round and gives bench_figure()s; no bench_next() */
    int every;           /* measured only in every so-manyeth round, from the first on; 0: in all */
    bool full_only;      /* not with --quick */
    struct {
        const char *name; /* NULL: no more arguments */
        int value;
    } args[BENCH_ARGS];
};

/* Before main, from a BENCH_FILE block. The structure is copied, the strings and the context are not. */
void bench_register(const struct bench *bench);

#define BENCH_FILE                                                  \
    static void bench_file(void) __attribute__((constructor, used)); \
    static void bench_file(void)

/* The loop's condition. */
bool bench_next(struct bench_state *state);

void bench_set_time(struct bench_state *state, uint64_t wall_ns, uint64_t cpu_ns);

const void *bench_context(const struct bench_state *state);
int bench_arg(const struct bench_state *state, int index);
const char *bench_name(const struct bench_state *state);
bool bench_is_quick(const struct bench_state *state);

/* A final value: "-" is the benchmark's main figure, others are reported as <name>.<figure>. */
void bench_figure(struct bench_state *state, const char *figure, double value, const char *unit);

/* The benchmark is reported as failed, with this text. The loop ends. */
void bench_fail(struct bench_state *state, const char *why);

#ifdef __cplusplus
}
#endif

#endif
