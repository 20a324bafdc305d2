/* What a benchmark in C sees of the harness, which is Google Benchmark behind harness.cc.
 *
 *     static void run(struct bench_state *state)
 *     {
 *         while (bench_next(state))                     // one iteration: bench->ops operations
 *             …;
 *         bench_count(state, "wakes", wakes);           // of all iterations together; reported per operation
 *     }
 *     BENCH_FILE
 *     {
 *         bench_register(&(struct bench){ .name = "spawn_many", .runtime = "skua", .run = run, .ops = 10000 });
 *     }
 *
 * Wall time and the CPU time of all threads run from the first bench_next() to the last, less what lies between
 * bench_pause() and bench_resume(). A benchmark is run once per repetition; the report gives medians over repetitions.
 * A benchmark may be measured under several runtimes: same name and arguments, another `runtime`; the project's own is
 * called BENCH_OURS and the report compares the others with it.
 */
#ifndef SKUA_BENCH_HARNESS_H
#define SKUA_BENCH_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_OURS "skua"
enum { BENCH_ARGS = 4 };

struct bench_state;

struct bench {
    const char *name;
    const char *runtime;
    void (*run)(struct bench_state *state);
    const void *context; /* for run: bench_context() */
    double ops;          /* operations per iteration */
    bool self_timed;     /* run calls bench_set_time() in each iteration, and neither pauses nor resumes */
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

/* The loop's condition. One thread at a time, but not always the same one: it may be called in a fiber. */
bool bench_next(struct bench_state *state);

void bench_pause(struct bench_state *state);
void bench_resume(struct bench_state *state);
void bench_set_time(struct bench_state *state, uint64_t wall_ns, uint64_t cpu_ns);

const void *bench_context(const struct bench_state *state);
int bench_arg(const struct bench_state *state, int index);

/* After the loop. `name` is what is counted, over all iterations: "wakes" is reported as wakes/op. */
void bench_count(struct bench_state *state, const char *name, double total);

/* The benchmark is reported as failed, with this text. The loop ends. */
void bench_fail(struct bench_state *state, const char *why);

#ifdef __cplusplus
}
#endif

#endif
