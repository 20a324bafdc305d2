/* Many datagrams in one system call, where there is one. */
#ifndef SKUAI_UDP_H
#define SKUAI_UDP_H

#include "skua/udp.h"

enum { SKUAI_UDP_BATCH = 64 };

/* Up to SKUAI_UDP_BATCH, without waiting. How many, or a negative errno value. */
int skuai_udp_receive_batch(int fd, skua_datagram *datagrams, int count);
int skuai_udp_send_batch(int fd, const skua_datagram *datagrams, int count);

#endif
