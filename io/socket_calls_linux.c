/* See socket_calls.h. Under sanitizers the C library's functions are called: they are known to them, as what writes to
 * a buffer, and as what orders two threads. */
#define _GNU_SOURCE
#include "io/socket_calls.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sched/sanitize.h"

#if SKUAI_ASAN || SKUAI_TSAN || !defined(SYS_recvfrom) || !defined(SYS_sendto)
ssize_t skuai_recv(int fd, void *to, size_t size, int flags) { return recv(fd, to, size, flags); }
ssize_t skuai_send(int fd, const void *from, size_t size, int flags) { return send(fd, from, size, flags); }
#else

/* Not by the C library's syscall(), whose moving of arguments and errno take a third of what is left of a call on a
 * socket beside the kernel. */
SKUAI_INLINE long call_kernel(long number, long a, long b, long c, long d)
{
#if defined(__x86_64__) && !defined(__ILP32__)
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = 0;
    register long r9 __asm__("r9") = 0;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = 0;
    register long x5 __asm__("x5") = 0;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#else
    long result = syscall(number, a, b, c, d, 0L, 0L);
    return result < 0 ? -errno : result;
#endif
}

static __attribute__((noinline, cold)) ssize_t failed(long error)
{
    errno = (int)error;
    return -1;
}

SKUAI_INLINE ssize_t result_of(long result) { return SKUAI_LIKELY(result >= 0) ? result : failed(-result); }

SKUAI_HOT ssize_t skuai_recv(int fd, void *to, size_t size, int flags)
{
    return result_of(call_kernel(SYS_recvfrom, fd, (long)to, (long)size, flags));
}
SKUAI_HOT ssize_t skuai_send(int fd, const void *from, size_t size, int flags)
{
    return result_of(call_kernel(SYS_sendto, fd, (long)from, (long)size, flags));
}
#endif
