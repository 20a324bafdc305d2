/* The thread that answers who looks into a live runtime. Protocol and promises: skua/monitor.h.
 *
 * A thread and not a task: tasks would need a worker, or a spare one, of which there may be none left; they would be
 * counted as living, so that no runtime drained as long as somebody looks; and what they do would be in the counters
 * that they are to show. It starts when somebody asks for it, and ends when it is told to, at the latest before the
 * workers are taken down: so a shutdown that hangs can be looked into.
 *   U1 wait     it sleeps in poll(2), on the pipe by which it is told to end, on the listener and on its clients; no
 *               time ends that, so it counts as at rest (rest.h): as a guard does, since it wakes nobody after it
 *   U2 read     of a client with an answer under way only room to write is waited for; so each has one answer in
 *               memory at most, whatever it sends and does not read
 *   U3 accept   whoever is neither the user nor root is closed at once. If there is no descriptor left for one who
 *               waits it looks again after ACCEPT_AGAIN_MS, since the listener would stay ready
 *   U4 end      one byte in the pipe. A fork's child has no such thread: it closes its copies of the descriptors, and
 *               since nobody forks between U1 and the next U1 it finds them as they are
 */
#define _GNU_SOURCE
#include "runtime/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/fd_passing.h"
#include "io/socket_calls.h"
#include "sched/rest.h"

enum { CLIENTS_MAX = 16, REQUEST_MAX = 64, GREETING_MAX = 96, ACCEPT_AGAIN_MS = 100 };

struct client {
    int fd;
    bool has_ended;          /* it sends no more */
    bool is_last;            /* after this answer it is closed */
    size_t in_length;
    char in[REQUEST_MAX];    /* what it has sent and was not answered yet */
    char *out;               /* the answer under way, or NULL */
    size_t out_size, out_length, out_sent;
};

struct skuai_monitor {
    skua_runtime *rt;
    struct skuai_thread thread;
    struct skuai_monitor_socket listener;
    int wake[2];             /* U4: read end, write end */
    uid_t user;
    /* the thread's */
    bool accepts;
    uint32_t nclients;
    struct client clients[CLIENTS_MAX];
};

/* ---- a client ---------------------------------------------------------------------------------------------------- */

static void forget_answer(struct skuai_monitor *monitor, struct client *client)
{
    if (client->out != NULL)
        skuai_memory_put(&monitor->rt->sched, client->out, client->out_size);
    client->out = NULL;
}

static bool say(struct skuai_monitor *monitor, struct client *client, const char *text)
{
    client->out_size = client->out_length = strlen(text);
    client->out_sent = 0;
    client->out = skuai_memory_get(&monitor->rt->sched, client->out_size);
    if (client->out != NULL)
        memcpy(client->out, text, client->out_size);
    return client->out != NULL;
}

/* Takes the next request out of what has come. NULL: it is not there as a whole. */
static const char *next_request(struct client *client, char request[REQUEST_MAX])
{
    const char *end = memchr(client->in, '\n', client->in_length);
    if (end == NULL)
        return NULL;
    size_t length = (size_t)(end - client->in);
    memcpy(request, client->in, length);
    request[length > 0 && request[length - 1] == '\r' ? length - 1 : length] = '\0';
    client->in_length -= length + 1;
    memmove(client->in, end + 1, client->in_length);
    return request;
}

/* False: there is no memory for an answer. */
static bool answer(struct skuai_monitor *monitor, struct client *client, const char *request)
{
    if (strcmp(request, "stats") != 0)
        return say(monitor, client, "error unknown request; there is: stats\n");
    client->out_sent = 0;
    client->out = skuai_monitor_stats(monitor->rt, &client->out_size, &client->out_length);
    return client->out != NULL;
}

/* False: it can get no more. */
static bool send_answer(struct skuai_monitor *monitor, struct client *client)
{
    while (client->out_sent < client->out_length) {
        ssize_t n = skuai_send(client->fd, client->out + client->out_sent, client->out_length - client->out_sent,
                               MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR; /* then poll comes back */
        client->out_sent += (size_t)n;
    }
    forget_answer(monitor, client);
    return true;
}

/* Goes on as far as it goes. False: the client is done with. */
static bool advance(struct skuai_monitor *monitor, struct client *client)
{
    char request[REQUEST_MAX];
    for (;;) {
        if (client->out != NULL && !send_answer(monitor, client))
            return false;
        if (client->out != NULL)
            return true;
        if (client->is_last)
            return false;
        if (next_request(client, request) != NULL) {
            if (!answer(monitor, client, request))
                return false;
        } else if (client->in_length == REQUEST_MAX) {
            client->is_last = true;
            if (!say(monitor, client, "error the request is too long\n"))
                return false;
        } else {
            return !client->has_ended;
        }
    }
}

/* U2. False: as above. */
static bool serve(struct skuai_monitor *monitor, struct client *client)
{
    if (client->out == NULL) {
        ssize_t n = skuai_recv(client->fd, client->in + client->in_length, REQUEST_MAX - client->in_length,
                               MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        client->has_ended = n == 0;
        client->in_length += (size_t)n;
    }
    return advance(monitor, client);
}

static void drop(struct skuai_monitor *monitor, uint32_t index)
{
    struct client *client = &monitor->clients[index];
    forget_answer(monitor, client);
    (void)close(client->fd);
    *client = monitor->clients[--monitor->nclients];
}

/* ---- accepting --------------------------------------------------------------------------------------------------- */

static bool is_welcome(const struct skuai_monitor *monitor, int fd)
{
    skua_peer_credentials peer;
    if (skuai_fds_peer(fd, &peer) < 0)
        return false;
    if (peer.uid == monitor->user || peer.uid == 0)
        return true;
    skuai_log(&monitor->rt->sched, SKUA_LOG_WARN, "monitor: user %lu was refused", (unsigned long)peer.uid);
    return false;
}

static void greet(struct skuai_monitor *monitor, int fd)
{
    static const char full[] = "error too many clients\n";
    char greeting[GREETING_MAX];
    if (monitor->nclients == CLIENTS_MAX) {
        (void)skuai_send(fd, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)close(fd);
        return;
    }
    monitor->clients[monitor->nclients++] = (struct client){ .fd = fd };
    snprintf(greeting, sizeof greeting, "skua-monitor %d version=%s pid=%ld\n", SKUAI_MONITOR_PROTOCOL, skua_version(),
             (long)getpid());
    struct client *client = &monitor->clients[monitor->nclients - 1];
    if (!say(monitor, client, greeting) || !advance(monitor, client))
        drop(monitor, monitor->nclients - 1);
}

/* U3. */
static void accept_one(struct skuai_monitor *monitor)
{
    int fd = accept4(monitor->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        monitor->accepts = errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
    } else if (is_welcome(monitor, fd)) {
        greet(monitor, fd);
    } else {
        (void)close(fd);
    }
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

enum { AT_WAKE, AT_LISTENER, AT_CLIENTS };

/* U1. */
static void wait_for_some(struct skuai_monitor *monitor, struct pollfd *polled)
{
    struct skuai_rest rest;
    polled[AT_WAKE] = (struct pollfd){ .fd = monitor->wake[0], .events = POLLIN };
    polled[AT_LISTENER] = (struct pollfd){ .fd = monitor->accepts ? monitor->listener.fd : -1, .events = POLLIN };
    for (uint32_t i = 0; i < monitor->nclients; i++)
        polled[AT_CLIENTS + i] = (struct pollfd){ .fd = monitor->clients[i].fd,
                                                  .events = monitor->clients[i].out != NULL ? POLLOUT : POLLIN };
    skuai_rest_begin(&rest, SKUAI_REST_GUARD, monitor->accepts);
    int rc = poll(polled, AT_CLIENTS + monitor->nclients, monitor->accepts ? -1 : ACCEPT_AGAIN_MS);
    skuai_rest_end(&rest, SKUAI_REST_GUARD, monitor->accepts);
    if (rc < 0) /* what it says then means nothing */
        for (uint32_t i = 0; i < AT_CLIENTS + monitor->nclients; i++)
            polled[i].revents = 0;
}

static void monitor_main(void *arg)
{
    struct skuai_monitor *monitor = arg;
    struct pollfd polled[AT_CLIENTS + CLIENTS_MAX];
    monitor->accepts = true;
    if (monitor->rt->sched.bind) /* who has started it may be a worker */
        skuai_topology_unbind_self(&monitor->rt->sched.topology);
    for (;;) {
        wait_for_some(monitor, polled);
        if (polled[AT_WAKE].revents != 0)
            break;
        skuai_fork_hold_off(); /* U4 */
        for (uint32_t i = monitor->nclients; i-- > 0;) /* backwards: the last takes the place of one that goes */
            if (polled[AT_CLIENTS + i].revents != 0 && !serve(monitor, &monitor->clients[i]))
                drop(monitor, i);
        bool may_accept = polled[AT_LISTENER].revents != 0;
        monitor->accepts = true;
        if (may_accept)
            accept_one(monitor);
        skuai_fork_allow();
    }
}

/* ---- starting and stopping --------------------------------------------------------------------------------------- */

static int start_thread(struct skuai_monitor *monitor)
{
    if (pipe2(monitor->wake, O_CLOEXEC) != 0)
        return -skua_errno();
    monitor->thread = (struct skuai_thread){ .entry = monitor_main, .arg = monitor, .name = "skua-monitor" };
    int rc = skuai_thread_start_real(&monitor->thread);
    if (rc < 0) {
        (void)close(monitor->wake[0]);
        (void)close(monitor->wake[1]);
    }
    return rc;
}

static int start(skua_runtime *rt, const char *path)
{
    struct skuai_scheduler *sched = &rt->sched;
    if (sched->env.sim != NULL || skuai_fork_is_child(sched))
        return -ENOTSUP;
    if (rt->monitor != NULL)
        return -EBUSY;
    struct skuai_monitor *monitor = skuai_memory_get_lines(&sched->memory, sizeof *monitor);
    if (monitor == NULL)
        return -ENOMEM;
    monitor->rt = rt;
    monitor->user = geteuid();
    int rc = skuai_monitor_listen(&monitor->listener, sched, path);
    if (rc == 0 && (rc = start_thread(monitor)) < 0) {
        skuai_log(sched, SKUA_LOG_ERROR, "monitor: its thread could not be started: %s", skua_strerror(rc));
        skuai_monitor_unlisten(&monitor->listener, false);
    }
    if (rc < 0) {
        skuai_memory_put_lines(&sched->memory, monitor, sizeof *monitor);
        return rc;
    }
    rt->monitor = monitor;
    skuai_log(sched, SKUA_LOG_INFO, "monitor: at %s", monitor->listener.path);
    return 0;
}

int skua_monitor_start(skua_runtime *rt, const char *path)
{
    int cancellable = skuai_cancel_hold_off(); /* or a file would be left over */
    int rc = start(rt, path);
    skuai_cancel_allow(cancellable);
    return rc;
}

/* U4. */
static void end_thread(struct skuai_monitor *monitor)
{
    while (write(monitor->wake[1], "", 1) != 1) /* an empty pipe takes it: at most it was interrupted */
        ;
    skuai_thread_join_real(&monitor->thread);
}

void skua_monitor_stop(skua_runtime *rt)
{
    struct skuai_monitor *monitor = rt->monitor;
    if (monitor == NULL)
        return;
    int cancellable = skuai_cancel_hold_off(); /* likewise */
    rt->monitor = NULL;
    bool in_child = skuai_fork_is_child(&rt->sched);
    if (!in_child)
        end_thread(monitor);
    while (monitor->nclients > 0)
        drop(monitor, monitor->nclients - 1);
    skuai_monitor_unlisten(&monitor->listener, in_child);
    (void)close(monitor->wake[0]);
    (void)close(monitor->wake[1]);
    skuai_memory_put_lines(&rt->sched.memory, monitor, sizeof *monitor);
    skuai_cancel_allow(cancellable);
}

int skua_monitor_path(skua_runtime *rt, char *path, size_t size)
{
    return rt->monitor != NULL ? snprintf(path, size, "%s", rt->monitor->listener.path) : -ENOENT;
}

int skuai_monitor_begin(skua_runtime *rt, const skua_config *given)
{
    const char *path = rt->config.monitor;
    if (path == NULL || rt->sched.env.sim != NULL)
        return 0;
    int rc = skua_monitor_start(rt, strcmp(path, "1") != 0 ? path : NULL);
    if (rc < 0 && (given == NULL || given->monitor == NULL)) {
        skuai_log(&rt->sched, SKUA_LOG_WARN, "SKUA_MONITOR: it goes on without");
        return 0;
    }
    return rc;
}
