/* Child processes: started, fed and read through streams, waited for.
 *
 *     skua_process *child;
 *     const char *argv[] = { "sort", "-n", NULL };
 *     skua_process_spawn(&child, &(skua_process_attr){ .argv = argv, .in = SKUA_PIPE, .out = SKUA_PIPE });
 *     skua_write_all(skua_process_in(child), numbers, size);
 *     skua_process_close_in(child);
 *     while ((n = skua_read(skua_process_out(child), buffer, sizeof buffer)) > 0) …
 *     skua_process_wait(child, &status);
 *     skua_process_destroy(child);
 *
 * A child is its parent's: only skua_process_wait() reaps it. (A process that ignores SIGCHLD has the kernel reap its
 * children, and their statuses are lost: -ECHILD.)
 */
#ifndef SKUA_PROCESS_H
#define SKUA_PROCESS_H

#include "skua/base.h"
#include "skua/scope.h"
#include "skua/stream.h"

SKUA_BEGIN_DECLS

/* A child; made by skua_process_spawn(). */
typedef struct skua_process skua_process;

/* Where a standard descriptor of the child goes; or SKUA_TO_FD(fd). */
enum {
    SKUA_INHERIT = 0, /* the caller's */
    SKUA_PIPE = -1,   /* a stream of the caller's: skua_process_in() and so on */
    SKUA_NULL = -2    /* /dev/null */
};
/* To this descriptor of the caller's, which is not closed. */
#define SKUA_TO_FD(fd) ((fd) + 1)

/* Zero everything not needed. */
typedef struct skua_process_attr {
    const char *const *argv; /* the first is looked for in PATH; the last is NULL */
    const char *const *envp; /* NULL: the caller's environment */
    const char *directory;   /* NULL: the caller's */
    int in, out, err;        /* as above */
    bool kill_on_cancel;     /* a wait that is cancelled, or whose deadline passes, kills it first (SIGKILL) */
    bool new_group;          /* the child leads a process group of its own */
    skua_runtime *runtime;   /* NULL: the calling task's */
    void *reserved[4];
} skua_process_attr;

/* How it ended. */
typedef struct skua_process_status {
    int code;   /* of exit(3), if signal is 0 */
    int signal; /* what killed it, or 0 */
    bool dumped_core; /* it has left a core file */
} skua_process_status;

/* Starts one. Its signals are as after an exec: none blocked, all as by default that Skua's threads block or handle.
 * Descriptors that are not close-on-exec are inherited.
 * Threads: fibers and jobs, on a thread of the blocking pool (blocking.h), as making a process takes a while; threads
 *   outside the runtime. Cancel: at -ECANCELED or -ETIMEDOUT nothing was started.
 * Returns: 0; -ENOENT, -EACCES and what else exec fails with; -EINVAL (argv, no runtime); -ENOTSUP (in a simulation);
 *   -EAGAIN, -ENOMEM, -EMFILE, -ENFILE. */
SKUA_API SKUA_NODISCARD int skua_process_spawn(skua_process **process, const skua_process_attr *attr);

/* The other ends of its pipes; NULL if there is none, or it was closed. They are closed with the process. */
SKUA_API skua_stream *skua_process_in(const skua_process *process);
SKUA_API skua_stream *skua_process_out(const skua_process *process);
SKUA_API skua_stream *skua_process_err(const skua_process *process);
/* Closes the pipe that the child reads from, so that it finds the end. */
SKUA_API void skua_process_close_in(skua_process *process);

/* Its process id. Another process may have it once it was waited for. */
SKUA_API int64_t skua_process_id(const skua_process *process);
/* Sends a signal to it, surely to no other process. Returns 0; -ESRCH (it has ended and was waited for); -EINVAL. */
SKUA_API int skua_process_kill(skua_process *process, int signal_number);

/* Waits for its end. One at a time; again, it gives the same status.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); futures: skua_process_wait_start().
 * Cancel: at -ECANCELED or -ETIMEDOUT it runs on, unless it is one to be killed then: then it has been, and waited for.
 * Returns: 0; -ECANCELED; -ETIMEDOUT; -ECHILD (somebody else has reaped it). */
SKUA_API int skua_process_wait(skua_process *process, skua_process_status *status);
/* The wait as a future, as a member of the frame that awaits it; its result is what skua_process_wait() returns. Fields
 * belong to the runtime. */
typedef struct skua_process_waiting {
    SKUA_FRAME;
    skua_process *process;
    skua_process_status *status;
    int rc;
    uint32_t reserved32;
    skua_op wait;
    skua_scope shield;
    void *reserved[2];
} skua_process_waiting;
SKUA_API skua_frame *skua_process_wait_start(skua_process_waiting *waiting, skua_process *process,
                                             skua_process_status *status);
/* As an arm of a select: that it has ended. */
SKUA_API skua_op *skua_process_ended_prepare(skua_op *op, skua_process *process);

/* Closes its streams and forgets it. One that has not been waited for is killed and reaped: no process outlives its
 * handle. Threads: as skua_process_wait(). Blocks: until it is reaped, whatever the caller's cancellation. */
SKUA_API void skua_process_destroy(skua_process *process);

SKUA_END_DECLS

#endif
