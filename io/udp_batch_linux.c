/* recvmmsg(2) and sendmmsg(2). */
#define _GNU_SOURCE
#include "io/udp.h"

#include <errno.h>
#include <string.h>

struct batch {
    struct mmsghdr headers[SKUAI_UDP_BATCH];
    struct iovec vectors[SKUAI_UDP_BATCH];
};

static int begin(struct batch *batch, const skua_datagram *datagrams, int count)
{
    int n = count < SKUAI_UDP_BATCH ? count : SKUAI_UDP_BATCH;
    memset(batch->headers, 0, (size_t)n * sizeof batch->headers[0]);
    for (int i = 0; i < n; i++) {
        batch->vectors[i] = (struct iovec){ datagrams[i].data, datagrams[i].size };
        batch->headers[i].msg_hdr.msg_iov = &batch->vectors[i];
        batch->headers[i].msg_hdr.msg_iovlen = 1;
    }
    return n;
}

int skuai_udp_receive_batch(int fd, skua_datagram *datagrams, int count)
{
    struct batch batch;
    int n = begin(&batch, datagrams, count);
    for (int i = 0; i < n; i++) {
        batch.headers[i].msg_hdr.msg_name = &datagrams[i].address.storage;
        batch.headers[i].msg_hdr.msg_namelen = sizeof datagrams[i].address.storage;
    }
    int got = recvmmsg(fd, batch.headers, (unsigned)n, MSG_DONTWAIT | MSG_TRUNC, NULL);
    if (got < 0)
        return -skua_errno();
    for (int i = 0; i < got; i++) {
        datagrams[i].length = batch.headers[i].msg_len;
        datagrams[i].address.length = batch.headers[i].msg_hdr.msg_namelen;
    }
    return got;
}

int skuai_udp_send_batch(int fd, const skua_datagram *datagrams, int count)
{
    struct batch batch;
    int n = begin(&batch, datagrams, count);
    for (int i = 0; i < n; i++)
        if (datagrams[i].address.length != 0) {
            batch.headers[i].msg_hdr.msg_name = (void *)(uintptr_t)&datagrams[i].address.storage;
            batch.headers[i].msg_hdr.msg_namelen = datagrams[i].address.length;
        }
    int sent = sendmmsg(fd, batch.headers, (unsigned)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent >= 0 ? sent : -skua_errno();
}
