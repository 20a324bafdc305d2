/* What is to be sent: bytes that gather until a batch of requests has been answered, and heads of answers. */
#ifndef HTTPD_OUTPUT_H
#define HTTPD_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct output {
    char *bytes;
    size_t used, size;
    char *given; /* the memory to begin with; more is from the heap */
    size_t given_size;
};

void output_begin(struct output *output, char *memory, size_t size);
/* Empties it, and gives back what is from the heap. */
void output_reset(struct output *output);
/* Room for so many bytes more, to be counted in `used` when they are there. NULL: no memory. */
char *output_reserve(struct output *output, size_t size);

/* The head of an answer. Text that is not needed is NULL. */
struct answer {
    int status;
    bool close;          /* the connection's last */
    bool says_it_keeps;  /* to a client of HTTP/1.0, who would not expect it */
    bool has_length;
    uint64_t length;     /* of its content, even if that is not sent */
    const char *type;
    const char *headers; /* further lines, each with its end */
};

/* Returns false if there is no memory. */
bool output_head(struct output *output, const struct answer *answer);
bool output_bytes(struct output *output, const void *bytes, size_t size);
/* A whole answer, 200 and not the last, of which everything behind the date is text that was made before. */
bool output_made(struct output *output, const char *rest, size_t length);

/* "Not Found" and the like. */
const char *status_reason(int status);

/* An instant as HTTP writes it, "Sun, 06 Nov 1994 08:49:37 GMT": always so long, and not terminated. */
enum { DATE_LENGTH = 29 };
void date_format(time_t instant, char text[DATE_LENGTH]);
/* Understands all three forms that clients may use (RFC 9110, 5.6.7). False: it is none of them. */
bool date_parse(const char *text, size_t length, time_t *instant);

#endif
