/* The commands that are about keys and values (commands.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands_shared.h"
#include "input.h"

enum { SCAN_MAX = 1000, MGET_FEW = 32 };

/* Locks the parts of the keys that are arguments from `first` on, each `step`th, and returns them. */
static uint64_t lock_keys(struct request *r, size_t first, size_t step)
{
    uint64_t parts = store_parts(r->store, &r->arguments[first], r->count - first, step);
    store_lock(r->store, parts);
    return parts;
}

/* For the commands that are about one key: the first argument. */
static uint64_t lock_key(struct request *r, struct entry **entry)
{
    uint64_t parts = store_parts(r->store, &r->arguments[1], 1, 1);
    store_lock(r->store, parts);
    *entry = store_find(r->store, &r->arguments[1]);
    return parts;
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static struct value *hold(struct entry *entry)
{
    atomic_fetch_add_explicit(&entry->value->references, 1, memory_order_relaxed); /* the lock keeps it meanwhile */
    return entry->value;
}

static void reply_held(struct request *r, struct value *value)
{
    if (value == NULL) {
        reply_make_room(r->reply);
        reply_null(r->reply);
        return;
    }
    reply_large(r->reply, value->data, value->length);
    value_drop(r->store, value);
}

void run_get(struct request *r)
{
    struct entry *entry;
    struct value *large = NULL;
    uint64_t parts = lock_key(r, &entry);
    if (entry == NULL)
        reply_null(r->reply);
    else if (entry->value->length <= SMALL_MAX)
        reply_small(r->reply, entry->value->data, entry->value->length);
    else
        large = hold(entry);
    store_unlock(r->store, parts);
    if (large != NULL)
        reply_held(r, large);
}

void run_mget(struct request *r)
{
    struct value *few[MGET_FEW], **values = few;
    size_t count = r->count - 1;
    if (count > MGET_FEW && (values = malloc(count * sizeof *values)) == NULL) {
        reply_error(r->reply, NO_MEMORY);
        return;
    }
    uint64_t parts = lock_keys(r, 1, 1);
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = store_find(r->store, &r->arguments[i + 1]);
        values[i] = entry != NULL ? hold(entry) : NULL;
    }
    store_unlock(r->store, parts);
    reply_number(r->reply, '*', (int64_t)count);
    for (size_t i = 0; i < count; i++)
        reply_held(r, values[i]);
    if (values != few)
        free(values);
}

/* A copy of what is too long to be copied in the lock; NULL: it is short. False: there is no memory. */
static bool prepare_value(struct request *r, const struct argument *from, struct value **fresh)
{
    *fresh = NULL;
    if (from->length <= SMALL_MAX)
        return true;
    *fresh = value_create(r->store, from->data, from->length, from->length);
    return *fresh != NULL;
}

void run_mset(struct request *r)
{
    bool good = true;
    if (r->count % 2 == 0) {
        reply_error(r->reply, "ERR wrong number of arguments for 'mset' command");
        return;
    }
    uint64_t parts = lock_keys(r, 1, 2);
    for (size_t i = 1; i < r->count && good; i += 2) {
        struct argument *key = &r->arguments[i];
        struct entry *entry = store_put(r->store, key, store_find(r->store, key), key[1].data, key[1].length, NULL);
        good = entry != NULL;
        if (good)
            store_expire(r->store, entry, SKUA_NEVER);
    }
    store_unlock(r->store, parts);
    if (good)
        reply_ok(r);
    else
        reply_error(r->reply, NO_MEMORY);
}

enum condition { ALWAYS, IF_ABSENT, IF_PRESENT };

struct set_options {
    enum condition condition;
    bool keeps_time;
    uint64_t expires_ns;
};

/* When a time to live ends. False, having said so, if it is none. */
static bool get_instant(struct request *r, size_t index, uint64_t unit_ns, const char *command, uint64_t *instant_ns)
{
    int64_t time;
    if (!get_number(r, index, &time))
        return false;
    if (time <= 0 || (uint64_t)time > (uint64_t)INT64_MAX / unit_ns) {
        reply_error(r->reply, "ERR invalid expire time in '%s' command", command);
        return false;
    }
    *instant_ns = skua_after((uint64_t)time * unit_ns);
    return true;
}

static bool get_set_options(struct request *r, struct set_options *options)
{
    size_t time = 0;
    uint64_t unit_ns = 0;
    *options = (struct set_options){ .condition = ALWAYS, .expires_ns = SKUA_NEVER };
    for (size_t i = 3; i < r->count; i++) {
        const struct argument *word = &r->arguments[i];
        bool is_seconds = is_word(word, "ex");
        if (options->condition != IF_PRESENT && is_word(word, "nx")) {
            options->condition = IF_ABSENT;
        } else if (options->condition != IF_ABSENT && is_word(word, "xx")) {
            options->condition = IF_PRESENT;
        } else if (time == 0 && is_word(word, "keepttl")) {
            options->keeps_time = true;
        } else if ((is_seconds || is_word(word, "px")) && time == 0 && !options->keeps_time && i + 1 < r->count) {
            unit_ns = is_seconds ? SKUA_S : SKUA_MS;
            time = ++i;
        } else {
            reply_syntax_error(r);
            return false;
        }
    }
    return time == 0 || get_instant(r, time, unit_ns, "set", &options->expires_ns);
}

void run_set(struct request *r)
{
    struct argument *key = &r->arguments[1], *text = &r->arguments[2];
    struct set_options options;
    struct value *fresh;
    struct entry *entry;
    if (!get_set_options(r, &options))
        return;
    if (!prepare_value(r, text, &fresh)) {
        reply_error(r->reply, NO_MEMORY);
        return;
    }
    uint64_t parts = lock_key(r, &entry);
    bool is_refused = options.condition != ALWAYS && (entry == NULL) == (options.condition == IF_PRESENT);
    if (!is_refused) {
        entry = store_put(r->store, key, entry, text->data, text->length, fresh);
        fresh = NULL;
        if (entry != NULL && !options.keeps_time)
            store_expire(r->store, entry, options.expires_ns);
    }
    store_unlock(r->store, parts);
    if (fresh != NULL)
        value_drop(r->store, fresh);
    if (is_refused)
        reply_null(r->reply);
    else if (entry == NULL)
        reply_error(r->reply, NO_MEMORY);
    else
        reply_ok(r);
}

void run_append(struct request *r)
{
    const struct argument *more = &r->arguments[2];
    struct entry *entry;
    uint64_t parts = lock_key(r, &entry);
    int rc = 0;
    if (entry == NULL)
        entry = store_put(r->store, &r->arguments[1], NULL, more->data, more->length, NULL);
    else if (entry->value->length + more->length > ARGUMENT_MAX)
        rc = -EMSGSIZE;
    else
        rc = store_append(r->store, entry, more->data, more->length);
    if (rc == 0 && entry != NULL)
        reply_number(r->reply, ':', (int64_t)entry->value->length);
    store_unlock(r->store, parts);
    if (rc == -EMSGSIZE)
        reply_error(r->reply, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    else if (rc < 0 || entry == NULL)
        reply_error(r->reply, NO_MEMORY);
}

void run_strlen(struct request *r)
{
    struct entry *entry;
    uint64_t parts = lock_key(r, &entry);
    reply_number(r->reply, ':', entry != NULL ? (int64_t)entry->value->length : 0);
    store_unlock(r->store, parts);
}

/* In the lock, so that nobody counts in between. */
static void add_locked(struct request *r, struct entry *entry, int64_t addend)
{
    char text[24];
    int64_t number = 0;
    if (entry != NULL && !parse_number(entry->value->data, entry->value->length, &number)) {
        reply_error(r->reply, NOT_A_NUMBER);
        return;
    }
    if (__builtin_add_overflow(number, addend, &number)) {
        reply_error(r->reply, "ERR increment or decrement would overflow");
        return;
    }
    int length = snprintf(text, sizeof text, "%lld", (long long)number);
    if (store_put(r->store, &r->arguments[1], entry, text, (size_t)length, NULL) != NULL)
        reply_number(r->reply, ':', number);
    else
        reply_error(r->reply, NO_MEMORY);
}

static void add(struct request *r, int64_t addend)
{
    struct entry *entry;
    uint64_t parts = lock_key(r, &entry);
    add_locked(r, entry, addend);
    store_unlock(r->store, parts);
}

void run_incr(struct request *r) { add(r, 1); }
void run_decr(struct request *r) { add(r, -1); }

void run_incrby(struct request *r)
{
    int64_t addend;
    if (get_number(r, 2, &addend))
        add(r, addend);
}

void run_decrby(struct request *r)
{
    int64_t addend;
    if (!get_number(r, 2, &addend))
        return;
    if (addend == INT64_MIN)
        reply_error(r->reply, "ERR decrement would overflow");
    else
        add(r, -addend);
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static void count_keys(struct request *r, bool removes)
{
    int64_t count = 0;
    uint64_t parts = lock_keys(r, 1, 1);
    for (size_t i = 1; i < r->count; i++) {
        struct entry *entry = store_find(r->store, &r->arguments[i]);
        count += entry != NULL;
        if (entry != NULL && removes)
            store_remove(r->store, entry);
    }
    store_unlock(r->store, parts);
    reply_number(r->reply, ':', count);
}

void run_del(struct request *r) { count_keys(r, true); }
void run_exists(struct request *r) { count_keys(r, false); }

static void expire(struct request *r, uint64_t unit_ns, const char *command)
{
    struct entry *entry;
    int64_t time;
    if (!get_number(r, 2, &time))
        return;
    if (time > INT64_MAX / (int64_t)unit_ns || time < INT64_MIN / (int64_t)unit_ns) {
        reply_error(r->reply, "ERR invalid expire time in '%s' command", command);
        return;
    }
    uint64_t parts = lock_key(r, &entry);
    if (entry != NULL && time <= 0)
        store_remove(r->store, entry);
    else if (entry != NULL)
        store_expire(r->store, entry, skua_after((uint64_t)time * unit_ns));
    store_unlock(r->store, parts);
    reply_number(r->reply, ':', entry != NULL);
}

void run_expire(struct request *r) { expire(r, SKUA_S, "expire"); }
void run_pexpire(struct request *r) { expire(r, SKUA_MS, "pexpire"); }

static void reply_ttl(struct request *r, uint64_t unit_ns)
{
    struct entry *entry;
    int64_t left = -2;
    uint64_t parts = lock_key(r, &entry);
    if (entry != NULL) {
        uint64_t now_ns = skua_now(), ends_ns = entry->expires_ns < now_ns ? now_ns : entry->expires_ns;
        left = entry->expires_ns == SKUA_NEVER ? -1 : (int64_t)((ends_ns - now_ns + unit_ns / 2) / unit_ns);
    }
    store_unlock(r->store, parts);
    reply_number(r->reply, ':', left);
}

void run_ttl(struct request *r) { reply_ttl(r, SKUA_S); }
void run_pttl(struct request *r) { reply_ttl(r, SKUA_MS); }

void run_persist(struct request *r)
{
    struct entry *entry;
    uint64_t parts = lock_key(r, &entry);
    bool had_one = entry != NULL && entry->expires_ns != SKUA_NEVER;
    if (had_one)
        store_expire(r->store, entry, SKUA_NEVER);
    store_unlock(r->store, parts);
    reply_number(r->reply, ':', had_one);
}

void run_dbsize(struct request *r)
{
    size_t expiring;
    reply_number(r->reply, ':', (int64_t)store_count(r->store, &expiring));
}

void run_flushall(struct request *r)
{
    if (r->count > 2 || (r->count == 2 && !is_word(&r->arguments[1], "sync") && !is_word(&r->arguments[1], "async"))) {
        reply_syntax_error(r);
        return;
    }
    store_clear(r->store);
    reply_ok(r);
}

struct scan {
    FILE *text;
    int64_t count;
};

static void scan_entry(struct store *store, struct entry *entry, void *arg)
{
    struct scan *scan = arg;
    (void)store;
    if (entry->expires_ns != SKUA_NEVER && entry->expires_ns <= skua_now())
        return;
    fprintf(scan->text, "$%u\r\n", entry->hh.keylen);
    fwrite(entry->key, 1, entry->hh.keylen, scan->text);
    fputs("\r\n", scan->text);
    scan->count++;
}

/* SCAN cursor [COUNT count] */
void run_scan(struct request *r)
{
    int64_t cursor, wanted = 10;
    char *keys = NULL, number[24];
    size_t length;
    if (!parse_number(r->arguments[1].data, r->arguments[1].length, &cursor) || cursor < 0) {
        reply_error(r->reply, "ERR invalid cursor");
        return;
    }
    if (r->count != 2 && (r->count != 4 || !is_word(&r->arguments[2], "count"))) {
        reply_syntax_error(r);
        return;
    }
    if (r->count == 4 && !get_number(r, 3, &wanted))
        return;
    struct scan scan = { open_memstream(&keys, &length), 0 };
    if (scan.text == NULL) {
        reply_error(r->reply, NO_MEMORY);
        return;
    }
    wanted = wanted < 1 ? 1 : wanted > SCAN_MAX ? SCAN_MAX : wanted;
    uint64_t next = (uint64_t)cursor;
    do
        next = store_walk(r->store, next, false, scan_entry, &scan);
    while (next != 0 && scan.count < wanted);
    bool failed = fclose(scan.text) != 0;
    if (failed) {
        reply_error(r->reply, NO_MEMORY);
    } else {
        reply_text(r->reply, "*2");
        reply_small(r->reply, number, (size_t)snprintf(number, sizeof number, "%llu", (unsigned long long)next));
        reply_number(r->reply, '*', scan.count);
        reply_raw(r->reply, keys, length);
    }
    free(keys);
}
