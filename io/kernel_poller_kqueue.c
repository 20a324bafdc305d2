/* kqueue(2), of macOS and the BSDs. A descriptor has two filters, both with EV_CLEAR, which is edge-triggered. Kicks
 * are EVFILT_USER events, which stay until they are seen. Run against the same tests as epoll over a kqueue of the
 * tests' own (tests/support/kqueue); not on a machine that has one: none is at hand. */
#include "io/kernel_poller.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>
#include <sys/event.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KICK_IDENT = 0, TIMER_IDENT = 0 };

static void *udata_of(uint64_t token) { return (void *)(uintptr_t)token; }
_Static_assert(sizeof(void *) >= sizeof(uint64_t), "a token fits where kqueue keeps a pointer");

int skuai_kernel_poller_init(struct skuai_kernel_poller *poller)
{
    struct kevent kick;
    poller->coarse = false;
    poller->kick_fd = poller->timer_fd = -1;
    poller->deadline_ns = SKUA_NEVER;
    poller->fd = kqueue();
    if (poller->fd < 0)
        return -skua_errno();
    (void)fcntl(poller->fd, F_SETFD, FD_CLOEXEC);
    EV_SET(&kick, KICK_IDENT, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL);
    if (kevent(poller->fd, &kick, 1, NULL, 0, NULL) < 0) {
        int error = -skua_errno();
        skuai_kernel_poller_fini(poller);
        return error;
    }
    return 0;
}

void skuai_kernel_poller_fini(struct skuai_kernel_poller *poller)
{
    if (poller->fd >= 0)
        close(poller->fd);
    poller->fd = -1;
}

int skuai_kernel_poller_add(struct skuai_kernel_poller *poller, int fd, uint64_t token)
{
    struct kevent changes[2];
    struct stat what;
    /* Here it could be watched, and at its end would not be ready: readers would wait for it to grow. */
    if (fstat(fd, &what) == 0 && (S_ISREG(what.st_mode) || S_ISDIR(what.st_mode)))
        return -EPERM;
    EV_SET(&changes[0], (uintptr_t)fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, udata_of(token));
    EV_SET(&changes[1], (uintptr_t)fd, EVFILT_WRITE, EV_ADD | EV_CLEAR, 0, 0, udata_of(token));
    if (kevent(poller->fd, changes, 1, NULL, 0, NULL) < 0)
        return skua_errno() == EINVAL || skua_errno() == ENODEV ? -EPERM : -skua_errno();
    /* What can only be read from has no second filter. */
    (void)kevent(poller->fd, changes + 1, 1, NULL, 0, NULL);
    return 0;
}

/* A descriptor may have but one of the two filters, so only a number that is nobody's tells. */
bool skuai_kernel_poller_remove(struct skuai_kernel_poller *poller, int fd)
{
    struct kevent changes[2];
    EV_SET(&changes[0], (uintptr_t)fd, EVFILT_READ, EV_DELETE, 0, 0, NULL);
    EV_SET(&changes[1], (uintptr_t)fd, EVFILT_WRITE, EV_DELETE, 0, 0, NULL);
    bool is_there = true;
    for (int i = 0; i < 2; i++)
        if (kevent(poller->fd, changes + i, 1, NULL, 0, NULL) < 0 && skua_errno() == EBADF)
            is_there = false;
    return is_there;
}

/* A read ends before urgent data, and a short one then does not mean that there is no more. macOS tells when there is
 * some; the BSDs do not, so there a short read is followed by another one. */
#if defined(EV_OOBAND)
static bool may_be_urgent(const struct kevent *event) { return (event->flags & EV_OOBAND) != 0; }
#else
static bool may_be_urgent(const struct kevent *event) { return event->filter == EVFILT_READ; }
#endif

static uint32_t ready_of(const struct kevent *event)
{
    uint32_t ready = event->filter == EVFILT_WRITE ? SKUAI_READY_WRITE : SKUAI_READY_READ;
    if (may_be_urgent(event))
        ready |= SKUAI_READY_PRIORITY;
    if (event->flags & EV_EOF)
        ready |= event->filter == EVFILT_WRITE ? SKUAI_READY_READ | SKUAI_READY_HANGUP : SKUAI_READY_HANGUP;
    if ((event->flags & EV_ERROR) || ((event->flags & EV_EOF) && event->fflags != 0))
        ready |= SKUAI_READY_READ | SKUAI_READY_WRITE | SKUAI_READY_ERROR;
    return ready;
}

void skuai_kernel_poller_wait(struct skuai_kernel_poller *poller, struct skuai_poll_batch *batch, uint64_t until_ns)
{
    struct kevent events[SKUAI_POLL_EVENTS];
    struct timespec timeout = { .tv_sec = 0 };
    if (until_ns != 0 && until_ns != SKUA_NEVER) {
        uint64_t now = skuai_clock_now(), left = until_ns > now ? until_ns - now : 0;
        timeout = (struct timespec){ .tv_sec = (time_t)(left / SKUA_S), .tv_nsec = (long)(left % SKUA_S) };
    }
    int count = kevent(poller->fd, NULL, 0, events, SKUAI_POLL_EVENTS, until_ns == SKUA_NEVER ? NULL : &timeout);
    batch->count = 0;
    for (int i = 0; i < count; i++)
        if (events[i].filter == EVFILT_TIMER)
            poller->deadline_ns = SKUA_NEVER;
        else if (events[i].filter != EVFILT_USER)
            batch->events[batch->count++] =
                (struct skuai_poll_event){ (uint64_t)(uintptr_t)events[i].udata, ready_of(&events[i]) };
}

void skuai_kernel_poller_kick(struct skuai_kernel_poller *poller)
{
    struct kevent kick;
    EV_SET(&kick, KICK_IDENT, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
    (void)kevent(poller->fd, &kick, 1, NULL, 0, NULL);
}

int skuai_kernel_poller_add_deadlines(struct skuai_kernel_poller *poller)
{
    (void)poller; /* they are made when they are set */
    return 0;
}

void skuai_kernel_poller_deadline(struct skuai_kernel_poller *poller, uint64_t until_ns)
{
    struct kevent timer;
    if (until_ns == poller->deadline_ns)
        return;
    if (until_ns == SKUA_NEVER) {
        EV_SET(&timer, TIMER_IDENT, EVFILT_TIMER, EV_DELETE, 0, 0, NULL);
    } else {
        uint64_t now = skuai_clock_now(), left = until_ns > now ? until_ns - now : 1; /* 0 is refused by some */
        int64_t data = left < INT64_MAX ? (int64_t)left : INT64_MAX;
        EV_SET(&timer, TIMER_IDENT, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_NSECONDS, data, NULL);
    }
    (void)kevent(poller->fd, &timer, 1, NULL, 0, NULL);
    poller->deadline_ns = until_ns;
}
