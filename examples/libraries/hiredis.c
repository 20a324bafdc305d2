/* A client library of others, driven by skua_fd: hiredis, which speaks with Redis.
 *
 *     skua-hiredis 127.0.0.1:6379 [connections [rounds]]
 *     skua-hiredis /run/redis/redis.sock …
 *
 * hiredis does its own reading and writing, into buffers of its own. In its non-blocking mode it is asked to do so when
 * the descriptor is ready, and skua_fd_wait() suspends the task, not the worker, until then: redis_command() below is
 * all that it takes. A connection serves one task at a time; here many of them count together on few workers, one
 * gives up by a deadline, and one waits for another's word.
 *
 * After an error, an interrupted command included, a connection is out of step with its server: it is closed.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis.h>
#include <sys/socket.h>

#include <skua.h>

/* ---- hiredis over skua_fd --------------------------------------------------------------------------------------- */

struct redis {
    redisContext *context;
    skua_fd *watch; /* of the context's descriptor, which stays hiredis' own */
};

/* What hiredis says has gone wrong. */
static int error_of(const redisContext *context)
{
    switch (context->err) {
    case REDIS_ERR_IO:
        return skua_errno() != 0 ? -skua_errno() : -EIO;
    case REDIS_ERR_EOF:
        return -ECONNRESET;
    case REDIS_ERR_OOM:
        return -ENOMEM;
    default:
        return -EPROTO;
    }
}

static void redis_close(struct redis *redis)
{
    skua_fd_close(redis->watch); /* before its descriptor is closed */
    redisFree(redis->context);
}

/* "host:port" or a path. Returns NULL if there is no memory. */
static redisContext *begin_connecting(const char *where)
{
    const char *colon = strrchr(where, ':');
    char host[64];
    if (colon == NULL || (size_t)(colon - where) >= sizeof host)
        return redisConnectUnixNonBlock(where);
    memcpy(host, where, (size_t)(colon - where));
    host[colon - where] = '\0';
    return redisConnectNonBlock(host, atoi(colon + 1));
}

static int finish_connecting(const struct redis *redis)
{
    int ready = skua_fd_wait(redis->watch, SKUA_WRITABLE), error = 0;
    socklen_t size = sizeof error;
    if (ready < 0)
        return ready;
    return getsockopt(redis->context->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 ? -skua_errno() : -error;
}

static int redis_connect(struct redis *redis, const char *where)
{
    redis->context = begin_connecting(where);
    if (redis->context == NULL)
        return -ENOMEM;
    int rc = redis->context->err != 0 ? error_of(redis->context) : 0;
    if (rc == 0)
        rc = skua_fd_open(&redis->watch, NULL, redis->context->fd);
    if (rc < 0) {
        redisFree(redis->context);
        return rc;
    }
    rc = finish_connecting(redis);
    if (rc < 0)
        redis_close(redis);
    return rc;
}

/* What was appended goes out. */
static int redis_flush(struct redis *redis)
{
    int is_done = 0;
    for (;;) {
        if (redisBufferWrite(redis->context, &is_done) != REDIS_OK)
            return error_of(redis->context);
        if (is_done)
            return 0;
        int ready = skua_fd_wait(redis->watch, SKUA_WRITABLE);
        if (ready < 0)
            return ready;
    }
}

/* The next reply, which is the caller's to free. */
static int redis_reply(struct redis *redis, redisReply **reply)
{
    for (;;) {
        void *next = NULL;
        if (redisGetReplyFromReader(redis->context, &next) != REDIS_OK)
            return error_of(redis->context);
        *reply = next;
        if (next != NULL)
            return 0;
        int ready = skua_fd_wait(redis->watch, SKUA_READABLE);
        if (ready < 0)
            return ready;
        if (redisBufferRead(redis->context) != REDIS_OK)
            return error_of(redis->context);
    }
}

/* One command and its reply, which is the caller's to free. -EPROTO: the server has refused it. */
static int redis_command(struct redis *redis, redisReply **reply, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int rc = redisvAppendCommand(redis->context, format, arguments) == REDIS_OK ? 0 : error_of(redis->context);
    va_end(arguments);
    if (rc == 0)
        rc = redis_flush(redis);
    if (rc == 0)
        rc = redis_reply(redis, reply);
    if (rc == 0 && (*reply)->type == REDIS_REPLY_ERROR) {
        fprintf(stderr, "skua-hiredis: %s\n", (*reply)->str);
        freeReplyObject(*reply);
        rc = -EPROTO;
    }
    return rc;
}

/* For its number alone. */
static int redis_number(struct redis *redis, const char *command, const char *key, long long *number)
{
    redisReply *reply;
    int rc = redis_command(redis, &reply, "%s %s", command, key);
    if (rc < 0)
        return rc;
    *number = reply->type == REDIS_REPLY_STRING ? atoll(reply->str) : reply->integer;
    freeReplyObject(reply);
    return 0;
}

/* ---- what is done with it --------------------------------------------------------------------------------------- */

enum { PIPELINED = 10 };
#define COUNTER "skua:example:counter"
#define LIST "skua:example:list"

struct work {
    const char *where;
    int connections, rounds;
};

/* Several commands at once, then their replies. */
static int count_pipelined(struct redis *redis, int commands)
{
    int rc = 0;
    for (int i = 0; i < commands; i++)
        if (redisAppendCommand(redis->context, "INCR %s", COUNTER) != REDIS_OK)
            return error_of(redis->context);
    rc = redis_flush(redis);
    for (int i = 0; i < commands && rc == 0; i++) {
        redisReply *reply;
        rc = redis_reply(redis, &reply);
        if (rc == 0)
            freeReplyObject(reply);
    }
    return rc;
}

static int count(void *arg)
{
    const struct work *work = arg;
    struct redis redis;
    long long number;
    int rc = redis_connect(&redis, work->where);
    if (rc < 0)
        return rc;
    for (int i = 0; i < work->rounds && rc == 0; i++)
        rc = i % 2 == 0 ? redis_number(&redis, "INCR", COUNTER, &number) : count_pipelined(&redis, PIPELINED);
    redis_close(&redis);
    return rc;
}

static long long counted_by(const struct work *work)
{
    return (long long)work->connections * ((work->rounds + 1) / 2 + (long long)(work->rounds / 2) * PIPELINED);
}

/* Waits for somebody to push: the server does not answer before that. */
static int pop(void *arg)
{
    const struct work *work = arg;
    struct redis redis;
    redisReply *reply;
    int rc = redis_connect(&redis, work->where);
    if (rc < 0)
        return rc;
    rc = redis_command(&redis, &reply, "BLPOP %s 0", LIST);
    if (rc == 0) {
        rc = reply->elements == 2 && strcmp(reply->element[1]->str, "word") == 0 ? 0 : -EPROTO;
        freeReplyObject(reply);
    }
    redis_close(&redis);
    return rc;
}

/* The same, but nobody pushes, and the deadline ends it. Returns 0 if it does. */
static int give_up(const char *where)
{
    struct redis redis;
    redisReply *reply;
    int rc = redis_connect(&redis, where);
    if (rc < 0)
        return rc;
    {
        SKUA_DEADLINE(20 * SKUA_MS);
        rc = redis_command(&redis, &reply, "BLPOP %s 0", LIST);
    }
    if (rc == 0)
        freeReplyObject(reply);
    redis_close(&redis);
    return rc == -ETIMEDOUT ? 0 : rc == 0 ? -EPROTO : rc;
}

static int count_together(struct redis *redis, struct work *work)
{
    skua_group group;
    long long number;
    int rc = redis_number(redis, "DEL", COUNTER, &number);
    if (rc < 0)
        return rc;
    uint64_t begin = skua_now();
    skua_group_init(&group);
    for (int i = 0; i < work->connections && rc == 0; i++)
        rc = skua_group_go(&group, count, work);
    int waited = (int)skua_group_wait(&group);
    uint64_t took = skua_now() - begin;
    rc = rc < 0 ? rc : waited;
    if (rc == 0)
        rc = redis_number(redis, "GET", COUNTER, &number);
    if (rc == 0) {
        printf("%d connections counted to %lld in %llu ms\n", work->connections, number,
               (unsigned long long)(took / SKUA_MS));
        rc = number == counted_by(work) ? 0 : -EPROTO;
    }
    return rc;
}

static int pass_a_word(struct redis *redis, struct work *work)
{
    skua_task *popper;
    redisReply *reply;
    int64_t result;
    int rc = skua_spawn(&popper, pop, work);
    if (rc < 0)
        return rc;
    rc = redis_command(redis, &reply, "RPUSH %s word", LIST);
    if (rc == 0)
        freeReplyObject(reply);
    else
        skua_cancel(popper);
    int joined = skua_join(popper, &result);
    rc = rc < 0 ? rc : joined < 0 ? joined : (int)result;
    if (rc == 0)
        printf("a word was waited for, and came\n");
    return rc;
}

static int run(void *arg)
{
    struct work *work = arg;
    struct redis redis;
    int rc = redis_connect(&redis, work->where);
    if (rc < 0)
        return rc;
    long long left_behind;
    rc = redis_number(&redis, "DEL", LIST, &left_behind);
    if (rc == 0)
        rc = count_together(&redis, work);
    if (rc == 0)
        rc = pass_a_word(&redis, work);
    if (rc == 0 && (rc = give_up(work->where)) == 0)
        printf("a wait was given up at its deadline\n");
    redis_close(&redis);
    return rc;
}

int main(int argc, char **argv)
{
    struct work work = { argc > 1 ? argv[1] : "127.0.0.1:6379", argc > 2 ? atoi(argv[2]) : 50,
                         argc > 3 ? atoi(argv[3]) : 100 };
    return skua_main(run, &work);
}
