/* What listening and connecting share. */
#ifndef SKUAI_SOCKET_H
#define SKUAI_SOCKET_H

#include "sched/atomic.h"
#include "skua/socket.h"

extern const skua_socket_options skuai_socket_usual;

/* A socket of bytes that does not block, for an address; or an error. */
int skuai_socket_make(const skua_address *address);
/* For what is connected: NODELAY. */
void skuai_socket_set_connected(int fd, bool tcp, const skua_socket_options *options);

SKUAI_INLINE bool skuai_address_is_tcp(const skua_address *address) { return address->storage.ss_family != AF_UNIX; }

SKUAI_INLINE const struct sockaddr *skuai_address_sockaddr(const skua_address *address)
{
    return (const struct sockaddr *)(const void *)&address->storage;
}

/* Which of some addresses is tried when: order[i] is the index of the i-th. */
void skuai_connect_order(const skua_address *addresses, size_t count, uint32_t *order);

/* ---- names (address.c, resolve.c) ---- */

enum { SKUAI_HOST_MAX = 254 }; /* RFC 1035's 253, and a terminator */

/* A host and port that skua_address_parse() does not know by itself. */
struct skuai_host {
    char name[SKUAI_HOST_MAX];
    uint16_t port;
    bool is_datagram; /* udp:// */
    bool is_number;   /* in brackets: an IPv6 address with a zone, as fe80::1%eth0 */
};

/* -EINVAL, -ENAMETOOLONG: it is none. */
int skuai_address_parse_host(struct skuai_host *host, const char *text);
void skuai_address_set_port(skua_address *address, uint16_t port);

/* What is found; the addresses are to be freed. */
struct skuai_answer {
    skua_address *addresses;
    size_t count;
    int rc;
};

/* A question for a host that is no number (resolve.c). 0: it is asked, to be waited for by the op, and ended: with what
 * the wait's result is, or given up, with an error. Else an error. `rt`: for a thread that is no runtime's. */
struct skuai_request;
int skuai_resolve_begin(skua_runtime *rt, const char *text, struct skuai_request **request);
skua_op *skuai_resolve_wait_prepare(skua_op *op, struct skuai_request *request);
int skuai_resolve_end(struct skuai_request *request, int waited, struct skuai_answer *answer);

#endif
