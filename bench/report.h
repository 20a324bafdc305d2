/* What the benchmarks found: samples in, medians with their spread out, as tables and as JSON. One thread. */
#ifndef SKUA_BENCH_REPORT_H
#define SKUA_BENCH_REPORT_H

#ifdef __cplusplus
extern "C" {
#endif

struct bench_report;

/* NULL: no memory. */
struct bench_report *bench_report_create(void);
void bench_report_destroy(struct bench_report *report);

/* One round's value. Processor time and wakes of a benchmark are series of their own, <bench>.cpu and
 * <bench>.wakes_per_op, and shown beside it. Strings are copied; ends the program if there is no memory. */
void bench_report_add(struct bench_report *report, const char *bench, const char *runtime, const char *unit,
                      double value);

/* After all rounds: adds fib.overhead, what a fork costs on one worker beyond the call that it is in the serial
 * program, round by round. */
void bench_report_derive(struct bench_report *report);

/* To stdout: the machine; the project's figures, with the ratio to the best of the others that have as many workers and
 * to the floor, its losses first; the figures of the others; what a second worker brings, and what a second
 * process does. */
void bench_report_print(const struct bench_report *report);

/* A JSON list of {"bench", "runtime", "value", "unit", "min", "max", "n"}; value is the median of n. Returns 0,
 * or -1 with errno. */
int bench_report_write(const struct bench_report *report, const char *path);

#ifdef __cplusplus
}
#endif

#endif
