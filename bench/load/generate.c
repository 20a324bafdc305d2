/* Sends messages and takes their answers, on one thread with one epoll (load.h). A message begins with its number on
 * its connection, which must come back. An open loop does not sleep: it would oversleep, and has a processor to itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/cases/measure.h"
#include "bench/load/load.h"

enum {
    EVENTS = 256,
    SAMPLES = 1 << 22,
    UNDER_WAY = 1 << 13, /* messages of one connection; more wait until there is room, and are late by it */
    BURST = 16,          /* late messages that are sent between two looks for answers */
    PATIENCE_S = 20
};

struct connection {
    int fd;
    uint64_t sent, back; /* messages */
    size_t part;         /* bytes of the next answer that are here */
    char answer[MESSAGE];
    uint64_t *since; /* of the messages under way: from when on they count */
};

struct load {
    int epoll, count;
    struct connection *connections;
    uint32_t *samples; /* ns */
    size_t nsamples;
};

/* ---- connections ------------------------------------------------------------------------------------------------ */

static int connect_to(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
        work_die("connect", strerror(errno));
    return fd;
}

struct load *load_create(uint16_t port, int connections)
{
    struct load *load = work_memory(sizeof *load);
    size_t size = sizeof *load->connections * (size_t)connections;
    *load = (struct load){ .epoll = epoll_create1(EPOLL_CLOEXEC), .count = connections };
    load->connections = work_memory(size);
    load->samples = work_memory(SAMPLES * sizeof *load->samples);
    memset(load->connections, 0, size);
    for (int i = 0; i < connections; i++) {
        struct connection *connection = &load->connections[i];
        struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = connection } };
        connection->fd = connect_to(port);
        connection->since = work_memory(UNDER_WAY * sizeof *connection->since); /* touched as far as it is used */
        if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
            work_die("epoll_ctl", strerror(errno));
    }
    return load;
}

void load_destroy(struct load *load)
{
    const struct linger reset = { .l_onoff = 1 }; /* so that ten thousand leave nothing behind */
    for (int i = 0; i < load->count; i++) {
        (void)setsockopt(load->connections[i].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(load->connections[i].fd);
        free(load->connections[i].since);
    }
    close(load->epoll);
    free(load->connections);
    free(load->samples);
    free(load);
}

/* ---- messages --------------------------------------------------------------------------------------------------- */

/* False: there is no room for it. */
static bool send_message(struct connection *connection, uint64_t since)
{
    char message[MESSAGE] = { 0 };
    if (connection->sent - connection->back == UNDER_WAY)
        return false;
    memcpy(message, &connection->sent, sizeof connection->sent);
    ssize_t n = send(connection->fd, message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n != MESSAGE)
        work_die("send", n < 0 ? strerror(errno) : "a part of a message");
    connection->since[connection->sent++ % UNDER_WAY] = since;
    return true;
}

static void note(struct load *load, uint64_t since, uint64_t now)
{
    uint64_t took = now > since ? now - since : 0;
    if (load->nsamples == SAMPLES)
        work_die("samples", "there is no room for more");
    load->samples[load->nsamples++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
}

/* One look for answers. Returns how many came. */
static int take_answers(struct load *load, struct connection *connection)
{
    char buffer[4096];
    int whole = 0;
    ssize_t n = recv(connection->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n <= 0)
        work_die("recv", n < 0 ? strerror(errno) : "the server has closed a connection");
    uint64_t now = work_wall_ns();
    for (size_t at = 0, size; at < (size_t)n; at += size) {
        size = MESSAGE - connection->part;
        if (size > (size_t)n - at)
            size = (size_t)n - at;
        memcpy(&connection->answer[connection->part], &buffer[at], size);
        connection->part = (connection->part + size) % MESSAGE;
        if (connection->part != 0)
            continue;
        work_check("an answer", memcmp(connection->answer, &connection->back, sizeof connection->back), 0);
        note(load, connection->since[connection->back++ % UNDER_WAY], now);
        whole++;
    }
    return whole;
}

/* Each event's connection; `again`: it gets the next message. Returns how many answers came. */
static uint64_t look(struct load *load, int timeout_ms, bool again)
{
    struct epoll_event events[EVENTS];
    uint64_t answers = 0;
    int count = epoll_wait(load->epoll, events, EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        int whole = take_answers(load, connection);
        answers += (uint64_t)whole;
        if (whole > 0 && again && !send_message(connection, work_wall_ns()))
            work_die("send", "no room for a message");
    }
    return answers;
}

static uint64_t under_way(const struct load *load)
{
    uint64_t sum = 0;
    for (int i = 0; i < load->count; i++)
        sum += load->connections[i].sent - load->connections[i].back;
    return sum;
}

static void take_rest(struct load *load)
{
    uint64_t left = under_way(load), until = work_wall_ns() + PATIENCE_S * UINT64_C(1000000000);
    while (left > 0) {
        left -= look(load, 100, false);
        if (work_wall_ns() > until)
            work_die("answers", "some did not come");
    }
}

/* ---- loops ------------------------------------------------------------------------------------------------------ */

uint64_t load_closed(struct load *load, uint64_t duration_ns)
{
    uint64_t until = work_wall_ns() + duration_ns;
    load->nsamples = 0;
    for (int i = 0; i < load->count; i++)
        (void)send_message(&load->connections[i], work_wall_ns());
    while (work_wall_ns() < until)
        (void)look(load, 1000, true);
    take_rest(load);
    return load->nsamples;
}

void load_once(struct load *load)
{
    load->nsamples = 0;
    for (int i = 0; i < load->count; i++) {
        (void)send_message(&load->connections[i], work_wall_ns());
        if (i % 64 == 63)
            take_rest(load);
    }
    take_rest(load);
}

uint64_t load_open(struct load *load, uint64_t duration_ns, double interval_ns)
{
    uint64_t begin = work_wall_ns(), next = 0, count = (uint64_t)((double)duration_ns / interval_ns);
    uint64_t give_up = begin + duration_ns + PATIENCE_S * UINT64_C(1000000000);
    load->nsamples = 0;
    while (next < count) {
        uint64_t now = work_wall_ns();
        for (int i = 0; i < BURST && next < count; i++) {
            uint64_t due = begin + (uint64_t)((double)next * interval_ns);
            if (due > now || !send_message(&load->connections[next % (uint64_t)load->count], due))
                break;
            next++;
        }
        (void)look(load, 0, false);
        if (now > give_up)
            work_die("server", "it does not keep up by far");
    }
    take_rest(load);
    return load->nsamples;
}

/* ---- figures ---------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

double load_latency(struct load *load, double p)
{
    if (load->nsamples == 0)
        work_die("samples", "there are none");
    qsort(load->samples, load->nsamples, sizeof *load->samples, by_value);
    return load->samples[(size_t)(p * (double)(load->nsamples - 1))];
}
