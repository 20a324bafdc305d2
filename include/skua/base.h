/* What every Skua header needs: linkage, attributes, units of time, errors, version.
 *
 * Errors: a function that can fail returns 0 or a count on success and a negative errno value on failure, as
 * liburing and libuv do (`-ECANCELED`, `-ETIMEDOUT`, …); skua_strerror() explains them. `errno` itself is neither
 * set nor kept: a task may continue on another thread after any call that waits, where `errno` is another variable.
 */
#ifndef SKUA_BASE_H
#define SKUA_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skua/word.h"

/* The version of these headers; skua_version() is that of the library. */
#define SKUA_VERSION_MAJOR 0
#define SKUA_VERSION_MINOR 1
#define SKUA_VERSION_PATCH 0

#if defined(__GNUC__) || defined(__clang__)
/* Of functions of the library: visible outside of it. */
#define SKUA_API __attribute__((visibility("default")))
/* Of functions whose result must be looked at: compilers warn if it is not. */
#define SKUA_NODISCARD __attribute__((warn_unused_result))
#else
#error "Skua needs gcc or clang (it uses their attributes and __typeof__)"
#endif

#ifdef __cplusplus
/* Around the declarations of a header: C names, also in C++. */
#define SKUA_BEGIN_DECLS extern "C" {
#define SKUA_END_DECLS }
#else
#define SKUA_BEGIN_DECLS
#define SKUA_END_DECLS
#endif

/* Durations and instants are uint64_t nanoseconds; instants count from an arbitrary start and never jump
 * (CLOCK_MONOTONIC; virtual time in a simulation). `250 * SKUA_MS` is a quarter of a second. */
#define SKUA_NS UINT64_C(1)
#define SKUA_US UINT64_C(1000)
#define SKUA_MS UINT64_C(1000000)
#define SKUA_S UINT64_C(1000000000)
/* As an instant or a duration: never. */
#define SKUA_NEVER UINT64_MAX

SKUA_BEGIN_DECLS

typedef struct skua_runtime skua_runtime; /* workers, and the tasks that they run: runtime.h */
typedef struct skua_task skua_task;       /* a handle to what is scheduled, joined and cancelled: task.h */
typedef struct skua_op skua_op;           /* a wait: op.h */
typedef struct skua_frame skua_frame;     /* a future's first member: future.h */

/* The version of the library that runs, "0.1.0". Threads: any. */
SKUA_API const char *skua_version(void);

/* The text for a negative errno value, or for 0 ("success"). Where Skua gives an errno value a meaning of its own
 * (`-ECANCELED`: the task was cancelled) the text says that meaning.
 * Threads: any. Blocks: never. The text is static. */
SKUA_API const char *skua_strerror(int error);

/* The calling thread's `errno`, for code in fibers that calls the C library on both sides of a wait. Compilers compute
 * the address behind the macro `errno` once per function, and after a wait it may be another thread's:
 *     n = read(fd, …); error = n < 0 ? -skua_errno() : 0;
 * Threads: any. */
SKUA_API int skua_errno(void);

SKUA_END_DECLS

#endif
