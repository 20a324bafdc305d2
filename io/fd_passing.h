/* What systems do differently about unix sockets. See fd_passing.c. */
#ifndef SKUAI_FD_PASSING_H
#define SKUAI_FD_PASSING_H

#include <sys/socket.h>

#include "skua/fd_passing.h"

/* recvmsg(2), with the descriptors that come close-on-exec. Returns as it does, the error negative. */
ssize_t skuai_fds_receive(int fd, struct msghdr *message);

/* Of a unix socket. Returns 0 or an error. */
int skuai_fds_peer(int fd, skua_peer_credentials *peer);

#endif
