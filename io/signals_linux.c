/* Signals by a handler, not by signalfd, which would have to have them blocked in every thread of the application.
 *
 *   N1 watch   a watch takes a slot of a table that the handler can read: first its eventfd and pending bits, then the
 *              mask of its signals. A signal's first watch installs the handler
 *   N2 handle  for each slot whose mask has the signal: the pending bit is set, then the eventfd written. Async-signal
 *              safe: atomics and write(2)
 *   N3 wait    the eventfd is read, then one pending bit taken; if more are left the eventfd is written again, for
 *              others
 *   N4 unwatch the last watch of a signal puts the old handler back; then the slot's mask is cleared; then it waits
 *              until no handler is inside the table, and only then is the eventfd closed
 * The table is process-wide, as signals are: a handler has nothing else to go by. Who has a thread of his own to wait
 * with (runtime/sigquit.c) watches by an eventfd alone.
 */
#define _GNU_SOURCE
#include "skua/signal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/driver.h"
#include "io/signals.h"
#include "sched/rundown.h"
#include "sched/wait.h"

enum { WATCHES_MAX = 64, SIGNALS_MAX = 64 };

static struct skuai_signal_slot {
    skua_word64 mask;    /* bit n - 1: signal n; 0: a free slot */
    skua_word64 pending; /* likewise */
    skua_word32 fd;
} slots[WATCHES_MAX];
static struct skuai_rundown handlers; /* inside the table */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    uint32_t watches;
    struct sigaction before;
} installed[SIGNALS_MAX + 1]; /* guarded by lock */

struct skua_signals {
    struct skuai_source *source;
    struct skuai_signal_slot *slot;
};

static uint64_t bit_of_signal(int number) { return UINT64_C(1) << (number - 1); }

static void ring(int fd)
{
    const uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one); /* it cannot be full before 2^64 signals */
    (void)n;
}

/* N2. errno belongs to whoever was interrupted. */
static void handle(int number)
{
    int error = errno;
    skuai_rundown_enter(&handlers);
    for (int i = 0; i < WATCHES_MAX; i++) {
        struct skuai_signal_slot *slot = &slots[i];
        if (!(skuai_load_64(&slot->mask, SKUAI_SEQ_CST) & bit_of_signal(number))) /* R1 (rundown.h) */
            continue;
        skuai_or_64(&slot->pending, bit_of_signal(number), SKUAI_RELEASE); /* pairs with N3's acquire */
        ring((int)skuai_load_32(&slot->fd, SKUAI_RELAXED));                /* published by the mask */
    }
    skuai_rundown_leave(&handlers);
    errno = error;
}

/* ---- watching ---------------------------------------------------------------------------------------------------- */

static void uninstall_locked(int number)
{
    if (--installed[number].watches == 0)
        (void)sigaction(number, &installed[number].before, NULL);
}

static int install_locked(int number)
{
    if (installed[number].watches == 0) {
        struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
        sigfillset(&action.sa_mask);
        if (sigaction(number, &action, &installed[number].before) != 0)
            return -skua_errno();
    }
    installed[number].watches++;
    return 0;
}

static void uninstall_mask_locked(uint64_t mask)
{
    for (int number = 1; number <= SIGNALS_MAX; number++)
        if (mask & bit_of_signal(number))
            uninstall_locked(number);
}

static int install_mask_locked(uint64_t mask)
{
    for (int number = 1; number <= SIGNALS_MAX; number++) {
        int rc = mask & bit_of_signal(number) ? install_locked(number) : 0;
        if (rc < 0) {
            uninstall_mask_locked(mask & (bit_of_signal(number) - 1));
            return rc;
        }
    }
    return 0;
}

static struct skuai_signal_slot *take_slot_locked(int fd, uint64_t mask)
{
    for (int i = 0; i < WATCHES_MAX; i++) {
        if (skuai_load_64(&slots[i].mask, SKUAI_RELAXED) != 0) /* changes under the lock */
            continue;
        skuai_store_64(&slots[i].pending, 0, SKUAI_RELAXED);
        skuai_store_32(&slots[i].fd, (uint32_t)fd, SKUAI_RELAXED);
        skuai_store_64(&slots[i].mask, mask, SKUAI_SEQ_CST); /* N1: publishes the rest */
        return &slots[i];
    }
    return NULL;
}

/* N1. */
static int watch(struct skuai_signal_slot **slot, uint64_t mask, int fd)
{
    pthread_mutex_lock(&lock);
    int rc = install_mask_locked(mask);
    if (rc == 0 && (*slot = take_slot_locked(fd, mask)) == NULL) {
        uninstall_mask_locked(mask);
        rc = -ENOSPC;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

int skuai_signal_watch(struct skuai_signal_slot **slot, int number, int fd)
{
    return watch(slot, bit_of_signal(number), fd);
}

/* N4. */
void skuai_signal_unwatch(struct skuai_signal_slot *slot)
{
    pthread_mutex_lock(&lock);
    uninstall_mask_locked(skuai_load_64(&slot->mask, SKUAI_RELAXED)); /* changes under the lock */
    skuai_store_64(&slot->mask, 0, SKUAI_SEQ_CST);                    /* R2 (rundown.h) */
    pthread_mutex_unlock(&lock);
    while (!skuai_rundown_is_over(&handlers))
        skuai_pause();
}

static bool can_be_watched(int number)
{
    switch (number) {
    case SIGKILL:
    case SIGSTOP:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS:
        return false;
    default:
        return number >= 1 && number <= SIGNALS_MAX;
    }
}

int skua_signals_open(skua_signals **out, skua_runtime *rt, const int *numbers, int count)
{
    uint64_t mask = 0;
    for (int i = 0; i < count; i++) {
        if (!can_be_watched(numbers[i]))
            return -EINVAL;
        mask |= bit_of_signal(numbers[i]);
    }
    if (mask == 0)
        return -EINVAL;
    skua_signals *signals = malloc(sizeof *signals);
    if (signals == NULL)
        return -ENOMEM;
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int rc = fd >= 0 ? skuai_source_open(rt, fd, false, &signals->source) : -skua_errno();
    if (rc < 0) {
        if (fd >= 0)
            (void)close(fd);
        free(signals);
        return rc;
    }
    /* Nobody has rung yet, and what rings before it is armed is told of when it is. */
    skuai_source_drained(signals->source, skuai_source_readiness(signals->source), SKUAI_READING);
    rc = watch(&signals->slot, mask, fd);
    if (rc < 0) {
        (void)skuai_source_close(signals->source);
        free(signals);
        return rc;
    }
    *out = signals;
    return 0;
}

void skua_signals_close(skua_signals *signals)
{
    skuai_signal_unwatch(signals->slot);
    (void)skuai_source_close(signals->source);
    free(signals);
}

/* ---- waiting ---------------------------------------------------------------------------------------------------- */

/* The lowest of those that have come, or 0. */
static int take_pending(struct skuai_signal_slot *slot)
{
    uint64_t seen = skuai_load_64(&slot->pending, SKUAI_RELAXED); /* the exchange decides */
    do {
        if (seen == 0)
            return 0;
    } while (!skuai_cas_64(&slot->pending, &seen, seen & (seen - 1), SKUAI_ACQUIRE)); /* N2 */
    return __builtin_ctzll(seen) + 1;
}

/* N3. */
static int take_signal(struct skuai_source *source, struct skuai_signal_slot *slot)
{
    uint64_t rings;
    uint32_t life;
    if (!skuai_source_begin(source, &life) || !skuai_source_enter(source, life))
        return -EBADF;
    uint64_t seen = skuai_source_readiness(source);
    /* It is empty after this, whatever it says. */
    if (read(source->fd, &rings, sizeof rings) == (ssize_t)sizeof rings || skua_errno() == EAGAIN)
        skuai_source_drained(source, seen, SKUAI_READING);
    int number = take_pending(slot);
    if (number != 0 && skuai_load_64(&slot->pending, SKUAI_RELAXED) != 0) /* a look: who sets it rings, too */
        ring(source->fd);
    skuai_source_leave(source);
    return number != 0 ? number : -EAGAIN;
}

int skua_signal_try_wait(skua_signals *signals) { return take_signal(signals->source, signals->slot); }

int skua_signal_wait(skua_signals *signals)
{
    struct skuai_source *source = signals->source;
    struct skuai_signal_slot *slot = signals->slot;
    int rc = skuai_call_begin(skuai_worker_self(), "skua_signal_wait");
    if (rc < 0)
        return rc;
    while ((rc = take_signal(source, slot)) == -EAGAIN) {
        skua_op op;
        rc = (int)skuai_call(skuai_source_wait_prepare(&op, source, SKUAI_READING));
        if (rc < 0)
            return rc;
    }
    return rc;
}

SKUA_ASYNC(skua_signal_waiting)
{
    SKUA_BEGIN(self);
    do {
        self->number = skua_interrupted();
        if (self->number == 0)
            self->number = take_signal(self->source, self->slot);
        if (self->number != -EAGAIN)
            SKUA_RETURN(self->number);
        SKUA_AWAIT(skuai_op_start(skuai_source_wait_prepare(&self->wait, self->source, SKUAI_READING)));
    } while (self->wait.result == 0);
    SKUA_END(self->wait.result);
}

skua_frame *skua_signal_wait_start(skua_signal_waiting *waiting, skua_signals *signals)
{
    waiting->source = signals->source;
    waiting->slot = signals->slot;
    return skua_frame_init(&waiting->frame, skua_signal_waiting_poll);
}

skua_op *skua_signal_pending_prepare(skua_op *op, skua_signals *signals)
{
    return skuai_source_wait_prepare(op, signals->source, SKUAI_READING);
}
