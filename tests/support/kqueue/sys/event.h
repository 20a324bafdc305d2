/* The part of kqueue(2) that io/kernel_poller_kqueue.c uses, for a Linux that has none: what that file makes of it is
 * tried there, against the same tests as epoll. By the manual pages of FreeBSD 14 and macOS 14. See ../kqueue.c.
 */
#ifndef TEST_KQUEUE_SYS_EVENT_H
#define TEST_KQUEUE_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

struct kevent {
    uintptr_t ident;
    int16_t filter;
    uint16_t flags;
    uint32_t fflags;
    int64_t data; /* of a timer; else always 0 here */
    void *udata;
};

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_TIMER (-7)
#define EVFILT_USER (-11)

#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ONESHOT 0x0010
#define EV_CLEAR 0x0020
#define EV_OOBAND 0x2000
#define EV_ERROR 0x4000
#define EV_EOF 0x8000

#define NOTE_NSECONDS 0x00000004
#define NOTE_TRIGGER 0x01000000

#define EV_SET(kev, a, b, c, d, e, f)                                                                                  \
    (*(kev) = (struct kevent){ .ident = (a), .filter = (b), .flags = (c), .fflags = (d), .data = (e), .udata = (f) })

int kqueue(void);
int kevent(int kq, const struct kevent *changes, int nchanges, struct kevent *events, int nevents,
           const struct timespec *timeout);

/* A kqueue's end is its descriptor's: here there is more to it. */
int test_kqueue_close(int fd);
#define close(fd) test_kqueue_close(fd)

#endif
