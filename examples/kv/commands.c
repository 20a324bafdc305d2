/* See commands.h. Answers are those of Redis 7, word for word; tests/examples/run-kv compares them with a real one. */
#include "commands_shared.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct command {
    const char *name;
    void (*run)(struct request *request);
    int arguments;              /* with the name; negative: at least so many */
    int first, last, step;      /* which of them are keys */
    const char *flag;
    uint64_t word;              /* the name's bytes, to be compared at once */
};

/* ---- what they share -------------------------------------------------------------------------------------------- */

void reply_ok(struct request *r) { reply_text(r->reply, "+OK"); }
void reply_syntax_error(struct request *r) { reply_error(r->reply, "ERR syntax error"); }

bool is_word(const struct argument *argument, const char *word)
{
    return argument->length == strlen(word) && strncasecmp(argument->data, word, argument->length) == 0;
}

bool parse_number(const char *data, size_t length, int64_t *number)
{
    const char *end = data + length;
    bool is_negative = length > 0 && *data == '-';
    uint64_t most = (uint64_t)INT64_MAX + is_negative, value = 0;
    data += is_negative;
    if (data == end || (*data == '0' && (end - data > 1 || is_negative)))
        return false;
    for (; data < end; data++) {
        unsigned digit = (unsigned)*data - '0';
        if (digit > 9 || value > (most - digit) / 10)
            return false;
        value = 10 * value + digit;
    }
    *number = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool get_number(struct request *r, size_t index, int64_t *number)
{
    bool good = parse_number(r->arguments[index].data, r->arguments[index].length, number);
    if (!good)
        reply_error(r->reply, NOT_A_NUMBER);
    return good;
}

/* ---- the connection and the server ------------------------------------------------------------------------------ */

static void run_ping(struct request *r)
{
    if (r->count > 2)
        reply_error(r->reply, "ERR wrong number of arguments for 'ping' command");
    else if (r->count == 2)
        reply_large(r->reply, r->arguments[1].data, r->arguments[1].length);
    else
        reply_text(r->reply, "+PONG");
}

static void run_echo(struct request *r) { reply_large(r->reply, r->arguments[1].data, r->arguments[1].length); }

static void run_quit(struct request *r)
{
    reply_ok(r);
    r->is_last = true;
}

static void run_shutdown(struct request *r)
{
    skua_event_set(r->stop);
    r->is_last = true;
}

static void run_select(struct request *r)
{
    int64_t number;
    if (!get_number(r, 1, &number))
        return;
    if (number == 0)
        reply_ok(r);
    else
        reply_error(r->reply, "ERR DB index is out of range");
}

static void run_config(struct request *r)
{
    static const char *const known[][2] = { { "save", "" }, { "appendonly", "no" }, { "databases", "1" } };
    if (r->count != 3 || !is_word(&r->arguments[1], "get")) {
        reply_error(r->reply, "ERR only CONFIG GET parameter is known");
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (is_word(&r->arguments[2], known[i][0])) {
            reply_text(r->reply, "*2");
            reply_small(r->reply, known[i][0], strlen(known[i][0]));
            reply_small(r->reply, known[i][1], strlen(known[i][1]));
            return;
        }
    reply_text(r->reply, "*0");
}

static void run_info(struct request *r)
{
    char text[512];
    size_t expiring, count = store_count(r->store, &expiring);
    int length = snprintf(text, sizeof text,
                          "# Server\r\nredis_version:7.0.0\r\nserver_name:skua-kv\r\nskua_version:%s\r\n"
                          "# Memory\r\nused_memory:%zu\r\nmaxmemory:%zu\r\nmem_clients_normal:%zu\r\n"
                          "# Keyspace\r\ndb0:keys=%zu,expires=%zu,avg_ttl=0\r\n",
                          skua_version(), budget_used(&r->store->budget), r->store->budget.limit,
                          budget_used(r->traffic), count, expiring);
    reply_small(r->reply, text, (size_t)length);
}

static void run_command(struct request *r);

/* Those that are asked for most first: they are looked for in this order. */
static struct command commands[] = {
    { "get", run_get, 2, 1, 1, 1, "readonly", 0 },
    { "set", run_set, -3, 1, 1, 1, "write", 0 },
    { "incr", run_incr, 2, 1, 1, 1, "write", 0 },
    { "del", run_del, -2, 1, -1, 1, "write", 0 },
    { "mget", run_mget, -2, 1, -1, 1, "readonly", 0 },
    { "mset", run_mset, -3, 1, -1, 2, "write", 0 },
    { "exists", run_exists, -2, 1, -1, 1, "readonly", 0 },
    { "ping", run_ping, -1, 0, 0, 0, "fast", 0 },
    { "expire", run_expire, 3, 1, 1, 1, "write", 0 },
    { "pexpire", run_pexpire, 3, 1, 1, 1, "write", 0 },
    { "ttl", run_ttl, 2, 1, 1, 1, "readonly", 0 },
    { "pttl", run_pttl, 2, 1, 1, 1, "readonly", 0 },
    { "persist", run_persist, 2, 1, 1, 1, "write", 0 },
    { "append", run_append, 3, 1, 1, 1, "write", 0 },
    { "strlen", run_strlen, 2, 1, 1, 1, "readonly", 0 },
    { "decr", run_decr, 2, 1, 1, 1, "write", 0 },
    { "incrby", run_incrby, 3, 1, 1, 1, "write", 0 },
    { "decrby", run_decrby, 3, 1, 1, 1, "write", 0 },
    { "echo", run_echo, 2, 0, 0, 0, "fast", 0 },
    { "scan", run_scan, -2, 0, 0, 0, "readonly", 0 },
    { "dbsize", run_dbsize, 1, 0, 0, 0, "readonly", 0 },
    { "flushall", run_flushall, -1, 0, 0, 0, "write", 0 },
    { "flushdb", run_flushall, -1, 0, 0, 0, "write", 0 },
    { "select", run_select, 2, 0, 0, 0, "fast", 0 },
    { "quit", run_quit, -1, 0, 0, 0, "fast", 0 },
    { "shutdown", run_shutdown, -1, 0, 0, 0, "admin", 0 },
    { "info", run_info, -1, 0, 0, 0, "admin", 0 },
    { "config", run_config, -2, 0, 0, 0, "admin", 0 },
    { "command", run_command, -1, 0, 0, 0, "admin", 0 },
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void describe(struct request *r, const struct command *command)
{
    reply_make_room(r->reply);
    reply_text(r->reply, "*6");
    reply_small(r->reply, command->name, strlen(command->name));
    reply_number(r->reply, ':', command->arguments);
    reply_text(r->reply, "*1");
    reply_small(r->reply, command->flag, strlen(command->flag));
    reply_number(r->reply, ':', command->first);
    reply_number(r->reply, ':', command->last);
    reply_number(r->reply, ':', command->step);
}

/* COMMAND [COUNT | DOCS …]; there are no docs. */
static void run_command(struct request *r)
{
    if (r->count == 1) {
        reply_number(r->reply, '*', COMMANDS);
        for (size_t i = 0; i < COMMANDS; i++)
            describe(r, &commands[i]);
    } else if (is_word(&r->arguments[1], "count")) {
        reply_number(r->reply, ':', COMMANDS);
    } else if (is_word(&r->arguments[1], "docs")) {
        reply_text(r->reply, "*0");
    } else {
        reply_error(r->reply, "ERR only COMMAND, COMMAND COUNT and COMMAND DOCS are known");
    }
}

/* ---- which one it is -------------------------------------------------------------------------------------------- */

/* A name of up to 8 letters as a number, the same for small and capital ones. */
static uint64_t word_of(const char *name, size_t length)
{
    uint64_t word = 0;
    memcpy(&word, name, length);
    return word & UINT64_C(0xdfdfdfdfdfdfdfdf);
}

void commands_init(void)
{
    for (size_t i = 0; i < COMMANDS; i++)
        commands[i].word = word_of(commands[i].name, strlen(commands[i].name));
}

static const struct command *find(const struct argument *name)
{
    if (name->length > sizeof(uint64_t))
        return NULL;
    uint64_t word = word_of(name->data, name->length);
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].word == word && commands[i].name[name->length - 1] != '\0' &&
            commands[i].name[name->length] == '\0')
            return &commands[i];
    return NULL;
}

static void reply_unknown(struct request *r)
{
    enum { SHOWN = 128 };
    char shown[2 * SHOWN] = "";
    size_t length = 0;
    for (size_t i = 1; i < r->count && length < SHOWN; i++) {
        size_t room = SHOWN - length;
        int most = (int)(r->arguments[i].length < room ? r->arguments[i].length : room);
        length += (size_t)snprintf(shown + length, sizeof shown - length, "'%.*s' ", most, r->arguments[i].data);
    }
    int most = (int)(r->arguments->length < SHOWN ? r->arguments->length : SHOWN);
    reply_error(r->reply, "ERR unknown command '%.*s', with args beginning with: %s", most, r->arguments->data, shown);
}

void commands_run(struct request *r)
{
    const struct command *command = find(&r->arguments[0]);
    reply_make_room(r->reply);
    if (command == NULL)
        reply_unknown(r);
    else if (command->arguments >= 0 ? r->count != (size_t)command->arguments
                                     : r->count < (size_t)-command->arguments)
        reply_error(r->reply, "ERR wrong number of arguments for '%s' command", command->name);
    else
        command->run(r);
}
