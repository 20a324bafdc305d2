/* See text.h. */
#include "runtime/text.h"

#include <stdarg.h>
#include <stdio.h>

void skuai_text_add(struct skuai_text *text, const char *format, ...)
{
    va_list arguments;
    size_t room = text->length < text->size ? text->size - text->length : 0;
    va_start(arguments, format);
    int length = vsnprintf(room > 0 ? text->at + text->length : NULL, room, format, arguments);
    va_end(arguments);
    text->length += length > 0 ? (size_t)length : 0;
}
