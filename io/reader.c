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

static ssize_t take(skua_reader *reader, size_t count, char **record)
{
    *record = reader->buffer + reader->begin;
    reader->begin += count;
    reader->searched = 0;
    return (ssize_t)count;
}

/* What is to be taken. */
struct wanted {
    bool is_count;
    char delimiter;
    size_t count;
};

/* Takes it if it is there. */
static bool find(skua_reader *reader, const struct wanted *wanted, char **record, ssize_t *n)
{
    size_t count = wanted->count;
    if (!wanted->is_count) {
        const char *from = reader->buffer + reader->begin + reader->searched;
        const char *found = buffered(reader) > reader->searched
                                ? memchr(from, (unsigned char)wanted->delimiter, buffered(reader) - reader->searched)
                                : NULL;
        reader->searched = buffered(reader);
        if (found == NULL)
            return false;
        count = (size_t)(found - (reader->buffer + reader->begin)) + 1;
    } else if (buffered(reader) < count) {
        return false;
    }
    *n = take(reader, count, record);
    return true;
}

/* For reading more behind what is buffered. 0; -EMSGSIZE: there is none. */
static ssize_t make_room(skua_reader *reader, const struct wanted *wanted)
{
    if (reader->begin == reader->end)
        reader->begin = reader->end = 0;
    if (reader->begin > 0 &&
        (reader->end == reader->size || (wanted->is_count && reader->size - reader->begin < wanted->count)))
        move_to_front(reader);
    if (reader->end < reader->size)
        return 0;
    reader->searched = 0; /* the next call may look for another delimiter */
    return -EMSGSIZE;
}

/* After a read behind what is buffered. True: it was the end, or an error, and this is what is returned. */
static bool is_last(skua_reader *reader, ssize_t n, char **record, ssize_t *result)
{
    if (n > 0) {
        reader->end += (size_t)n;
        return false;
    }
    *result = n < 0 ? n : take(reader, buffered(reader), record); /* the end: what is left */
    reader->searched = 0;
    return true;
}

static ssize_t read_wanted(skua_reader *reader, const struct wanted *wanted, char **record)
{
    ssize_t n;
    while (!find(reader, wanted, record, &n))
        if ((n = make_room(reader, wanted)) < 0 ||
            is_last(reader, skua_read(reader->stream, reader->buffer + reader->end, reader->size - reader->end), record,
                    &n))
            break;
    return n;
}

ssize_t skua_read_until(skua_reader *reader, char delimiter, char **record)
{
    return read_wanted(reader, &(struct wanted){ .delimiter = delimiter }, record);
}

ssize_t skua_read_record(skua_reader *reader, size_t count, char **record)
{
    if (count > reader->size)
        return -EMSGSIZE;
    return read_wanted(reader, &(struct wanted){ .is_count = true, .count = count }, record);
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

/* ---- in futures ------------------------------------------------------------------------------------------------- */

static struct wanted wanted_by(const skua_reading *reading)
{
    return (struct wanted){ reading->is_count, reading->delimiter, reading->count };
}
static bool finds(skua_reading *reading)
{
    const struct wanted wanted = wanted_by(reading);
    return find(reading->reader, &wanted, reading->record, &reading->n);
}
static bool has_room(skua_reading *reading)
{
    const struct wanted wanted = wanted_by(reading);
    reading->n = reading->is_count && reading->count > reading->reader->size ? -EMSGSIZE
                                                                             : make_room(reading->reader, &wanted);
    return reading->n == 0;
}

SKUA_ASYNC(skua_reading)
{
    SKUA_BEGIN(self);
    while (!finds(self) && has_room(self)) {
        SKUA_AWAIT(skua_read_start(&self->io, self->reader->stream, self->reader->buffer + self->reader->end,
                                   self->reader->size - self->reader->end));
        if (is_last(self->reader, (ssize_t)SKUA_RESULT(&self->io), self->record, &self->n))
            break;
    }
    SKUA_END(self->n);
}

static skua_frame *start(skua_reading *reading, skua_reader *reader, const struct wanted *wanted, char **record)
{
    reading->reader = reader;
    reading->record = record;
    reading->count = wanted->count;
    reading->delimiter = wanted->delimiter;
    reading->is_count = wanted->is_count;
    return skua_frame_init(&reading->frame, skua_reading_poll);
}

skua_frame *skua_read_until_start(skua_reading *reading, skua_reader *reader, char delimiter, char **record)
{
    return start(reading, reader, &(struct wanted){ .delimiter = delimiter }, record);
}

skua_frame *skua_read_record_start(skua_reading *reading, skua_reader *reader, size_t count, char **record)
{
    return start(reading, reader, &(struct wanted){ .is_count = true, .count = count }, record);
}
