/* What all drivers in C and C++ share: checks, clocks, and the lines of output. */
#ifndef SKUA_BENCH_MEASURE_H
#define SKUA_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Ends the process with a message. */
__attribute__((noreturn)) void work_die(const char *what, const char *why);

/* Ends the process if a count is wrong, as it would be if tasks were lost or ran twice. */
void work_check(const char *what, int64_t found, int64_t expected);

/* A line of the driver's output. "-" is the benchmark's main figure. */
void work_print(const char *figure, double value, const char *unit);

uint64_t work_wall_ns(void);

/* Processor time of the whole process. */
double work_cpu_ns(void);

/* Memory that begins a cache line, or the end of the process. */
void *work_memory(size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
