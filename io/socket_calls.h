/* recv(2) and send(2) as streams use them. In the C library both are cancellation points of pthread_cancel(), which in
 * a process of several threads costs each call two atomic exchanges and 34 instructions; and a thread that was
 * cancelled inside of one would leave its source in use for ever (source.h, Q6). So here they are the bare system
 * calls, where that is possible. As there: -1, and the error in errno.
 */
#ifndef SKUAI_SOCKET_CALLS_H
#define SKUAI_SOCKET_CALLS_H

#include <sys/types.h>

ssize_t skuai_recv(int fd, void *to, size_t size, int flags);
ssize_t skuai_send(int fd, const void *from, size_t size, int flags);

#endif
