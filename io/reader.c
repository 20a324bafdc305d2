/* See skua/reader.h. */
#include "skua/reader.h"

#include <errno.h>
#include <string.h>

void skua_reader_init(skua_reader *reader, skua_stream *stream, void *buffer, size_t size)
{
    *reader = (skua_reader){ .stream = stream, .buffer = buffer, .size = size };
}

static size_t buffered(const skua_reader *reader) { return reader->end - reader->begin; }

size_t skua_reader_buffered(const skua_reader *reader, const char **data)
{
    *data = reader->buffer + reader->begin;
    return buffered(reader);
}

static void move_to_front(skua_reader *reader)
{
    memmove(reader->buffer, reader->buffer + reader->begin, buffered(reader));
    reader->end -= reader->begin;
    reader->begin = 0;
}

/* Reads more behind what is buffered. Returns as skua_read(), and -EMSGSIZE if there is no room. */
static ssize_t fill(skua_reader *reader)
{
    if (reader->begin == reader->end)
        reader->begin = reader->end = 0;
    if (reader->end == reader->size && reader->begin > 0)
        move_to_front(reader);
    if (reader->end == reader->size)
        return -EMSGSIZE;
    ssize_t n = skua_read(reader->stream, reader->buffer + reader->end, reader->size - reader->end);
    if (n > 0)
        reader->end += (size_t)n;
    return n;
}

static ssize_t take(skua_reader *reader, size_t count, char **record)
{
    *record = reader->buffer + reader->begin;
    reader->begin += count;
    reader->searched = 0;
    return (ssize_t)count;
}

ssize_t skua_read_until(skua_reader *reader, char delimiter, char **record)
{
    for (;;) {
        const char *from = reader->buffer + reader->begin + reader->searched;
        const char *found = buffered(reader) > reader->searched
                                ? memchr(from, (unsigned char)delimiter, buffered(reader) - reader->searched)
                                : NULL;
        if (found != NULL)
            return take(reader, (size_t)(found - (reader->buffer + reader->begin)) + 1, record);
        reader->searched = buffered(reader);
        ssize_t n = fill(reader);
        if (n == 0) /* the end: what is left */
            return take(reader, buffered(reader), record);
        if (n < 0) {
            reader->searched = 0; /* the next call may look for another delimiter */
            return n;
        }
    }
}

ssize_t skua_read_record(skua_reader *reader, size_t count, char **record)
{
    if (count > reader->size)
        return -EMSGSIZE;
    while (buffered(reader) < count) {
        if (reader->size - reader->begin < count)
            move_to_front(reader);
        ssize_t n = fill(reader);
        if (n < 0)
            return n;
        if (n == 0)
            return take(reader, buffered(reader), record);
    }
    return take(reader, count, record);
}

ssize_t skua_reader_read(skua_reader *reader, void *buffer, size_t size)
{
    size_t there = buffered(reader);
    if (there == 0)
        return skua_read(reader->stream, buffer, size);
    char *from;
    size_t count = there < size ? there : size;
    ssize_t n = take(reader, count, &from);
    memcpy(buffer, from, count);
    return n;
}
