/* epoll(7). Kicks are writes to an eventfd that is level-triggered and emptied by the wait that sees it: so a kick that
 * comes when nobody waits ends the next wait. Time-outs have nanoseconds where the kernel has epoll_pwait2 (5.11) and
 * lets us (a container's filter may answer ENOSYS, EPERM or whatever it likes), else milliseconds, rounded up.
 * Deadlines are a timerfd's, edge-triggered: setting it anew is all that it takes. */
#define _GNU_SOURCE
#include "io/kernel_poller.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define KICK_TOKEN UINT64_MAX
#define TIMER_TOKEN (UINT64_MAX - 1) /* the sources' are smaller */

int skuai_kernel_poller_init(struct skuai_kernel_poller *poller)
{
    struct epoll_event kick = { .events = EPOLLIN, .data = { .u64 = KICK_TOKEN } };
    poller->coarse = false;
    poller->kick_fd = poller->timer_fd = -1;
    poller->deadline_ns = SKUA_NEVER;
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->fd < 0)
        return -skua_errno();
    poller->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (poller->kick_fd < 0 || epoll_ctl(poller->fd, EPOLL_CTL_ADD, poller->kick_fd, &kick) != 0) {
        int error = -skua_errno();
        skuai_kernel_poller_fini(poller);
        return error;
    }
    return 0;
}

void skuai_kernel_poller_fini(struct skuai_kernel_poller *poller)
{
    if (poller->timer_fd >= 0)
        close(poller->timer_fd);
    if (poller->kick_fd >= 0)
        close(poller->kick_fd);
    if (poller->fd >= 0)
        close(poller->fd);
    poller->fd = poller->kick_fd = poller->timer_fd = -1;
}

int skuai_kernel_poller_add(struct skuai_kernel_poller *poller, int fd, uint64_t token)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
                                 .data = { .u64 = token } };
    return epoll_ctl(poller->fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -skua_errno();
}

bool skuai_kernel_poller_remove(struct skuai_kernel_poller *poller, int fd)
{
    struct epoll_event ignored = { .events = 0 }; /* old kernels want one */
    if (epoll_ctl(poller->fd, EPOLL_CTL_DEL, fd, &ignored) == 0)
        return true;
    int error = skua_errno();
    return error != EBADF && error != ENOENT; /* closed behind our back: then it is out already */
}

static uint32_t ready_of(uint32_t events)
{
    uint32_t ready = 0;
    if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ready |= SKUAI_READY_READ;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        ready |= SKUAI_READY_WRITE;
    if (events & (EPOLLRDHUP | EPOLLHUP))
        ready |= SKUAI_READY_HANGUP;
    if (events & EPOLLERR)
        ready |= SKUAI_READY_ERROR;
    if (events & EPOLLPRI)
        ready |= SKUAI_READY_PRIORITY;
    return ready;
}

static int wait_until(struct skuai_kernel_poller *poller, struct epoll_event *events, uint64_t until_ns)
{
    if (until_ns == 0)
        return epoll_wait(poller->fd, events, SKUAI_POLL_EVENTS, 0);
    if (until_ns == SKUA_NEVER)
        return epoll_wait(poller->fd, events, SKUAI_POLL_EVENTS, -1);
    uint64_t now = skuai_clock_now(), left = until_ns > now ? until_ns - now : 0;
    if (SKUAI_LIKELY(!poller->coarse)) {
        struct timespec timeout = { .tv_sec = (time_t)(left / SKUA_S), .tv_nsec = (long)(left % SKUA_S) };
        int count = epoll_pwait2(poller->fd, events, SKUAI_POLL_EVENTS, &timeout, NULL);
        if (count >= 0 || skua_errno() == EINTR)
            return count;
        poller->coarse = true;
    }
    uint64_t ms = left / SKUA_MS + (left % SKUA_MS != 0);
    return epoll_wait(poller->fd, events, SKUAI_POLL_EVENTS, ms < INT32_MAX ? (int)ms : INT32_MAX);
}

static void take_own(struct skuai_kernel_poller *poller, uint64_t token)
{
    uint64_t kicks;
    if (token == TIMER_TOKEN) {
        poller->deadline_ns = SKUA_NEVER;
        return;
    }
    while (read(poller->kick_fd, &kicks, sizeof kicks) < 0 && skua_errno() == EINTR)
        ;
}

SKUAI_HOT void skuai_kernel_poller_wait(struct skuai_kernel_poller *poller, struct skuai_poll_batch *batch,
                                        uint64_t until_ns)
{
    struct epoll_event events[SKUAI_POLL_EVENTS];
    int count = wait_until(poller, events, until_ns); /* an error (EINTR): no events */
    batch->count = 0;
    for (int i = 0; i < count; i++)
        if (SKUAI_UNLIKELY(events[i].data.u64 >= TIMER_TOKEN))
            take_own(poller, events[i].data.u64);
        else
            batch->events[batch->count++] =
                (struct skuai_poll_event){ events[i].data.u64, ready_of(events[i].events) };
}

void skuai_kernel_poller_kick(struct skuai_kernel_poller *poller)
{
    const uint64_t one = 1;
    int cancellable = skuai_cancel_hold_off(); /* the kick is owed: who gave a token has said so already */
    while (write(poller->kick_fd, &one, sizeof one) < 0 && skua_errno() == EINTR)
        ; /* EAGAIN: it is full of kicks, and one is enough */
    skuai_cancel_allow(cancellable);
}

int skuai_kernel_poller_add_deadlines(struct skuai_kernel_poller *poller)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data = { .u64 = TIMER_TOKEN } };
    poller->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (poller->timer_fd < 0 || epoll_ctl(poller->fd, EPOLL_CTL_ADD, poller->timer_fd, &event) != 0)
        return -skua_errno(); /* and fini() closes what there is */
    return 0;
}

void skuai_kernel_poller_deadline(struct skuai_kernel_poller *poller, uint64_t until_ns)
{
    struct itimerspec timer = { .it_value = { .tv_sec = 0 } }; /* disarms it */
    if (until_ns == poller->deadline_ns)
        return;
    if (until_ns != SKUA_NEVER) {
        timer.it_value.tv_sec = (time_t)(until_ns / SKUA_S);
        timer.it_value.tv_nsec = (long)(until_ns % SKUA_S) + (until_ns == 0);
    }
    (void)timerfd_settime(poller->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL); /* fails for nonsense only */
    poller->deadline_ns = until_ns;
}
