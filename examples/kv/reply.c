/* See reply.h. */
#include "reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void reply_init(struct reply *reply, skua_stream *stream)
{
    reply->stream = stream;
    reply->length = 0;
    reply->error = 0;
}

static void write_out(struct reply *reply, const char *data, size_t length)
{
    size_t written;
    if (reply->error < 0)
        return;
    ssize_t n = skua_write_all_counted(reply->stream, data, length, &written);
    if (n == -ECANCELED) {
        SKUA_SHIELD();
        SKUA_DEADLINE(SKUA_S);
        n = skua_write_all(reply->stream, data + written, length - written);
    }
    if (n < 0)
        reply->error = n;
}

void reply_flush(struct reply *reply)
{
    if (reply->length > 0)
        write_out(reply, reply->buffer, reply->length);
    reply->length = 0;
}

void reply_make_room(struct reply *reply)
{
    if (sizeof reply->buffer - reply->length < SMALL_ROOM)
        reply_flush(reply);
}

static void add(struct reply *reply, const char *data, size_t length)
{
    memcpy(reply->buffer + reply->length, data, length);
    reply->length += length;
}

void reply_text(struct reply *reply, const char *text)
{
    add(reply, text, strlen(text));
    add(reply, "\r\n", 2);
}

/* One line: what a client has sent may be in it. */
void reply_error(struct reply *reply, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\r' || *c == '\n')
            *c = ' ';
    add(reply, "-", 1);
    reply_text(reply, text);
}

void reply_number(struct reply *reply, char type, int64_t number)
{
    char text[24], *at = text + sizeof text;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (number < 0)
        *--at = '-';
    *--at = type;
    add(reply, at, (size_t)(text + sizeof text - at));
}

void reply_small(struct reply *reply, const char *data, size_t length)
{
    reply_number(reply, '$', (int64_t)length);
    add(reply, data, length);
    add(reply, "\r\n", 2);
}

void reply_null(struct reply *reply) { add(reply, "$-1\r\n", 5); }

void reply_raw(struct reply *reply, const char *data, size_t length)
{
    if (length > sizeof reply->buffer - reply->length)
        reply_flush(reply);
    if (length <= sizeof reply->buffer)
        add(reply, data, length);
    else
        write_out(reply, data, length);
}

void reply_large(struct reply *reply, const char *data, size_t length)
{
    reply_make_room(reply);
    reply_number(reply, '$', (int64_t)length);
    reply_raw(reply, data, length);
    reply_make_room(reply);
    add(reply, "\r\n", 2);
}
