/* Readiness of any descriptor, for libraries that do their own reading and writing: database clients, TLS, curl.
 *
 *     skua_fd *watch;
 *     skua_fd_open(&watch, NULL, PQsocket(connection));
 *     while (PQisBusy(connection)) {
 *         int ready = skua_fd_wait(watch, SKUA_READABLE);      // suspends the task, not the worker
 *         if (ready < 0 || !PQconsumeInput(connection))
 *             break;
 *     }
 *     skua_fd_close(watch);                                    // the descriptor stays open: it is the library's
 *
 * A wait looks at the descriptor's state when it begins, so it does not matter how much the library has read or written
 * since the last one. examples/libraries/hiredis.c is a whole client.
 */
#ifndef SKUA_FD_H
#define SKUA_FD_H

#include "skua/base.h"
#include "skua/future.h"

SKUA_BEGIN_DECLS

/* A watch of a descriptor; made by skua_fd_open(). */
typedef struct skua_fd skua_fd;

/* What to wait for, and what has come. HANGUP and ERROR are told whether or not they were asked for. */
enum skua_readiness {
    SKUA_READABLE = 1, /* a read will not wait, or has come to the end */
    SKUA_WRITABLE = 2, /* a write will not wait */
    SKUA_HANGUP = 4,   /* the other side is gone: POLLHUP */
    SKUA_ERROR = 8,    /* POLLERR */
    SKUA_URGENT = 16   /* out-of-band data, and what else POLLPRI stands for */
};

/* Watches a descriptor, which stays the caller's: it is not changed, and not closed. At most one watch of a descriptor
 * in a runtime at a time. `rt`: whose workers watch it; NULL: the calling task's.
 * Threads: any. Blocks: never. Returns: 0; -EINVAL (no runtime); -EBUSY (the runtime has a watch or a stream of it);
 * -ENOTSUP (in a simulation); -ENOMEM, -EMFILE, -ENFILE. */
SKUA_API SKUA_NODISCARD int skua_fd_open(skua_fd **watch, skua_runtime *rt, int fd);

/* Ends the watch, before the descriptor is closed, which may be done as soon as this has returned. Waits in it end with
 * -ECANCELED. Threads: any, once. */
SKUA_API void skua_fd_close(skua_fd *watch);

/* Waits until the descriptor is ready for one of the events asked for (SKUA_READABLE, SKUA_WRITABLE, SKUA_URGENT,
 * ored). A descriptor that cannot be polled, as a regular file, is always ready.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); futures: skua_fd_wait_start(). Several
 *   may wait at once; all are told.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing was waited for in vain: the next wait looks again.
 * Returns: what it is ready for, ored, at least one; -ECANCELED (also: the watch was closed); -ETIMEDOUT; -EINVAL (no
 *   event); -EBADF (the watch is closed, or the descriptor); what else the kernel's poller says. */
SKUA_API int skua_fd_wait(skua_fd *watch, uint32_t events);
SKUA_API int skua_fd_wait_until(skua_fd *watch, uint32_t events, uint64_t instant_ns);
/* Without waiting: 0 if it is not ready. Also where nothing may wait. */
SKUA_API int skua_fd_poll(skua_fd *watch, uint32_t events);

/* The wait as a future, as a member of the frame that awaits it. Fields belong to the runtime. */
typedef struct skua_fd_waiting {
    SKUA_FRAME;
    skua_fd *watch;
    uint32_t events;
    uint32_t reserved;
    skua_op waits[2]; /* one for each direction */
    skua_op *arms[2];
    void *selection[12];
} skua_fd_waiting;
SKUA_API skua_frame *skua_fd_wait_start(skua_fd_waiting *waiting, skua_fd *watch, uint32_t events);

SKUA_END_DECLS

#endif
