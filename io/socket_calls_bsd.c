/* See socket_calls.h. System calls are made through the C library there. */
#include "io/socket_calls.h"

#include <sys/socket.h>

ssize_t skuai_recv(int fd, void *to, size_t size, int flags) { return recv(fd, to, size, flags); }
ssize_t skuai_send(int fd, const void *from, size_t size, int flags) { return send(fd, from, size, flags); }
