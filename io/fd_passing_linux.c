/* See fd_passing.h. */
#define _GNU_SOURCE
#include "io/fd_passing.h"

ssize_t skuai_fds_receive(int fd, struct msghdr *message)
{
    ssize_t n = recvmsg(fd, message, MSG_CMSG_CLOEXEC);
    return n < 0 ? -(ssize_t)skua_errno() : n;
}

int skuai_fds_peer(int fd, skua_peer_credentials *peer)
{
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return -skua_errno();
    *peer = (skua_peer_credentials){ .pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid };
    return 0;
}
