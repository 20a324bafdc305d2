/* See output.h. */
#define _GNU_SOURCE
#include "examples/httpd/output.h"

#include <stdlib.h>
#include <string.h>

enum { HEAP_MIN = 4096, HEAD_MAX = 384 }; /* a head without what a caller adds */

void output_begin(struct output *output, char *memory, size_t size)
{
    *output = (struct output){ .bytes = memory, .size = size, .given = memory, .given_size = size };
}

void output_reset(struct output *output)
{
    output->used = 0;
    if (output->bytes != output->given) {
        free(output->bytes);
        output->bytes = output->given;
        output->size = output->given_size;
    }
}

static char *grow(struct output *output, size_t size)
{
    size_t wanted = output->size * 2 > HEAP_MIN ? output->size * 2 : HEAP_MIN;
    while (wanted < output->used + size)
        wanted *= 2;
    char *bytes = malloc(wanted);
    if (bytes == NULL)
        return NULL;
    memcpy(bytes, output->bytes, output->used);
    if (output->bytes != output->given)
        free(output->bytes);
    output->bytes = bytes;
    output->size = wanted;
    return bytes + output->used;
}

char *output_reserve(struct output *output, size_t size)
{
    if (size <= output->size - output->used)
        return output->bytes + output->used;
    return grow(output, size);
}

bool output_bytes(struct output *output, const void *bytes, size_t size)
{
    char *to = output_reserve(output, size);
    if (to == NULL)
        return false;
    memcpy(to, bytes, size);
    output->used += size;
    return true;
}

/* ---- dates ------------------------------------------------------------------------------------------------------ */

static void two_digits(char *text, int number)
{
    text[0] = (char)('0' + number / 10 % 10);
    text[1] = (char)('0' + number % 10);
}

void date_format(time_t instant, char text[DATE_LENGTH])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm = { .tm_year = 70 };
    gmtime_r(&instant, &tm);
    memcpy(text, "---, -- --- ---- --:--:-- GMT", DATE_LENGTH);
    memcpy(text, days + (ptrdiff_t)3 * tm.tm_wday, 3);
    two_digits(text + 5, tm.tm_mday);
    memcpy(text + 8, months + (ptrdiff_t)3 * tm.tm_mon, 3);
    two_digits(text + 12, (tm.tm_year + 1900) / 100);
    two_digits(text + 14, (tm.tm_year + 1900) % 100);
    two_digits(text + 17, tm.tm_hour);
    two_digits(text + 20, tm.tm_min);
    two_digits(text + 23, tm.tm_sec);
}

bool date_parse(const char *text, size_t length, time_t *instant)
{
    static const char *const forms[] = { "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                         "%a %b %d %H:%M:%S %Y" };
    char copy[64];
    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm tm = { .tm_isdst = 0 };
        const char *end = strptime(copy, forms[i], &tm);
        while (end != NULL && *end == ' ')
            end++;
        if (end != NULL && *end == '\0') {
            *instant = timegm(&tm);
            return true;
        }
    }
    return false;
}

/* ---- heads ------------------------------------------------------------------------------------------------------ */

#define STATUSES(X)                                                                                              \
    X(100, "Continue") X(200, "OK") X(204, "No Content") X(206, "Partial Content") X(301, "Moved Permanently")   \
    X(304, "Not Modified") X(400, "Bad Request") X(403, "Forbidden") X(404, "Not Found")                         \
    X(405, "Method Not Allowed") X(408, "Request Timeout") X(413, "Content Too Large") X(414, "URI Too Long")    \
    X(416, "Range Not Satisfiable") X(417, "Expectation Failed") X(431, "Request Header Fields Too Large")       \
    X(500, "Internal Server Error") X(501, "Not Implemented") X(503, "Service Unavailable")                      \
    X(505, "HTTP Version Not Supported")

const char *status_reason(int status)
{
    switch (status) {
#define REASON(code, reason) case code: return reason;
        STATUSES(REASON)
    default:
        return "Unknown";
    }
}

#define APPEND(to, text) ((char *)memcpy((to), (text), sizeof(text) - 1) + sizeof(text) - 1)

/* Of the head that nearly all answers have, as far as the date. */
#define OK_BEGIN "HTTP/1.1 200 OK\r\nServer: skua\r\nDate: "
enum { OK_LENGTH = sizeof OK_BEGIN - 1, BEGIN_LENGTH = OK_LENGTH + DATE_LENGTH };

/* Each thread's own, made once a second. time() is a few instructions here, and no system call. */
struct begin {
    time_t second;
    char text[BEGIN_LENGTH];
};
static void make_begin(struct begin *begin, time_t now)
{
    memcpy(begin->text, OK_BEGIN, OK_LENGTH);
    date_format(now, begin->text + OK_LENGTH);
    begin->second = now;
}

/* All of it, or its date. A function that does not wait: the thread is the same at its end. */
static __attribute__((noinline)) char *append_begin(char *to, bool all)
{
    static _Thread_local struct begin cached;
    time_t now = time(NULL);
    if (__builtin_expect(now != cached.second, 0))
        make_begin(&cached, now);
    if (__builtin_expect(all, 1))
        return (char *)memcpy(to, cached.text, BEGIN_LENGTH) + BEGIN_LENGTH;
    return (char *)memcpy(to, cached.text + OK_LENGTH, DATE_LENGTH) + DATE_LENGTH;
}

static char *append_text(char *to, const char *text)
{
    size_t length = strlen(text);
    memcpy(to, text, length);
    return to + length;
}

static char *append_number(char *to, uint64_t number)
{
    char digits[20];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    while (count > 0)
        *to++ = digits[--count];
    return to;
}

static char *append_status(char *to, int status)
{
    to = APPEND(to, "HTTP/1.1 ");
    to = append_number(to, (uint64_t)status);
    *to++ = ' ';
    to = append_text(to, status_reason(status));
    return append_begin(APPEND(to, "\r\nServer: skua\r\nDate: "), false);
}

bool output_made(struct output *output, const char *rest, size_t length)
{
    char *to = output_reserve(output, BEGIN_LENGTH + length);
    if (to == NULL)
        return false;
    memcpy(append_begin(to, true), rest, length);
    output->used += BEGIN_LENGTH + length;
    return true;
}

bool output_head(struct output *output, const struct answer *answer)
{
    size_t extra = answer->headers != NULL ? strlen(answer->headers) : 0;
    char *begin = output_reserve(output, HEAD_MAX + extra), *to = begin;
    if (to == NULL)
        return false;
    to = answer->status == 200 ? append_begin(to, true) : append_status(to, answer->status);
    if (answer->type != NULL) {
        to = APPEND(to, "\r\nContent-Type: ");
        to = append_text(to, answer->type);
    }
    if (answer->has_length) {
        to = APPEND(to, "\r\nContent-Length: ");
        to = append_number(to, answer->length);
    }
    if (answer->close)
        to = APPEND(to, "\r\nConnection: close");
    else if (answer->says_it_keeps)
        to = APPEND(to, "\r\nConnection: keep-alive");
    to = APPEND(to, "\r\n");
    if (extra > 0)
        to = append_text(to, answer->headers);
    to = APPEND(to, "\r\n");
    output->used += (size_t)(to - begin);
    return true;
}
