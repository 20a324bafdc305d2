/* Buffered reading: lines, records up to a delimiter, exact counts, without a system call for each.
 *
 *     char memory[4096];
 *     skua_reader in;
 *     skua_reader_init(&in, stream, memory, sizeof memory);
 *     char *line;
 *     ssize_t n;
 *     while ((n = skua_read_line(&in, &line)) > 0)      // line[0 … n-1], its '\n' included; valid until the next call
 *         handle(line, (size_t)n);
 *
 * The buffer is the caller's; its size is the longest record there can be.
 */
#ifndef SKUA_READER_H
#define SKUA_READER_H

#include "skua/base.h"
#include "skua/stream.h"

SKUA_BEGIN_DECLS

/* In the caller's memory; one task's at a time. Fields belong to the runtime, but for `stream`. */
typedef struct skua_reader {
    skua_stream *stream; /* what it reads from */
    char *buffer;
    size_t size;
    size_t begin, end; /* what has been read and not yet taken */
    size_t searched;   /* so many bytes from begin on have no delimiter */
    void *reserved[2];
} skua_reader;

/* With nothing buffered. The buffer, of `size` bytes, must stay as long as the reader. Threads: by whoever has the
 * memory. */
SKUA_API void skua_reader_init(skua_reader *reader, skua_stream *stream, void *buffer, size_t size);

/* What is buffered and not yet taken. */
SKUA_API size_t skua_reader_buffered(const skua_reader *reader, const char **data);

/* Takes the next bytes up to and with the delimiter. *record points into the buffer until the next call on the reader.
 * Threads, Cancel: as skua_read(); what was read meanwhile stays in the buffer, for the next call.
 * Returns: how many bytes; 0 at the end; at the end, too, what is left without a delimiter (its last byte tells);
 *   -EMSGSIZE (no delimiter in as many bytes as fit the buffer, which stay there); errors as skua_read(). */
SKUA_API ssize_t skua_read_until(skua_reader *reader, char delimiter, char **record);
/* Up to and with the next newline. */
static inline ssize_t skua_read_line(skua_reader *reader, char **line) { return skua_read_until(reader, '\n', line); }

/* Takes exactly so many bytes, at most as many as fit the buffer. Returns: count; fewer at the end; -EMSGSIZE; errors
 * as above. */
SKUA_API ssize_t skua_read_record(skua_reader *reader, size_t count, char **record);

/* As skua_read(), what is buffered first: never waits if there is any. */
SKUA_API ssize_t skua_reader_read(skua_reader *reader, void *buffer, size_t size);

/* ---- in futures ---- */

/* A line or record as a future, as a member of the frame that awaits it:
 *     SKUA_AWAIT(skua_read_line_start(&self->reading, &self->in, &self->line));
 *     n = SKUA_RESULT(&self->reading);
 * Results and cancellation as of the calls; *record is set if the result is not negative. Fields belong to the
 * runtime. */
typedef struct skua_reading {
    SKUA_FRAME;
    skua_reader *reader;
    char **record;
    size_t count;
    ssize_t n;
    char delimiter;
    bool is_count;
    skua_io io;
    void *reserved[2];
} skua_reading;

SKUA_API skua_frame *skua_read_until_start(skua_reading *reading, skua_reader *reader, char delimiter, char **record);
static inline skua_frame *skua_read_line_start(skua_reading *reading, skua_reader *reader, char **line)
{
    return skua_read_until_start(reading, reader, '\n', line);
}
SKUA_API skua_frame *skua_read_record_start(skua_reading *reading, skua_reader *reader, size_t count, char **record);

SKUA_END_DECLS

#endif
