/* Readiness for others' libraries. The kernel's poller tells of edges, and only a try of one's own can tell that an
 * edge has been used up (source.h, Q2); here others try. So each wait asks poll(2) first:
 *   L1 look   the readiness is read, then poll(2) asked. What it says is the answer
 *   L2 wait   if there is nothing the readiness is taken away (Q2: unless an event has come since), and the wait is for
 *             the next event; then L1 again
 * Waiting for both directions is a select of two waits. POLLPRI wakes readers: the poller tells them.
 */
#include "skua/fd.h"

#include <errno.h>
#include <poll.h>

#include "io/driver.h"
#include "sched/wait.h"
#include "skua/select.h"

static struct skuai_source *source_of_watch(const skua_fd *watch) { return (struct skuai_source *)(uintptr_t)watch; }

_Static_assert(sizeof(skua_selection) <= sizeof((skua_fd_waiting){ .events = 0 }.selection),
               "skua_fd_waiting has room for a select");

int skua_fd_open(skua_fd **watch, skua_runtime *rt, int fd)
{
    struct skuai_source *source;
    int rc = skuai_source_open_given(rt, fd, true, 0, &source);
    if (rc == 0)
        *watch = (skua_fd *)(void *)source;
    return rc;
}

void skua_fd_close(skua_fd *watch) { (void)skuai_source_close_once(source_of_watch(watch), "skua_fd_close"); }

/* ---- L1 --------------------------------------------------------------------------------------------------------- */

static short asked(uint32_t events)
{
    return (short)((events & SKUA_READABLE ? POLLIN : 0) | (events & SKUA_WRITABLE ? POLLOUT : 0) |
                   (events & SKUA_URGENT ? POLLPRI : 0));
}

static int told(short revents)
{
    return (revents & POLLIN ? SKUA_READABLE : 0) | (revents & POLLOUT ? SKUA_WRITABLE : 0) |
           (revents & POLLPRI ? SKUA_URGENT : 0) | (revents & POLLHUP ? SKUA_HANGUP : 0) |
           (revents & POLLERR ? SKUA_ERROR : 0);
}

int skua_fd_poll(skua_fd *watch, uint32_t events)
{
    struct skuai_source *source = source_of_watch(watch);
    if (asked(events) == 0)
        return -EINVAL;
    uint32_t life;
    if (!skuai_source_begin(source, &life) || !skuai_source_enter(source, life))
        return -EBADF;
    struct pollfd poller = { .fd = source->fd, .events = asked(events) };
    int rc;
    do
        rc = poll(&poller, 1, 0) < 0 ? -skua_errno() : 0;
    while (rc == -EINTR);
    skuai_source_leave(source);
    if (rc < 0)
        return rc;
    return poller.revents & POLLNVAL ? -EBADF : told(poller.revents);
}

/* L1, and L2's first half: 0 if there is nothing. */
static int look(skua_fd *watch, uint32_t events)
{
    struct skuai_source *source = source_of_watch(watch);
    uint64_t seen = skuai_source_readiness(source);
    int ready = skua_fd_poll(watch, events);
    if (ready != 0)
        return ready;
    if (events & (SKUA_READABLE | SKUA_URGENT))
        skuai_source_drained(source, seen, SKUAI_READING);
    if (events & SKUA_WRITABLE) /* the word may have lost the other bit just now */
        skuai_source_drained(source, events & (SKUA_READABLE | SKUA_URGENT) ? seen & ~(uint64_t)SKUAI_READY_READ : seen,
                             SKUAI_WRITING);
    return 0;
}

/* ---- L2 --------------------------------------------------------------------------------------------------------- */

static size_t prepare_waits(skua_op waits[2], skua_op *arms[2], skua_fd *watch, uint32_t events)
{
    size_t count = 0;
    if (events & (SKUA_READABLE | SKUA_URGENT))
        arms[count++] = skuai_source_wait_prepare(&waits[0], source_of_watch(watch), SKUAI_READING);
    if (events & SKUA_WRITABLE)
        arms[count++] = skuai_source_wait_prepare(&waits[1], source_of_watch(watch), SKUAI_WRITING);
    return count;
}

int skua_fd_wait(skua_fd *watch, uint32_t events)
{
    struct skuai_worker *worker = skuai_worker_self();
    int ready = skuai_call_begin(worker, "skua_fd_wait");
    if (ready < 0)
        return ready;
    ready = look(watch, events);
    if (ready != 0)
        return (int)skuai_call_end(worker, ready);
    do {
        skua_op waits[2], *arms[2];
        size_t count = prepare_waits(waits, arms, watch, events);
        int64_t arm = skua_select(arms, count);
        int64_t rc = arm < 0 ? arm : arms[arm]->result;
        if (rc < 0)
            return (int)rc;
    } while ((ready = look(watch, events)) == 0);
    return ready;
}

int skua_fd_wait_until(skua_fd *watch, uint32_t events, uint64_t instant_ns)
{
    skua_scope scope;
    skua_deadline_enter(&scope, instant_ns);
    int ready = skua_fd_wait(watch, events);
    skua_scope_leave(&scope);
    return ready;
}

/* ---- in futures -------------------------------------------------------------------------------------------------- */

static skua_selection *selection_of(skua_fd_waiting *waiting) { return (skua_selection *)(void *)waiting->selection; }

SKUA_ASYNC(skua_fd_waiting)
{
    SKUA_BEGIN(self);
    for (;;) {
        self->frame.result = skua_interrupted();
        if (self->frame.result == 0)
            self->frame.result = look(self->watch, self->events);
        if (self->frame.result != 0)
            SKUA_RETURN(self->frame.result);
        SKUA_AWAIT(skua_select_start(selection_of(self), self->arms,
                                     prepare_waits(self->waits, self->arms, self->watch, self->events)));
        if (SKUA_RESULT(selection_of(self)) < 0)
            SKUA_RETURN(SKUA_RESULT(selection_of(self)));
        if (self->arms[SKUA_RESULT(selection_of(self))]->result < 0)
            SKUA_RETURN(self->arms[SKUA_RESULT(selection_of(self))]->result);
    }
    SKUA_END(0);
}

skua_frame *skua_fd_wait_start(skua_fd_waiting *waiting, skua_fd *watch, uint32_t events)
{
    waiting->watch = watch;
    waiting->events = events;
    return skua_frame_init(&waiting->frame, skua_fd_waiting_poll);
}
