/* Signals, waited for like anything else.
 *
 *     skua_signals *stop;
 *     skua_signals_open(&stop, NULL, (const int[]){ SIGINT, SIGTERM }, 2);
 *     int number = skua_signal_wait(stop);                 // SIGINT or SIGTERM
 *
 * While a signal is watched it does nothing else: its handler is Skua's, and what it did before comes back when the
 * last watch of it is closed. Several watches of one signal are all told. Like the kernel's, signals of one number that
 * come before the first is waited for are one.
 */
#ifndef SKUA_SIGNAL_H
#define SKUA_SIGNAL_H

#include "skua/base.h"
#include "skua/future.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* A watch of some signals; made by skua_signals_open(). */
typedef struct skua_signals skua_signals;

/* Watches signals, which must not be blocked in every thread of the process (workers block all; the thread that main()
 * runs on usually none). SIGKILL, SIGSTOP and those that report faults cannot be watched.
 * Threads: any. Blocks: never. Returns: 0; -EINVAL (a signal that cannot be watched, none, no runtime); -ENOTSUP (in a
 *   simulation); -ENOSPC (64 watches are open in the process); -ENOMEM, -EMFILE, -ENFILE. */
SKUA_API SKUA_NODISCARD int skua_signals_open(skua_signals **signals, skua_runtime *rt, const int *numbers, int count);

/* Waits for one of them. Threads: fibers and jobs (suspended), threads outside the runtime (blocked); futures:
 * skua_signal_wait_start(). Cancel: at -ECANCELED or -ETIMEDOUT none was taken. Returns: its number; the lowest if
 * several have come; -ECANCELED (also: it was closed); -ETIMEDOUT. */
SKUA_API int skua_signal_wait(skua_signals *signals);
/* Without waiting: -EAGAIN. */
SKUA_API int skua_signal_try_wait(skua_signals *signals);
/* As an arm of a select: that one has come, to be taken by skua_signal_try_wait(), which may find none: somebody else
 * has taken it, or it was taken before its news arrived. */
SKUA_API skua_op *skua_signal_pending_prepare(skua_op *op, skua_signals *signals);

/* The wait as a future, as a member of the frame that awaits it; its result is what skua_signal_wait() returns. Fields
 * belong to the runtime. */
typedef struct skua_signal_waiting {
    SKUA_FRAME;
    void *source, *slot;
    int number;
    uint32_t reserved32;
    skua_op wait;
    void *reserved[2];
} skua_signal_waiting;
SKUA_API skua_frame *skua_signal_wait_start(skua_signal_waiting *waiting, skua_signals *signals);
/* Ends the watch; waits in it end with -ECANCELED. Threads: any, once. */
SKUA_API void skua_signals_close(skua_signals *signals);

SKUA_END_DECLS

#endif
