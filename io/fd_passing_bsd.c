/* See fd_passing.h. Not every one of these systems can receive close-on-exec, so it is set afterwards: a process that
 * is started in between inherits them. */
#include "io/fd_passing.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void close_on_exec(const struct cmsghdr *header)
{
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
}

ssize_t skuai_fds_receive(int fd, struct msghdr *message)
{
    ssize_t n = recvmsg(fd, message, 0);
    if (n < 0)
        return -(ssize_t)skua_errno();
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            close_on_exec(header);
    return n;
}

int skuai_fds_peer(int fd, skua_peer_credentials *peer)
{
    *peer = (skua_peer_credentials){ .pid = 0 };
    return getpeereid(fd, &peer->uid, &peer->gid) == 0 ? 0 : -skua_errno();
}
