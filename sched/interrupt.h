/* The stack of a worker's thread while it runs: a signal to the thread, whose handler walks up from what it has
 * interrupted, by the compiler's unwinder (backtrace.c), and leaves the addresses with the worker.
 *
 *   Q1 ask     who asks (one thread at a time) says which run of which task it means, gives the memory away by the
 *              state ASKED (handoff.h), and sends the signal, with a value that tells it from others'
 *   Q2 answer  the handler claims it from ASKED to ANSWERING, and if that run is still on writes the addresses; then it
 *              gives it back by ANSWERED, and wakes who asked. If the state is not ASKED it does nothing: the signal
 *              comes too late
 *   Q3 wait    ANSWERED: the addresses are the asker's. After a while it withdraws what is still ASKED; if that fails
 *              it waits once more as long, and then leaves the answer alone: as long as the state is ANSWERING nobody
 *              asks again
 * So nobody waits for ever for a thread that does not answer, and an answer that comes too late is written into memory
 * of the worker's own, by the worker's own thread: no worker's memory goes before its thread has ended.
 *
 * The handler takes no lock, unless the unwinder does (libgcc before 12 or glibc before 2.35 take the loader's, for
 * which it then waits). It runs on the worker's signal stack (overflow.h), since a fiber's may be nearly used up; a
 * worker that has none keeps the signal blocked. What it interrupts may be anything: amid a switch to another stack, or
 * in a function whose call frame information is wrong, the unwinder may read memory that is not there. That fault ends
 * the walk and nothing else (Q4): the fault handler of overflow.h asks skuai_interrupt_escape() first.
 *
 * The signal's handler is the process's, as long as a runtime needs it; signals that are not Q1's go to the handler
 * that was there before, as if ours had not been, or to the default action. A handler that the application puts over
 * ours stays, and nobody is asked.
 */
#ifndef SKUAI_INTERRUPT_H
#define SKUAI_INTERRUPT_H

#include <setjmp.h>
#include <signal.h>

#include "sched/env.h"
#include "skua/future.h"

struct skuai_worker;

enum { SKUAI_INTERRUPT_FRAMES = 64 };

struct skuai_interrupt { /* a worker's */
    skua_word32 state; /* Q1 to Q3 */
    /* written before ASKED, by who asks: the run that is meant */
    uint64_t polls;
    const skua_task *task;
    /* written before ANSWERED, by the handler */
    bool is_over;       /* that run has ended */
    skua_poll_fn *root; /* of a task that is a future: its poll function */
    size_t count;
    void *addresses[SKUAI_INTERRUPT_FRAMES]; /* as skuai_backtrace()'s, but that the first is where it was */
    /* the handler's and the fault handler's, of one thread: Q4 */
    volatile sig_atomic_t walks;
    bool met;
    sigjmp_buf escape;
};

enum skuai_interrupt_end {
    SKUAI_INTERRUPT_ANSWERED,
    SKUAI_INTERRUPT_OVER,    /* the run that was meant has ended */
    SKUAI_INTERRUPT_SILENT,  /* the thread has not answered in time */
    SKUAI_INTERRUPT_COVERED, /* the program has put another handler over ours */
    SKUAI_INTERRUPT_NONE     /* the signal cannot be sent, or there is no way to ask on this system */
};

/* Signals that can be used for it: SIGURG, as nobody minds it, SIGUSR1, SIGUSR2, and the realtime ones. */
bool skuai_interrupt_may_use(int number);
int skuai_interrupt_default(void);

/* Counted for each signal. Returns 0 or a negative errno value. */
__attribute__((warn_unused_result)) int skuai_interrupt_install(int number);
void skuai_interrupt_uninstall(int number);
/* Opens the signal in the calling thread, which is a worker's and has a signal stack. */
void skuai_interrupt_open(int number);

/* Q1 and Q3, of the worker's run that interrupt->polls and ->task say. Gives up early if *stops is not 0. The thread
 * has not been joined. */
enum skuai_interrupt_end skuai_interrupt_ask(struct skuai_interrupt *interrupt, const struct skuai_thread *thread,
                                             int number, skua_word32 *stops);

/* Q4. By a handler of faults: does not return if the worker, the calling thread's, walks up a stack. */
void skuai_interrupt_escape(struct skuai_worker *worker);

/* Around a fork, so that the child finds the installations whole. */
void skuai_interrupt_lock(void);
void skuai_interrupt_unlock(void);

#endif
