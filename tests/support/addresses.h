/* Addresses on this machine that stand for the world's: one that answers, one that refuses (a closed port), and one
 * that says nothing (a full backlog). */
#ifndef TEST_ADDRESSES_H
#define TEST_ADDRESSES_H

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <skua/socket.h>

#include "io/socket.h"
#include "support/test.h"

enum { FILLERS = 64 };

struct world {
    skua_address open, refusing, silent;
    int open_fd, silent_fd;
    int fillers[FILLERS];
    int nfillers;
    bool has_silent;
};

static inline int listen_plainly(skua_address *address, int backlog)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_OK(skua_address_parse(address, "tcp://127.0.0.1:0"));
    CHECK_EQ(bind(fd, skuai_address_sockaddr(address), address->length), 0);
    CHECK_EQ(listen(fd, backlog), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)(void *)&address->storage, &address->length), 0);
    return fd;
}

/* Connects until a connection does not come about: whoever comes from now on hears nothing. */
static inline void fill_backlog(struct world *world)
{
    for (world->nfillers = 0; world->nfillers < FILLERS && !world->has_silent;) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0);
        world->fillers[world->nfillers++] = fd;
        (void)connect(fd, skuai_address_sockaddr(&world->silent), world->silent.length);
        struct pollfd out = { .fd = fd, .events = POLLOUT };
        world->has_silent = poll(&out, 1, 50) == 0;
    }
}

static inline void make_world(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->open_fd = listen_plainly(&world->open, 100);
    world->silent_fd = listen_plainly(&world->silent, 0);
    CHECK_EQ(close(listen_plainly(&world->refusing, 1)), 0);
    fill_backlog(world);
}

static inline void end_world(struct world *world)
{
    for (int i = 0; i < world->nfillers; i++)
        close(world->fillers[i]);
    close(world->open_fd);
    close(world->silent_fd);
}

#endif
