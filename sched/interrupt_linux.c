/* See interrupt.h. */
#define _GNU_SOURCE
#include "sched/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <unwind.h>

#include "sched/awaited.h"
#include "sched/handoff.h"
#include "sched/overflow.h"
#include "sched/scheduler.h"
#include "sched/watchdog.h"

enum { IDLE, ASKED, ANSWERING, ANSWERED }; /* Q1 to Q3 */

enum {
    SIGNALS_MAX = 64,
    /* A thread that has to wait for its processor may take long; nobody waits for the asker meanwhile. Untuned. */
    ANSWER_NS = 1000000000,
    SLICE_NS = 50000000 /* between two looks at whether to give up early */
};

/* What the handler cannot do without. It reads `before`, which is written before it is installed. */
static struct {
    struct sigaction before;
    /* guarded by lock */
    unsigned users;
    bool is_covered; /* at the last uninstall another handler lay over ours */
} installed[SIGNALS_MAX + 1];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* never taken in the handler */

/* ---- the handler ------------------------------------------------------------------------------------------------ */

/* What lies below the function that was interrupted is the handler. (ThreadSanitizer calls handlers where it likes:
 * then nothing is known to be interrupted, and all is kept.) */
static _Unwind_Reason_Code note(struct _Unwind_Context *context, void *arg)
{
    struct skuai_interrupt *interrupt = arg;
    int was_interrupted = 0;
    void *address = (void *)_Unwind_GetIPInfo(context, &was_interrupted);
    if (was_interrupted && !interrupt->met) {
        interrupt->met = true;
        interrupt->count = 0;
    }
    if (address == NULL || interrupt->count == SKUAI_INTERRUPT_FRAMES)
        return _URC_END_OF_STACK;
    interrupt->addresses[interrupt->count++] = address;
    return _URC_NO_REASON;
}

/* Q4: what is there when a fault ends it is kept. */
static __attribute__((noinline)) void walk_up(struct skuai_interrupt *interrupt, const skua_task *task)
{
    interrupt->count = 0;
    interrupt->met = false;
    interrupt->root = NULL;
    if (sigsetjmp(interrupt->escape, 1) == 0) {
        interrupt->walks = 1;
        const skua_frame *root = task != NULL ? skuai_task_root((skua_task *)(uintptr_t)task) : NULL;
        if (root != NULL)
            interrupt->root = root->poll;
        (void)_Unwind_Backtrace(note, interrupt);
    }
    interrupt->walks = 0;
}

void skuai_interrupt_escape(struct skuai_worker *worker)
{
    if (worker->watch != NULL && worker->watch->interrupt.walks)
        siglongjmp(worker->watch->interrupt.escape, 1);
}

/* Q2. */
static void answer(struct skuai_worker *worker, struct skuai_interrupt *interrupt)
{
    if (!skuai_handoff_claim(&interrupt->state, ASKED, ANSWERING))
        return;
    interrupt->is_over = worker->task != interrupt->task ||
                         skuai_load_64(&worker->counters.polls, SKUAI_RELAXED) != interrupt->polls; /* its own */
    if (!interrupt->is_over)
        walk_up(interrupt, interrupt->task);
    skuai_handoff_give(&interrupt->state, ANSWERED);
    skuai_word_wake_real(&interrupt->state);
}

static void chain(int number, siginfo_t *info, void *ucontext)
{
    const struct sigaction *before = &installed[number].before;
    bool is_default = !(before->sa_flags & SA_SIGINFO) && before->sa_handler == SIG_DFL;
    if (!is_default || number != SIGURG) /* by default it is ignored */
        skuai_signal_chain(before, number, info, ucontext);
}

/* Ours has the table's address for a value, which nobody else has; one to a thread that is no worker any more is too
 * late. */
static void on_signal(int number, siginfo_t *info, void *ucontext)
{
    int error = errno;
    struct skuai_worker *worker = skuai_worker_self();
    if (info->si_code != SI_QUEUE || info->si_value.sival_ptr != &installed)
        chain(number, info, ucontext);
    else if (worker != NULL && worker->watch != NULL)
        answer(worker, &worker->watch->interrupt);
    errno = error;
}

/* ---- installing ------------------------------------------------------------------------------------------------- */

bool skuai_interrupt_may_use(int number)
{
    return number == SIGURG || number == SIGUSR1 || number == SIGUSR2 ||
           (number >= SIGRTMIN && number <= SIGRTMAX && number <= SIGNALS_MAX);
}

int skuai_interrupt_default(void) { return SIGURG; }

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_signal;
}

static _Unwind_Reason_Code stop(struct _Unwind_Context *context, void *arg)
{
    (void)context;
    (void)arg;
    return _URC_END_OF_STACK;
}

/* If the application had put a handler over ours, which may call ours, it stays where it is: else they would call each
 * other for ever. */
static int take_over_locked(int number)
{
    struct sigaction current;
    if (sigaction(number, NULL, &current) != 0)
        return -skua_errno();
    if (is_ours(&current))
        return 0;
    bool is_default = !(current.sa_flags & SA_SIGINFO) && current.sa_handler == SIG_DFL;
    if (installed[number].is_covered && !is_default)
        return 0;
    installed[number].before = current;
    installed[number].is_covered = false;
    struct sigaction action = { .sa_sigaction = on_signal,
                                .sa_mask = current.sa_mask,
                                .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
    return sigaction(number, &action, NULL) == 0 ? 0 : -skua_errno();
}

int skuai_interrupt_install(int number)
{
    int rc = 0;
    (void)_Unwind_Backtrace(stop, NULL); /* so that what the unwinder does once, is done outside of a handler */
    skuai_interrupt_lock();
    if (installed[number].users == 0)
        rc = take_over_locked(number);
    if (rc == 0)
        installed[number].users++;
    skuai_interrupt_unlock();
    return rc;
}

void skuai_interrupt_uninstall(int number)
{
    struct sigaction current;
    skuai_interrupt_lock();
    if (--installed[number].users == 0 && sigaction(number, NULL, &current) == 0) {
        installed[number].is_covered = !is_ours(&current);
        if (!installed[number].is_covered)
            (void)sigaction(number, &installed[number].before, NULL);
    }
    skuai_interrupt_unlock();
}

void skuai_interrupt_open(int number)
{
    sigset_t open;
    sigemptyset(&open);
    sigaddset(&open, number);
    pthread_sigmask(SIG_UNBLOCK, &open, NULL);
}

void skuai_interrupt_lock(void) { pthread_mutex_lock(&lock); }
void skuai_interrupt_unlock(void) { pthread_mutex_unlock(&lock); }

/* ---- asking ----------------------------------------------------------------------------------------------------- */

/* Q3. */
static enum skuai_interrupt_end wait_for_answer(struct skuai_interrupt *interrupt, skua_word32 *stops)
{
    uint64_t now, until = skuai_clock_now() + ANSWER_NS;
    for (;;) {
        uint32_t state = skuai_handoff_look(&interrupt->state);
        if (state == ANSWERED)
            return interrupt->is_over ? SKUAI_INTERRUPT_OVER : SKUAI_INTERRUPT_ANSWERED;
        now = skuai_clock_now();
        bool is_late = now >= until || skuai_load_32(stops, SKUAI_RELAXED) != 0; /* no data behind it */
        if (state == ASKED && is_late && skuai_handoff_withdraw(&interrupt->state, ASKED, IDLE))
            return SKUAI_INTERRUPT_SILENT; /* nothing was written */
        if (state == ANSWERING && now >= until + ANSWER_NS)
            return SKUAI_INTERRUPT_SILENT;
        skuai_word_wait_real(&interrupt->state, state, now + SLICE_NS);
    }
}

enum skuai_interrupt_end skuai_interrupt_ask(struct skuai_interrupt *interrupt, const struct skuai_thread *thread,
                                             int number, skua_word32 *stops)
{
    struct sigaction current;
    uint64_t self = skuai_load_64(&thread->self, SKUAI_RELAXED); /* a name, no more */
    if (self == 0)
        return SKUAI_INTERRUPT_OVER;
    /* The last answer, if it came too late, is written by now. */
    if (skuai_handoff_look(&interrupt->state) == ANSWERING)
        return SKUAI_INTERRUPT_SILENT;
    if (sigaction(number, NULL, &current) != 0 || !is_ours(&current))
        return SKUAI_INTERRUPT_COVERED;
    skuai_handoff_give(&interrupt->state, ASKED);
    if (pthread_sigqueue((pthread_t)(uintptr_t)self, number, (union sigval){ .sival_ptr = &installed }) != 0 &&
        skuai_handoff_withdraw(&interrupt->state, ASKED, IDLE))
        return SKUAI_INTERRUPT_NONE;
    return wait_for_answer(interrupt, stops);
}
