/* The kernel's poller: epoll, kqueue. One implementation is built, by file name.
 *
 * Descriptors are edge-triggered for both directions from the time they are added: what is ready then is told once, and
 * again when more comes. A descriptor is taken out before it is closed. Which of them an event is for, a token says,
 * which is the caller's. Waits are one thread's at a time, the rest any thread's.
 */
#ifndef SKUAI_KERNEL_POLLER_H
#define SKUAI_KERNEL_POLLER_H

#include "sched/poll.h"

/* What has become of a descriptor. HANGUP: the other side sends no more, or is gone; ERROR: an error is pending. */
enum skuai_ready {
    SKUAI_READY_READ = 1,
    SKUAI_READY_WRITE = 2,
    SKUAI_READY_HANGUP = 4,
    SKUAI_READY_ERROR = 8,
    SKUAI_READY_PRIORITY = 16
};

struct skuai_kernel_poller {
    int fd;
    int kick_fd; /* what a kick writes to; -1 where the poller itself takes it */
    int timer_fd; /* for deadlines; -1: there are none, or the poller itself takes them */
    uint64_t deadline_ns; /* the waiter's: that is set and has not been seen; SKUA_NEVER: none */
    bool coarse; /* the waiter's: the kernel refuses time-outs of nanoseconds */
};

/* 0 or a negative errno value. */
int skuai_kernel_poller_init(struct skuai_kernel_poller *poller);
void skuai_kernel_poller_fini(struct skuai_kernel_poller *poller);

/* -EPERM: a descriptor that cannot be polled (a regular file), which is always ready. */
int skuai_kernel_poller_add(struct skuai_kernel_poller *poller, int fd, uint64_t token);
/* False: it is not there (any more), as far as the kernel tells. */
bool skuai_kernel_poller_remove(struct skuai_kernel_poller *poller, int fd);

/* Until an event, a kick or an instant, never earlier; 0: looks and does not wait. May come back for no reason. */
void skuai_kernel_poller_wait(struct skuai_kernel_poller *poller, struct skuai_poll_batch *batch, uint64_t until_ns);
void skuai_kernel_poller_kick(struct skuai_kernel_poller *poller);

/* For who waits for poller->fd to be readable, and not in here. It is as long as a wait would find something. Deadlines
 * make it readable at an instant, until a wait has seen that; each replaces the one before. 0 or a negative errno
 * value. */
int skuai_kernel_poller_add_deadlines(struct skuai_kernel_poller *poller);
/* By the waiter. */
void skuai_kernel_poller_deadline(struct skuai_kernel_poller *poller, uint64_t until_ns);

#endif
