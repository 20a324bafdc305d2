/* Looking into a runtime, with each call that this makes failing: it begins or says why not, and nothing is left; who
 * looks is answered, whole, or finds the end; and workers notice nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/faults.h"
#include "support/test.h"

static char folder[64], path[96];

struct look {
    bool finds_stale;
};

static struct sockaddr_un address(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address;
}

static void leave_stale(void)
{
    struct sockaddr_un at = address();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    CHECK_EQ(close(fd), 0);
}

/* Asks, and reads to the end. Returns whether all has come. */
static bool ask(void)
{
    static char text[1 << 14];
    struct sockaddr_un at = address();
    size_t length = 0;
    ssize_t n;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    (void)!send(fd, "stats\n", 6, MSG_NOSIGNAL); /* or it is closed already */
    (void)shutdown(fd, SHUT_WR);
    while ((n = read(fd, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)n;
    CHECK(n == 0 || errno == ECONNRESET);
    CHECK_EQ(close(fd), 0);
    text[length] = '\0';
    return strncmp(text, "skua-monitor 1 ", 15) == 0 && length > 5 && strcmp(text + length - 5, "\nend\n") == 0;
}

static int returns(void *arg)
{
    (void)arg;
    return 7;
}

static void live(void *arg)
{
    const struct look *look = arg;
    skua_config config = faults_config(1, true);
    skua_runtime *rt;
    if (!faults_done(skua_runtime_create(&rt, &config)))
        return;
    if (look->finds_stale)
        leave_stale();
    int rc = skua_monitor_start(rt, path);
    if (rc < 0) {
        CHECK(faults_may_refuse());
        CHECK_EQ(skua_monitor_path(rt, NULL, 0), -ENOENT);
    } else if (!ask()) {
        CHECK(faults_may_refuse());
    }
    int64_t result = skua_block_on(rt, returns, NULL);
    if (faults_done(result))
        CHECK_EQ(result, 7);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
    (void)unlink(path); /* a look at it, or its removal, may have been refused */
}

static void begin(void)
{
    snprintf(folder, sizeof folder, "/tmp/skua-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/here.sock", folder);
}

static void end(void) { CHECK_EQ(rmdir(folder), 0); }

TEST(beginning)
{
    struct look look = { .finds_stale = false };
    begin();
    FAULTS_EACH(live, &look, FAULT_socket, FAULT_bind, FAULT_listen, FAULT_chmod, FAULT_stat, FAULT_lstat,
                FAULT_pthread_create, FAULT_pipe2, FAULT_unlink, FAULT_close);
    end();
}

TEST(in_the_place_of_a_dead_one)
{
    struct look look = { .finds_stale = true };
    begin();
    FAULTS_EACH(live, &look, FAULT_socket, FAULT_connect, FAULT_lstat, FAULT_bind);
    end();
}

TEST(answering)
{
    struct look look = { .finds_stale = false };
    begin();
    FAULTS_EACH(live, &look, FAULT_application_alloc, FAULT_getsockopt, FAULT_skuai_send, FAULT_skuai_recv, FAULT_poll,
                FAULT_write);
    end();
}

/* Who could not be accepted is, when there is a descriptor again. */
TEST(accepting)
{
    struct look look = { .finds_stale = false };
    begin();
    for (int way = 0; way < 8; way++) {
        faults_arm(FAULT_accept4, way, 1, 1);
        live(&look);
        faults_disarm();
    }
    end();
}
