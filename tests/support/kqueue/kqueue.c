/* kqueue(2) over epoll(7): EVFILT_READ and EVFILT_WRITE with EV_CLEAR, EVFILT_USER with NOTE_TRIGGER, one EVFILT_TIMER
 * of nanoseconds with EV_ONESHOT, errors by the return value (no room in the event list). What else there is, it
 * refuses loudly.
 *
 * As there, and unlike epoll: the two directions of a descriptor are two events, each with a pointer of its own; the
 * end of a stream is a flag on either; a trigger stays until a wait has seen it; and writing cannot be watched where
 * nothing can be written. (More often than there a descriptor that is readable is said to be writable too.)
 */
#define _GNU_SOURCE
#include "support/kqueue/sys/event.h"
#undef close

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { QUEUES = 128, WATCHED_AT_FIRST = 64 };

struct watched {
    void *udata[2];      /* of reading, of writing */
    bool is_added[2];
    uint32_t generation; /* in the event's data: one that was found before the descriptor was taken out says nothing */
};

static struct queue {
    int epoll, trigger; /* 0: free */
    int timer;          /* 0: none yet */
    bool timer_is_set;
    void *trigger_udata;
    struct watched *watched; /* by descriptor */
    size_t nwatched;
} queues[QUEUES]; /* guarded by lock, but for the descriptors of one that is open */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const uint64_t TRIGGER = UINT64_MAX, TIMER = UINT64_MAX - 1;

static void unsupported(const char *what)
{
    fprintf(stderr, "tests/support/kqueue: %s is not supported\n", what);
    abort();
}

static struct queue *queue_of_locked(int kq)
{
    for (int i = 0; i < QUEUES; i++)
        if (queues[i].epoll == kq)
            return &queues[i];
    return NULL;
}

int kqueue(void)
{
    int epoll = epoll_create1(0), trigger = epoll < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (trigger < 0) {
        int error = errno;
        if (epoll >= 0)
            close(epoll);
        errno = error;
        return -1;
    }
    pthread_mutex_lock(&lock);
    struct queue *queue = queue_of_locked(0);
    if (queue == NULL)
        unsupported("another kqueue");
    *queue = (struct queue){ .epoll = epoll, .trigger = trigger };
    pthread_mutex_unlock(&lock);
    return epoll;
}

int test_kqueue_close(int fd)
{
    pthread_mutex_lock(&lock);
    struct queue *queue = queue_of_locked(fd);
    if (queue == NULL)
        unsupported("closing something else");
    close(queue->trigger);
    if (queue->timer != 0)
        close(queue->timer);
    free(queue->watched);
    *queue = (struct queue){ .epoll = 0 };
    pthread_mutex_unlock(&lock);
    return close(fd);
}

static struct watched *watched_locked(struct queue *queue, size_t fd)
{
    if (fd >= queue->nwatched) {
        size_t count = queue->nwatched != 0 ? queue->nwatched : WATCHED_AT_FIRST;
        while (count <= fd)
            count *= 2;
        struct watched *grown = realloc(queue->watched, count * sizeof *grown);
        if (grown == NULL)
            unsupported("running out of memory");
        for (size_t i = queue->nwatched; i < count; i++)
            grown[i] = (struct watched){ .generation = 0 };
        queue->watched = grown;
        queue->nwatched = count;
    }
    return &queue->watched[fd];
}

/* epoll's registration becomes what the two filters are now. */
static int watch_locked(struct queue *queue, int fd, struct watched *watched, bool was_there)
{
    struct epoll_event event = { .events = EPOLLET,
                                 .data = { .u64 = (uint64_t)watched->generation << 32 | (uint32_t)fd } };
    if (watched->is_added[0])
        event.events |= EPOLLIN | EPOLLRDHUP | EPOLLPRI;
    if (watched->is_added[1])
        event.events |= EPOLLOUT;
    bool is_there = watched->is_added[0] || watched->is_added[1];
    if (!is_there)
        watched->generation++;
    return epoll_ctl(queue->epoll, !is_there ? EPOLL_CTL_DEL : was_there ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
}

static int change_filter_locked(struct queue *queue, const struct kevent *change)
{
    int fd = (int)change->ident, way = change->filter == EVFILT_WRITE;
    struct watched *watched = watched_locked(queue, (size_t)fd);
    bool adds = change->flags & EV_ADD, was_there = watched->is_added[0] || watched->is_added[1];
    int modes = fcntl(fd, F_GETFL);
    if (modes < 0)
        return -1;
    if (!adds && !watched->is_added[way]) {
        errno = ENOENT;
        return -1;
    }
    if (adds && !(change->flags & EV_CLEAR))
        unsupported("a filter without EV_CLEAR");
    if (adds && way == 1 && (modes & O_ACCMODE) == O_RDONLY) {
        errno = EINVAL;
        return -1;
    }
    bool before = watched->is_added[way];
    watched->is_added[way] = adds;
    watched->udata[way] = change->udata;
    int rc = watch_locked(queue, fd, watched, was_there);
    if (rc < 0 && adds)
        watched->is_added[way] = before;
    return rc;
}

static int change_user_locked(struct queue *queue, const struct kevent *change)
{
    struct epoll_event event = { .events = EPOLLIN, .data = { .u64 = TRIGGER } };
    const uint64_t one = 1;
    if (change->ident != 0)
        unsupported("a second EVFILT_USER");
    if (change->flags & EV_ADD) {
        queue->trigger_udata = change->udata;
        return epoll_ctl(queue->epoll, EPOLL_CTL_ADD, queue->trigger, &event);
    }
    if (!(change->fflags & NOTE_TRIGGER))
        unsupported("EVFILT_USER without NOTE_TRIGGER");
    (void)!write(queue->trigger, &one, sizeof one); /* full of triggers: one is enough */
    return 0;
}

static int change_timer_locked(struct queue *queue, const struct kevent *change)
{
    struct epoll_event event = { .events = EPOLLIN, .data = { .u64 = TIMER } };
    struct itimerspec time = { .it_value = { .tv_sec = 0 } };
    bool adds = change->flags & EV_ADD;
    if (change->ident != 0 || (adds && (!(change->flags & EV_ONESHOT) || change->fflags != NOTE_NSECONDS)))
        unsupported("another timer");
    if (!adds && !queue->timer_is_set) {
        errno = ENOENT;
        return -1;
    }
    if (queue->timer == 0) {
        queue->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (queue->timer < 0 || epoll_ctl(queue->epoll, EPOLL_CTL_ADD, queue->timer, &event) != 0)
            unsupported("running out of descriptors");
    }
    if (adds) {
        time.it_value.tv_sec = (time_t)(change->data / 1000000000);
        time.it_value.tv_nsec = (long)(change->data % 1000000000);
    }
    queue->timer_is_set = adds;
    return timerfd_settime(queue->timer, 0, &time, NULL);
}

static int change_locked(struct queue *queue, const struct kevent *changes, int nchanges)
{
    for (int i = 0; i < nchanges; i++) {
        bool is_filter = changes[i].filter == EVFILT_READ || changes[i].filter == EVFILT_WRITE;
        bool is_timer = changes[i].filter == EVFILT_TIMER;
        if (!is_filter && !is_timer && changes[i].filter != EVFILT_USER)
            unsupported("another filter");
        if ((is_filter  ? change_filter_locked
             : is_timer ? change_timer_locked
                        : change_user_locked)(queue, &changes[i]) < 0)
            return -1;
    }
    return 0;
}

static int translate_locked(struct queue *queue, const struct epoll_event *from, struct kevent *to)
{
    uint64_t seen, data = from->data.u64;
    uint32_t is = from->events;
    if (data == TRIGGER) {
        if (read(queue->trigger, &seen, sizeof seen) < 0)
            return 0;
        *to = (struct kevent){ .filter = EVFILT_USER, .flags = EV_CLEAR, .udata = queue->trigger_udata };
        return 1;
    }
    if (data == TIMER) {
        if (read(queue->timer, &seen, sizeof seen) < 0)
            return 0;
        queue->timer_is_set = false;
        *to = (struct kevent){ .filter = EVFILT_TIMER, .flags = EV_ONESHOT, .data = 1 };
        return 1;
    }
    size_t fd = (uint32_t)data;
    struct watched *watched = &queue->watched[fd];
    if (watched->generation != data >> 32)
        return 0;
    int count = 0;
    const uint32_t ways[2] = { EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR, EPOLLOUT | EPOLLHUP | EPOLLERR };
    const uint32_t ends[2] = { EPOLLRDHUP | EPOLLHUP | EPOLLERR, EPOLLHUP | EPOLLERR };
    for (int way = 0; way < 2; way++) {
        if (!watched->is_added[way] || (is & ways[way]) == 0)
            continue;
        uint16_t flags = (is & ends[way]) != 0 ? EV_CLEAR | EV_EOF : EV_CLEAR;
        if (way == 0 && (is & EPOLLPRI) != 0)
            flags |= EV_OOBAND;
        to[count++] = (struct kevent){ .ident = fd,
                                       .filter = way == 0 ? EVFILT_READ : EVFILT_WRITE,
                                       .flags = flags,
                                       .fflags = (is & EPOLLERR) != 0 ? EIO : 0, /* which one, reading it tells */
                                       .udata = watched->udata[way] };
    }
    return count;
}

/* Old kernels and qemu-user have no epoll_pwait2: then milliseconds, rounded up. */
static int wait_for(int epoll, struct epoll_event *found, int most, const struct timespec *timeout)
{
    int count = epoll_pwait2(epoll, found, most, timeout, NULL);
    if (count >= 0 || errno != ENOSYS)
        return count;
    int64_t ms = timeout == NULL ? -1 : (int64_t)timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000;
    return epoll_wait(epoll, found, most, ms < INT_MAX ? (int)ms : INT_MAX);
}

int kevent(int kq, const struct kevent *changes, int nchanges, struct kevent *events, int nevents,
           const struct timespec *timeout)
{
    struct epoll_event found[64];
    pthread_mutex_lock(&lock);
    struct queue *queue = queue_of_locked(kq);
    if (queue == NULL)
        unsupported("a queue that is not open");
    int rc = change_locked(queue, changes, nchanges);
    pthread_mutex_unlock(&lock);
    if (rc < 0 || nevents == 0)
        return rc;
    if (nevents < 2)
        unsupported("an event list for one");
    int most = nevents / 2 < 64 ? nevents / 2 : 64, count = wait_for(kq, found, most, timeout);
    if (count < 0)
        return -1;
    int translated = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < count; i++)
        translated += translate_locked(queue, &found[i], events + translated);
    pthread_mutex_unlock(&lock);
    return translated;
}
