/* See socket_calls.h. Under sanitizers the C library's functions are called: they are known to them, as what writes to
 * a buffer, and as what orders two threads. */
#define _GNU_SOURCE
#include "io/socket_calls.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sched/sanitize.h"

#if SKUAI_ASAN || SKUAI_TSAN || !defined(SYS_recvfrom) || !defined(SYS_sendto)
ssize_t skuai_recv(int fd, void *to, size_t size, int flags) { return recv(fd, to, size, flags); }
ssize_t skuai_send(int fd, const void *from, size_t size, int flags) { return send(fd, from, size, flags); }
#else
SKUAI_HOT ssize_t skuai_recv(int fd, void *to, size_t size, int flags)
{
    return syscall(SYS_recvfrom, fd, to, size, flags, NULL, NULL);
}
SKUAI_HOT ssize_t skuai_send(int fd, const void *from, size_t size, int flags)
{
    return syscall(SYS_sendto, fd, from, size, flags, NULL, 0);
}
#endif
