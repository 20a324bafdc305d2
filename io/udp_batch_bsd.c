/* One by one: macOS has no call for many. */
#include "io/udp.h"

#include <errno.h>

int skuai_udp_receive_batch(int fd, skua_datagram *datagrams, int count)
{
    int got = 0;
    for (; got < count && got < SKUAI_UDP_BATCH; got++) {
        skua_datagram *datagram = &datagrams[got];
        struct iovec vector = { datagram->data, datagram->size };
        struct msghdr header = { .msg_name = &datagram->address.storage,
                                 .msg_namelen = sizeof datagram->address.storage,
                                 .msg_iov = &vector,
                                 .msg_iovlen = 1 };
        ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT);
        if (n < 0)
            return got > 0 ? got : -skua_errno();
        datagram->length = header.msg_flags & MSG_TRUNC ? datagram->size + 1 : (size_t)n; /* at least so much longer */
        datagram->address.length = header.msg_namelen;
    }
    return got;
}

int skuai_udp_send_batch(int fd, const skua_datagram *datagrams, int count)
{
    int sent = 0;
    for (; sent < count && sent < SKUAI_UDP_BATCH; sent++) {
        const skua_datagram *datagram = &datagrams[sent];
        const struct sockaddr *to = datagram->address.length != 0
                                        ? (const struct sockaddr *)(const void *)&datagram->address.storage
                                        : NULL;
        if (sendto(fd, datagram->data, datagram->size, MSG_DONTWAIT, to, datagram->address.length) < 0)
            return sent > 0 ? sent : -skua_errno();
    }
    return sent;
}
