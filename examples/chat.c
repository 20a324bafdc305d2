/* A chat: what one says, all others hear. For clients such as nc and telnet: lines of text.
 *
 *     skua-chat [tcp://127.0.0.1:7000]
 *     nc 127.0.0.1 7000
 *
 * A fiber for each client asks for a name, call by call; then two futures in the fiber's own memory race: one hears the
 * client, one tells it what others say, and when either has come to its end the other is over, too. What is said goes
 * through a broadcast. It keeps the last lines for those who are slow; who falls behind further is told how much was
 * missed, and nobody waits for him.
 *
 * At SIGINT or SIGTERM clients get what has been said, and a farewell.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skua.h>

enum {
    NAME_SIZE = 20,                        /* with its end, as in C */
    LINE_SIZE = 300,                       /* of what clients send */
    TEXT_SIZE = NAME_SIZE + LINE_SIZE + 4, /* of what is told */
    KEPT = 256,                            /* lines */
    CLIENTS_MAX = 1000
};
#define GREETING_NS (60 * SKUA_S)
#define FAREWELL_NS (2 * SKUA_S)

struct line {
    const void *from; /* who does not need to be told */
    size_t length;
    char text[TEXT_SIZE];
};

struct chat {
    const char *address;
    skua_listener *listener;
    skua_broadcast *said;
    skua_group clients;
    skua_cancel_token ending;
    skua_mutex guard; /* of the list */
    struct client *first;
};

struct client {
    struct chat *chat;
    skua_stream *stream;
    skua_reader reader;
    skua_broadcast_receiver receiver;
    struct client *next;
    char name[NAME_SIZE], memory[LINE_SIZE];
};

/* To all but one (NULL: to all). */
static __attribute__((format(printf, 3, 4))) void say(struct chat *chat, const void *from, const char *format, ...)
{
    struct line line = { .from = from };
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line.text, sizeof line.text, format, arguments);
    va_end(arguments);
    line.length = length < 0 ? 0 : (size_t)length < sizeof line.text ? (size_t)length : sizeof line.text - 1;
    (void)skua_broadcast_send(chat->said, &line); /* closed: it ends anyway */
}

/* What can be shown of a line, without its end: a client could write on the others' terminals otherwise. */
static size_t clean(char *line, size_t length)
{
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        length--;
    for (size_t i = 0; i < length; i++)
        if (iscntrl((unsigned char)line[i]))
            line[i] = '?';
    return length;
}

/* ---- both directions -------------------------------------------------------------------------------------------- */

struct hear {
    SKUA_FRAME;
    struct { struct client *client; } in;
    skua_reading reading;
    char *line;
};
SKUA_ASYNC(hear)
{
    SKUA_BEGIN(self);
    for (;;) {
        SKUA_AWAIT(skua_read_line_start(&self->reading, &self->in.client->reader, &self->line));
        if (SKUA_RESULT(&self->reading) <= 0)
            break;
        say(self->in.client->chat, self->in.client, "%s: %.*s\n", self->in.client->name,
            (int)clean(self->line, (size_t)SKUA_RESULT(&self->reading)), self->line);
    }
    SKUA_END(SKUA_RESULT(&self->reading));
}

struct tell {
    SKUA_FRAME;
    struct { struct client *client; } in;
    skua_broadcast_op receive;
    skua_io io;
    struct line line;
};
SKUA_ASYNC(tell)
{
    SKUA_BEGIN(self);
    for (;;) {
        SKUA_AWAIT(skua_broadcast_receive_start(&self->receive, &self->in.client->receiver, &self->line));
        if (self->receive.result == -EOVERFLOW) {
            self->line.from = NULL;
            self->line.length =
                (size_t)snprintf(self->line.text, TEXT_SIZE, "* you have missed %llu lines\n",
                                 (unsigned long long)skua_broadcast_missed(&self->in.client->receiver));
        } else if (self->receive.result != 1) {
            break;
        }
        if (self->line.from == self->in.client)
            continue;
        SKUA_AWAIT(skua_write_all_start(&self->io, self->in.client->stream, self->line.text, self->line.length));
        if (SKUA_RESULT(&self->io) < 0)
            SKUA_RETURN(SKUA_RESULT(&self->io));
    }
    SKUA_END(self->receive.result);
}

/* ---- coming and going ------------------------------------------------------------------------------------------- */

static ssize_t reply(struct client *client, const char *text)
{
    return skua_write_all(client->stream, text, strlen(text));
}

/* Puts it on the list, if nobody else there has its name, and says so to all. */
static bool enter(struct client *client)
{
    struct chat *chat = client->chat;
    struct client **last = &chat->first;
    skua_mutex_lock_shielded(&chat->guard);
    while (*last != NULL && strcmp((*last)->name, client->name) != 0)
        last = &(*last)->next;
    bool is_free = *last == NULL;
    if (is_free) {
        *last = client;
        skua_broadcast_subscribe(chat->said, &client->receiver);
        say(chat, client, "* %s has joined\n", client->name);
    }
    skua_mutex_unlock(&chat->guard);
    return is_free;
}

static void leave(struct client *client)
{
    struct chat *chat = client->chat;
    struct client **at = &chat->first;
    skua_mutex_lock_shielded(&chat->guard);
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    skua_broadcast_unsubscribe(&client->receiver);
    say(chat, client, "* %s has left\n", client->name);
    skua_mutex_unlock(&chat->guard);
}

/* Until it has a name that nobody has. In time, or an error. */
static int greet(struct client *client)
{
    SKUA_CANCEL_SCOPE(&client->chat->ending);
    SKUA_DEADLINE(GREETING_NS);
    for (;;) {
        char *line;
        ssize_t n = reply(client, "* who are you?\n");
        if (n < 0 || (n = skua_read_line(&client->reader, &line)) <= 0)
            return n < 0 ? (int)n : -EPIPE;
        size_t length = clean(line, (size_t)n);
        if (length == 0 || length >= NAME_SIZE)
            continue;
        memcpy(client->name, line, length);
        client->name[length] = '\0';
        if (enter(client))
            return 0;
        if ((n = reply(client, "* somebody else is\n")) < 0)
            return (int)n;
    }
}

/* Until either direction has come to its end. */
static int talk(struct client *client)
{
    struct hear hear;
    struct tell tell;
    skua_child both[2];
    ssize_t n = reply(client, "* welcome\n");
    if (n < 0)
        return (int)n;
    skua_child_future(&both[0], SKUA_FUTURE(&hear, hear, .client = client));
    skua_child_future(&both[1], SKUA_FUTURE(&tell, tell, .client = client));
    (void)skua_race(both, 2);
    return (int)both[0].result;
}

static int serve(void *arg)
{
    struct client *client = arg;
    int rc = greet(client);
    if (rc == 0) {
        rc = talk(client);
        leave(client);
    }
    if (rc == -EMSGSIZE)
        (void)reply(client, "* that is too long for a line\n");
    skua_stream_close(client->stream);
    free(client);
    return 0;
}

/* ---- the server ------------------------------------------------------------------------------------------------- */

/* Not megabytes, as the kernel likes: who is slow shall miss old lines rather than new ones. */
static void keep_little(skua_stream *stream)
{
    (void)setsockopt(skua_stream_fd(stream), SOL_SOCKET, SO_SNDBUF, &(int){ KEPT * TEXT_SIZE }, sizeof(int));
}

static int accept_all(void *arg)
{
    struct chat *chat = arg;
    skua_stream *stream;
    int rc;
    while ((rc = skua_accept(chat->listener, &stream, NULL)) == 0) {
        struct client *client = calloc(1, sizeof *client);
        keep_little(stream);
        if (client != NULL) {
            client->chat = chat;
            client->stream = stream;
            skua_reader_init(&client->reader, stream, client->memory, sizeof client->memory);
            if (skua_group_go(&chat->clients, serve, client) == 0) /* waits for a place */
                continue;
        }
        free(client);
        skua_stream_close(stream);
    }
    return rc;
}

/* What was said is told before the end is; those who do not read are not waited for. */
static void part(struct chat *chat)
{
    say(chat, NULL, "* that was all\n");
    skua_broadcast_close(chat->said);
    skua_cancel_token_cancel(&chat->ending);
    (void)skua_group_wait_until(&chat->clients, skua_after(FAREWELL_NS));
}

static int serve_until_signal(struct chat *chat, skua_signals *stop)
{
    skua_task *acceptor;
    skua_address address;
    char text[SKUA_ADDRESS_TEXT_MAX];
    int64_t result = 0;
    int rc = skua_spawn(&acceptor, accept_all, chat);
    if (rc < 0)
        return rc;
    (void)skua_listener_address(chat->listener, &address);
    (void)skua_address_format(&address, text, sizeof text);
    printf("listening at %s\n", text);
    fflush(stdout);
    int number = skua_signal_wait(stop);
    skua_cancel(acceptor);
    rc = skua_join(acceptor, &result);
    part(chat);
    return number < 0 ? number : rc < 0 ? rc : result != -ECANCELED ? (int)result : 0;
}

static int run(void *arg)
{
    struct chat *chat = arg;
    skua_signals *stop;
    int rc = skua_broadcast_create(&chat->said, sizeof(struct line), KEPT);
    if (rc < 0)
        return rc;
    skua_mutex_init(&chat->guard);
    skua_cancel_token_init(&chat->ending, NULL);
    skua_group_init_with(&chat->clients, &(skua_group_attr){ .limit = CLIENTS_MAX });
    rc = skua_signals_open(&stop, NULL, (const int[]){ SIGINT, SIGTERM }, 2);
    if (rc == 0) {
        rc = skua_listen(&chat->listener, chat->address, NULL);
        if (rc == 0) {
            rc = serve_until_signal(chat, stop);
            skua_listener_close(chat->listener);
        }
        skua_signals_close(stop);
    }
    skua_cancel_token_fini(&chat->ending);
    skua_mutex_fini(&chat->guard);
    (void)skua_broadcast_destroy(chat->said);
    return rc;
}

int main(int argc, char **argv)
{
    static struct chat chat;
    chat.address = argc > 1 ? argv[1] : "tcp://127.0.0.1:7000";
    return skua_main(run, &chat);
}
