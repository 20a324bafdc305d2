/* The functions that the library is given instead of those of the C library, the kernel and hwloc: each asks the plan
 * (faults.c) whether to fail, and how, and keeps the balance. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "support/faults.h"
#include "support/test.h"

#define INSTEAD(type, name, params) \
    type fault_##name params;       \
    type fault_##name params

static void *taken(void *block)
{
    if (block != NULL)
        faults_count(FAULTS_BLOCKS, 1);
    return block;
}

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

INSTEAD(void *, malloc, (size_t size)) { return faults_way(FAULT_malloc) >= 0 ? no_memory() : taken(malloc(size)); }

INSTEAD(void *, calloc, (size_t n, size_t size))
{
    return faults_way(FAULT_calloc) >= 0 ? no_memory() : taken(calloc(n, size));
}

INSTEAD(void *, aligned_alloc, (size_t alignment, size_t size))
{
    return faults_way(FAULT_aligned_alloc) >= 0 ? no_memory() : taken(aligned_alloc(alignment, size));
}

INSTEAD(void *, realloc, (void *block, size_t size))
{
    if (faults_way(FAULT_realloc) >= 0)
        return no_memory();
    return block == NULL ? taken(realloc(NULL, size)) : realloc(block, size);
}

INSTEAD(void, free, (void *block))
{
    if (block != NULL)
        faults_count(FAULTS_BLOCKS, -1);
    free(block);
}

INSTEAD(cpu_set_t *, __sched_cpualloc, (size_t count))
{
    return faults_way(FAULT___sched_cpualloc) >= 0 ? no_memory() : taken(CPU_ALLOC(count));
}

INSTEAD(void, __sched_cpufree, (cpu_set_t * set))
{
    faults_count(FAULTS_BLOCKS, -1);
    CPU_FREE(set);
}

void *fault_application_alloc(void *context, size_t size)
{
    (void)context;
    void *block = faults_way(FAULT_application_alloc) >= 0 ? NULL : malloc(size);
    if (block != NULL) {
        faults_count(FAULTS_APPLICATION_BLOCKS, 1);
        faults_count(FAULTS_APPLICATION_BYTES, (int64_t)size);
    }
    return block;
}

void fault_application_free(void *context, void *memory, size_t size)
{
    (void)context;
    faults_count(FAULTS_APPLICATION_BLOCKS, -1);
    faults_count(FAULTS_APPLICATION_BYTES, -(int64_t)size);
    free(memory);
}

/* The second way is none: the mapping is just not where the library would like it, at a multiple of a large size. */
INSTEAD(void *, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset))
{
    enum { ASIDE = 1 << 16 };
    int way = faults_way(FAULT_mmap);
    if (way == 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    size_t aside = way == 1 ? ASIDE : 0;
    char *mapping = mmap(at, size + aside, protection, flags, fd, offset);
    if (mapping == MAP_FAILED)
        return mapping;
    if (aside != 0)
        munmap(mapping, aside);
    faults_count(FAULTS_MAPPED_BYTES, (int64_t)size);
    return mapping + aside;
}

INSTEAD(int, munmap, (void *at, size_t size))
{
    if (faults_way(FAULT_munmap) < 0) {
        faults_count(FAULTS_MAPPED_BYTES, -(int64_t)size);
        return munmap(at, size);
    }
    faults_keep(at, size);
    errno = ENOMEM;
    return -1;
}

static int error_of(const int *errors, int way)
{
    errno = errors[way];
    return -1;
}

INSTEAD(int, madvise, (void *at, size_t size, int advice))
{
    int way = faults_way(FAULT_madvise);
    return way >= 0 ? error_of((int[]){ EINVAL, EAGAIN }, way) : madvise(at, size, advice);
}

INSTEAD(int, mprotect, (void *at, size_t size, int protection))
{
    int way = faults_way(FAULT_mprotect);
    return way >= 0 ? error_of((int[]){ ENOMEM }, way) : mprotect(at, size, protection);
}

INSTEAD(int, pthread_create, (pthread_t * thread, const pthread_attr_t *attr, void *(*main)(void *), void *arg))
{
    if (faults_way(FAULT_pthread_create) >= 0)
        return EAGAIN;
    int error = pthread_create(thread, attr, main, arg);
    if (error == 0)
        faults_count(FAULTS_THREADS, 1);
    return error;
}

INSTEAD(int, pthread_join, (pthread_t thread, void **result))
{
    faults_count(FAULTS_THREADS, -1);
    return pthread_join(thread, result);
}

INSTEAD(int, pthread_getattr_np, (pthread_t thread, pthread_attr_t *attr))
{
    return faults_way(FAULT_pthread_getattr_np) >= 0 ? ENOMEM : pthread_getattr_np(thread, attr);
}

INSTEAD(int, pthread_attr_getstack, (const pthread_attr_t *attr, void **low, size_t *size))
{
    return faults_way(FAULT_pthread_attr_getstack) >= 0 ? EINVAL : pthread_attr_getstack(attr, low, size);
}

INSTEAD(int, pthread_attr_destroy, (pthread_attr_t * attr))
{
    int error = pthread_attr_destroy(attr);
    return faults_way(FAULT_pthread_attr_destroy) >= 0 ? EINVAL : error;
}

INSTEAD(int, pthread_setname_np, (pthread_t thread, const char *name))
{
    return faults_way(FAULT_pthread_setname_np) >= 0 ? ERANGE : pthread_setname_np(thread, name);
}

INSTEAD(int, pthread_setaffinity_np, (pthread_t thread, size_t size, const cpu_set_t *set))
{
    return faults_way(FAULT_pthread_setaffinity_np) >= 0 ? EINVAL : pthread_setaffinity_np(thread, size, set);
}

INSTEAD(int, pthread_atfork, (void (*prepare)(void), void (*parent)(void), void (*child)(void)))
{
    return faults_way(FAULT_pthread_atfork) >= 0 ? ENOMEM : pthread_atfork(prepare, parent, child);
}

INSTEAD(int, pthread_getcpuclockid, (pthread_t thread, clockid_t *clock))
{
    return faults_way(FAULT_pthread_getcpuclockid) >= 0 ? ENOENT : pthread_getcpuclockid(thread, clock);
}

INSTEAD(int, sched_getaffinity, (pid_t pid, size_t size, cpu_set_t *set))
{
    int way = faults_way(FAULT_sched_getaffinity);
    return way >= 0 ? error_of((int[]){ EINVAL, EPERM }, way) : sched_getaffinity(pid, size, set);
}

INSTEAD(int, sigaction, (int number, const struct sigaction *action, struct sigaction *old))
{
    int way = faults_way(FAULT_sigaction);
    return way >= 0 ? error_of((int[]){ EINVAL, EPERM }, way) : sigaction(number, action, old);
}

INSTEAD(int, sigaltstack, (const stack_t *ours, stack_t *old))
{
    int way = faults_way(FAULT_sigaltstack);
    return way >= 0 ? error_of((int[]){ ENOMEM, EPERM }, way) : sigaltstack(ours, old);
}

/* The last way is none: it never arrives. */
INSTEAD(int, pthread_sigqueue, (pthread_t thread, int number, const union sigval value))
{
    int way = faults_way(FAULT_pthread_sigqueue);
    return way >= 0 ? (int[]){ EAGAIN, ESRCH, 0 }[way] : pthread_sigqueue(thread, number, value);
}

INSTEAD(int, open, (const char *path, int flags, ...))
{
    int way = faults_way(FAULT_open);
    if (way >= 0)
        return error_of((int[]){ EMFILE, ENOENT }, way);
    int fd = open(path, flags); /* the library creates no files */
    if (fd >= 0)
        faults_count(FAULTS_DESCRIPTORS, 1);
    return fd;
}

/* ---- descriptors that are polled -------------------------------------------------------------------------------- */

enum { WATCHED_MAX = 1024 };

/* By descriptor: in which poller, and how. A call that says EAGAIN, or moves less than there is, is followed by the
 * readiness that the kernel would tell of later: an edge. */
static struct {
    int epoll; /* + 1; 0: not watched */
    struct epoll_event event;
    bool is_eventfd;
} watched[WATCHED_MAX];
static pthread_mutex_t watched_lock = PTHREAD_MUTEX_INITIALIZER;

static void tell_again(int fd)
{
    pthread_mutex_lock(&watched_lock);
    if (fd >= 0 && fd < WATCHED_MAX && watched[fd].epoll != 0)
        (void)epoll_ctl(watched[fd].epoll - 1, EPOLL_CTL_MOD, fd, &watched[fd].event);
    pthread_mutex_unlock(&watched_lock);
}

static void forget(int fd)
{
    pthread_mutex_lock(&watched_lock);
    if (fd >= 0 && fd < WATCHED_MAX) {
        watched[fd].epoll = 0;
        watched[fd].is_eventfd = false;
    }
    pthread_mutex_unlock(&watched_lock);
}

static bool is_eventfd(int fd)
{
    pthread_mutex_lock(&watched_lock);
    bool is = fd >= 0 && fd < WATCHED_MAX && watched[fd].is_eventfd;
    pthread_mutex_unlock(&watched_lock);
    return is;
}

static int opened(int fd)
{
    if (fd >= 0)
        faults_count(FAULTS_DESCRIPTORS, 1);
    return fd;
}

INSTEAD(int, epoll_create1, (int flags))
{
    int way = faults_way(FAULT_epoll_create1);
    return way >= 0 ? error_of((int[]){ EMFILE, ENFILE, ENOMEM }, way) : opened(epoll_create1(flags));
}

INSTEAD(int, eventfd, (unsigned count, int flags))
{
    int way = faults_way(FAULT_eventfd);
    int fd = way >= 0 ? error_of((int[]){ EMFILE, ENODEV, ENOMEM, ENFILE }, way)
                     : opened(eventfd(count, flags)); /* the last by hand only */
    if (fd >= 0 && fd < WATCHED_MAX)
        watched[fd].is_eventfd = true;
    return fd;
}

INSTEAD(int, timerfd_create, (int clock, int flags))
{
    int way = faults_way(FAULT_timerfd_create);
    return way >= 0 ? error_of((int[]){ EMFILE, ENODEV, ENOMEM }, way) : opened(timerfd_create(clock, flags));
}

/* What is taken out is taken out: whoever asks for it can do nothing else. */
INSTEAD(int, epoll_ctl, (int epoll, int op, int fd, struct epoll_event *event))
{
    int way = op == EPOLL_CTL_DEL ? -1 : faults_way(FAULT_epoll_ctl);
    if (way >= 0)
        return error_of((int[]){ ENOMEM, ENOSPC }, way);
    pthread_mutex_lock(&watched_lock);
    int rc = epoll_ctl(epoll, op, fd, event);
    if (rc == 0 && fd < WATCHED_MAX) {
        watched[fd].epoll = op == EPOLL_CTL_DEL ? 0 : epoll + 1;
        watched[fd].event = *event;
    }
    pthread_mutex_unlock(&watched_lock);
    return rc;
}

INSTEAD(int, epoll_wait, (int epoll, struct epoll_event *events, int max, int timeout_ms))
{
    int way = faults_way(FAULT_epoll_wait);
    return way == 0 ? error_of((int[]){ EINTR }, 0) : epoll_wait(epoll, events, way == 1 ? 1 : max, timeout_ms);
}

INSTEAD(int, epoll_pwait2, (int epoll, struct epoll_event *events, int max, const struct timespec *timeout,
                            const sigset_t *mask))
{
    int way = faults_way(FAULT_epoll_pwait2);
    if (way >= 0 && way < 3)
        return error_of((int[]){ EINTR, ENOSYS, EPERM }, way);
    return epoll_pwait2(epoll, events, way == 3 ? 1 : max, timeout, mask);
}

/* ---- moving bytes: EINTR, EAGAIN, one byte, and two errors ------------------------------------------------------ */

static const struct iovec *one_byte_of(const struct iovec *vectors, struct iovec *one)
{
    while (vectors->iov_len == 0)
        vectors++;
    one->iov_base = vectors->iov_base;
    one->iov_len = 1;
    return one;
}

/* Whether the call is to be made: for one byte, or for all. */
static bool goes_on(int fd, int way, int first, int second, bool *one)
{
    *one = way == 2;
    if (way == 1 || way == 2)
        tell_again(fd);
    if (way < 0 || way == 2)
        return true;
    errno = (int[]){ EINTR, EAGAIN, 0, first, second }[way];
    return false;
}

INSTEAD(ssize_t, readv, (int fd, const struct iovec *vectors, int count))
{
    struct iovec byte;
    bool one;
    if (!goes_on(fd, faults_way(FAULT_readv), EIO, ENOMEM, &one))
        return -1;
    return one ? readv(fd, one_byte_of(vectors, &byte), 1) : readv(fd, vectors, count);
}

INSTEAD(ssize_t, writev, (int fd, const struct iovec *vectors, int count))
{
    struct iovec byte;
    bool one;
    if (!goes_on(fd, faults_way(FAULT_writev), EIO, ENOSPC, &one))
        return -1;
    return one ? writev(fd, one_byte_of(vectors, &byte), 1) : writev(fd, vectors, count);
}

INSTEAD(ssize_t, skuai_recv, (int fd, void *to, size_t size, int flags))
{
    bool one;
    if (!goes_on(fd, faults_way(FAULT_skuai_recv), ECONNRESET, ENOMEM, &one))
        return -1;
    return recv(fd, to, one ? 1 : size, flags);
}

INSTEAD(ssize_t, skuai_send, (int fd, const void *from, size_t size, int flags))
{
    bool one;
    if (!goes_on(fd, faults_way(FAULT_skuai_send), ECONNRESET, ENOBUFS, &one))
        return -1;
    return send(fd, from, one ? 1 : size, flags);
}

static void count_received(struct msghdr *message)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            faults_count(FAULTS_DESCRIPTORS, (int64_t)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int)));
}

/* Besides: this process may have one more descriptor only. */
INSTEAD(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags))
{
    struct iovec byte;
    bool one;
    int way = faults_way(FAULT_recvmsg);
    bool at_limit = way == 5 && message->msg_control != NULL;
    if (!goes_on(fd, way == 5 ? -1 : way, ECONNRESET, ENOMEM, &one))
        return -1;
    if (one) {
        message->msg_iov = (struct iovec *)(uintptr_t)one_byte_of(message->msg_iov, &byte);
        message->msg_iovlen = 1;
    }
    if (at_limit)
        message->msg_controllen = CMSG_LEN(sizeof(int));
    ssize_t n = recvmsg(fd, message, flags);
    if (n >= 0)
        count_received(message);
    return n;
}

INSTEAD(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags))
{
    struct msghdr shorter = *message;
    struct iovec byte;
    bool one;
    int way = faults_way(FAULT_sendmsg);
    if (way == 5) /* by hand only: of descriptors */
        return error_of((int[]){ ETOOMANYREFS }, 0);
    if (!goes_on(fd, way, ECONNRESET, ENOBUFS, &one))
        return -1;
    if (one) {
        shorter.msg_iov = (struct iovec *)(uintptr_t)one_byte_of(message->msg_iov, &byte);
        shorter.msg_iovlen = 1;
    }
    return sendmsg(fd, &shorter, flags);
}

/* ---- sockets ---------------------------------------------------------------------------------------------------- */

INSTEAD(int, socket, (int domain, int type, int protocol))
{
    int way = faults_way(FAULT_socket);
    if (way >= 0)
        return error_of((int[]){ EMFILE, ENFILE, ENOBUFS, ENOMEM }, way);
    return opened(socket(domain, type, protocol));
}

INSTEAD(int, socketpair, (int domain, int type, int protocol, int fds[2]))
{
    int way = faults_way(FAULT_socketpair);
    if (way >= 0)
        return error_of((int[]){ EMFILE, ENFILE, ENOMEM }, way);
    int rc = socketpair(domain, type, protocol, fds);
    if (rc == 0)
        faults_count(FAULTS_DESCRIPTORS, 2);
    return rc;
}

INSTEAD(int, bind, (int fd, const struct sockaddr *address, socklen_t length))
{
    int way = faults_way(FAULT_bind);
    return way >= 0 ? error_of((int[]){ EADDRINUSE, EACCES }, way) : bind(fd, address, length);
}

INSTEAD(int, listen, (int fd, int backlog))
{
    int way = faults_way(FAULT_listen);
    return way >= 0 ? error_of((int[]){ EADDRINUSE }, way) : listen(fd, backlog);
}

/* What fails is a call that would have had a connection. One that would not has none, even if one comes just now: else
 * the first connection could pass the plan by. */
INSTEAD(int, accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags))
{
    struct pollfd waiting = { .fd = fd, .events = POLLIN };
    int ready = poll(&waiting, 1, 0);
    if (ready == 0)
        return error_of((int[]){ EAGAIN }, 0);
    int way = ready == 1 ? faults_way(FAULT_accept4) : -1;
    if (way == 1)
        tell_again(fd);
    if (way >= 0)
        return error_of((int[]){ EINTR, EAGAIN, ECONNABORTED, EPROTO, ENOBUFS, ENOMEM, EMFILE, ENFILE }, way);
    return opened(accept4(fd, address, length, flags));
}

/* One that is interrupted goes on by itself. */
INSTEAD(int, connect, (int fd, const struct sockaddr *address, socklen_t length))
{
    int way = faults_way(FAULT_connect);
    if (way > 0)
        return error_of((int[]){ 0, ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL }, way);
    int rc = connect(fd, address, length);
    return rc == 0 && way == 0 ? error_of((int[]){ EINTR }, 0) : rc;
}

INSTEAD(int, shutdown, (int fd, int how))
{
    int way = faults_way(FAULT_shutdown);
    return way >= 0 ? error_of((int[]){ ENOTCONN, ENOBUFS }, way) : shutdown(fd, how);
}

INSTEAD(int, getsockname, (int fd, struct sockaddr *address, socklen_t *length))
{
    int way = faults_way(FAULT_getsockname);
    return way >= 0 ? error_of((int[]){ ENOBUFS }, way) : getsockname(fd, address, length);
}

INSTEAD(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *length))
{
    int way = faults_way(FAULT_getsockopt);
    return way >= 0 ? error_of((int[]){ ENOBUFS }, way) : getsockopt(fd, level, name, value, length);
}

INSTEAD(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t length))
{
    int way = faults_way(FAULT_setsockopt);
    return way >= 0 ? error_of((int[]){ ENOPROTOOPT }, way) : setsockopt(fd, level, name, value, length);
}

INSTEAD(int, fcntl, (int fd, int command, ...))
{
    va_list args;
    int way = faults_way(FAULT_fcntl);
    va_start(args, command);
    int argument = command == F_SETFL || command == F_SETFD ? va_arg(args, int) : 0;
    va_end(args);
    return way >= 0 ? error_of((int[]){ EPERM }, way) : fcntl(fd, command, argument);
}

INSTEAD(int, lstat, (const char *path, struct stat *info))
{
    int way = faults_way(FAULT_lstat);
    return way >= 0 ? error_of((int[]){ EACCES }, way) : lstat(path, info);
}

INSTEAD(int, chmod, (const char *path, mode_t mode))
{
    int way = faults_way(FAULT_chmod);
    return way >= 0 ? error_of((int[]){ EPERM }, way) : chmod(path, mode);
}

INSTEAD(int, unlink, (const char *path))
{
    int way = faults_way(FAULT_unlink);
    return way >= 0 ? error_of((int[]){ EACCES }, way) : unlink(path);
}

INSTEAD(int, sigtimedwait, (const sigset_t *set, siginfo_t *info, const struct timespec *timeout))
{
    int way = faults_way(FAULT_sigtimedwait);
    return way >= 0 ? error_of((int[]){ EINTR }, way) : sigtimedwait(set, info, timeout);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

INSTEAD(int, close, (int fd))
{
    int way = faults_way(FAULT_close);
    faults_count(FAULTS_DESCRIPTORS, -1);
    forget(fd);
    int rc = close(fd);
    /* Linux closes it all the same. Those after the first by hand only: what is written through them may be lost. */
    return way >= 0 ? error_of((int[]){ EINTR, EIO, ENOSPC, EDQUOT }, way) : rc;
}

/* Besides errors: the end too soon, and one byte at a time. An eventfd has none of these: it can be interrupted. */
INSTEAD(ssize_t, read, (int fd, void *to, size_t size))
{
    int way = faults_way(FAULT_read);
    if (way >= 0 && is_eventfd(fd))
        return error_of((int[]){ EINTR }, 0);
    if (way == 2)
        return 0;
    if (way == 3)
        return read(fd, to, size > 0 ? 1 : 0);
    return way >= 0 ? error_of((int[]){ EIO, EINTR }, way) : read(fd, to, size);
}

INSTEAD(ssize_t, write, (int fd, const void *from, size_t size))
{
    int way = faults_way(FAULT_write);
    if (way >= 0 && is_eventfd(fd))
        return error_of((int[]){ EINTR }, 0);
    if (way == 2)
        return write(fd, from, size > 0 ? 1 : 0);
    return way >= 0 ? error_of((int[]){ EINTR, EIO }, way) : write(fd, from, size);
}

/* A wait is interrupted, comes too late, or returns for no reason. A wake is never lost: it reports an error once it
 * has been done, as for memory that is gone by then. */
static long futex(int way, uint32_t *word, int op, uint32_t value, void *timeout, uint32_t bits)
{
    if ((op & FUTEX_CMD_MASK) != FUTEX_WAIT_BITSET) {
        long rc = syscall(SYS_futex, word, op, value, timeout, NULL, bits);
        return way >= 0 ? error_of((int[]){ EFAULT, EFAULT, EFAULT }, way) : rc;
    }
    if (way == 2)
        return 0;
    if (way >= 0)
        return error_of((int[]){ EINTR, EAGAIN }, way);
    return syscall(SYS_futex, word, op, value, timeout, NULL, bits);
}

INSTEAD(long, syscall, (long number, ...))
{
    va_list args;
    long rc;
    int way = faults_way(FAULT_syscall);
    va_start(args, number);
    if (number == SYS_futex) {
        uint32_t *word = va_arg(args, uint32_t *);
        int op = va_arg(args, int);
        uint32_t value = va_arg(args, uint32_t);
        void *timeout = va_arg(args, void *);
        (void)va_arg(args, void *);
        rc = futex(way, word, op, value, timeout, va_arg(args, uint32_t));
    } else if (number == SYS_membarrier) {
        int command = va_arg(args, int);
        unsigned flags = va_arg(args, unsigned);
        rc = way >= 0 ? error_of((int[]){ ENOSYS, EPERM, EINVAL }, way) :
                        syscall(number, command, flags, va_arg(args, int));
    } else if (number == SYS_pidfd_open) {
        pid_t pid = va_arg(args, pid_t);
        rc = way >= 0 ? error_of((int[]){ EMFILE, ENFILE, ENOMEM }, way)
                      : opened((int)syscall(number, pid, va_arg(args, unsigned)));
    } else if (number == SYS_pidfd_send_signal) {
        int fd = va_arg(args, int), signal_number = va_arg(args, int);
        rc = syscall(number, fd, signal_number, NULL, 0); /* of a child that was not reaped */
    } else if (number == SYS_getdents64) {
        int fd = va_arg(args, int);
        void *to = va_arg(args, void *);
        rc = way >= 0 ? error_of((int[]){ EIO, ENOENT, EINVAL }, way) : syscall(number, fd, to, va_arg(args, size_t));
    } else if (number == SYS_gettid) {
        rc = syscall(number); /* cannot fail */
    } else {
        CHECK_EQ(number, SYS_uname);
        void *where = va_arg(args, void *);
        rc = way >= 0 ? error_of((int[]){ ENOSYS, EPERM, EFAULT }, way) : syscall(number, where);
    }
    va_end(args);
    return rc;
}

/* A page has a size on every machine. */
INSTEAD(long, sysconf, (int name))
{
    return name != _SC_PAGESIZE && faults_way(FAULT_sysconf) >= 0 ? -1 : sysconf(name);
}

INSTEAD(ssize_t, getrandom, (void *to, size_t size, unsigned flags))
{
    int way = faults_way(FAULT_getrandom);
    if (way == 1)
        return getrandom(to, size / 2, flags);
    return way >= 0 ? error_of((int[]){ EAGAIN }, way) : getrandom(to, size, flags);
}

INSTEAD(int, clock_nanosleep, (clockid_t clock, int flags, const struct timespec *time, struct timespec *left))
{
    return faults_way(FAULT_clock_nanosleep) >= 0 ? EINTR : clock_nanosleep(clock, flags, time, left);
}

#if !defined(SKUAI_NO_HWLOC)
/* As hwloc declares them, but for its types, which are of no interest here. */
int hwloc_topology_init(void **topology);
int hwloc_topology_load(void *topology);
int hwloc_topology_set_all_types_filter(void *topology, int filter);
int hwloc_topology_set_type_filter(void *topology, int type, int filter);
int hwloc_topology_set_flags(void *topology, unsigned long flags);
int hwloc_get_type_depth(void *topology, int type);
unsigned hwloc_get_nbobjs_by_depth(void *topology, int depth);
void *hwloc_get_obj_by_depth(void *topology, int depth, unsigned index);
int hwloc_bitmap_first(const void *bitmap);
void hwloc_topology_destroy(void *topology);

INSTEAD(int, hwloc_topology_init, (void **topology))
{
    int way = faults_way(FAULT_hwloc_topology_init);
    if (way >= 0)
        return error_of((int[]){ ENOMEM }, way);
    int rc = hwloc_topology_init(topology);
    if (rc == 0)
        faults_count(FAULTS_TOPOLOGIES, 1);
    return rc;
}

INSTEAD(void, hwloc_topology_destroy, (void *topology))
{
    faults_count(FAULTS_TOPOLOGIES, -1);
    hwloc_topology_destroy(topology);
}

INSTEAD(int, hwloc_topology_load, (void *topology))
{
    int way = faults_way(FAULT_hwloc_topology_load);
    return way >= 0 ? error_of((int[]){ ENOMEM, EIO }, way) : hwloc_topology_load(topology);
}

INSTEAD(int, hwloc_topology_set_all_types_filter, (void *topology, int filter))
{
    int way = faults_way(FAULT_hwloc_topology_set_all_types_filter);
    return way >= 0 ? error_of((int[]){ EINVAL }, way) : hwloc_topology_set_all_types_filter(topology, filter);
}

INSTEAD(int, hwloc_topology_set_type_filter, (void *topology, int type, int filter))
{
    int way = faults_way(FAULT_hwloc_topology_set_type_filter);
    return way >= 0 ? error_of((int[]){ EINVAL }, way) : hwloc_topology_set_type_filter(topology, type, filter);
}

INSTEAD(int, hwloc_topology_set_flags, (void *topology, unsigned long flags))
{
    int way = faults_way(FAULT_hwloc_topology_set_flags);
    return way >= 0 ? error_of((int[]){ EINVAL }, way) : hwloc_topology_set_flags(topology, flags);
}

INSTEAD(int, hwloc_get_type_depth, (void *topology, int type))
{
    return faults_way(FAULT_hwloc_get_type_depth) >= 0 ? -1 : hwloc_get_type_depth(topology, type);
}

INSTEAD(unsigned, hwloc_get_nbobjs_by_depth, (void *topology, int depth))
{
    return faults_way(FAULT_hwloc_get_nbobjs_by_depth) >= 0 ? 0 : hwloc_get_nbobjs_by_depth(topology, depth);
}

INSTEAD(void *, hwloc_get_obj_by_depth, (void *topology, int depth, unsigned index))
{
    return faults_way(FAULT_hwloc_get_obj_by_depth) >= 0 ? NULL : hwloc_get_obj_by_depth(topology, depth, index);
}

INSTEAD(int, hwloc_bitmap_first, (const void *bitmap))
{
    return faults_way(FAULT_hwloc_bitmap_first) >= 0 ? -1 : hwloc_bitmap_first(bitmap);
}
#endif
