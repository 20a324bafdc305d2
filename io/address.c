/* Addresses as text. */
#include "io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static bool has_prefix(const char **text, const char *prefix)
{
    size_t length = strlen(prefix);
    if (strncmp(*text, prefix, length) != 0)
        return false;
    *text += length;
    return true;
}

/* Decimal, to the end of the text. */
static int parse_port(const char *text, uint16_t *port)
{
    uint32_t value = 0;
    if (*text == '\0')
        return -EINVAL;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || (value = value * 10 + (uint32_t)(*text - '0')) > UINT16_MAX)
            return -EINVAL;
    }
    *port = (uint16_t)value;
    return 0;
}

static int set_ipv6(skua_address *address, const struct in6_addr *host, uint16_t port)
{
    struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *host };
    memcpy(&address->storage, &ipv6, sizeof ipv6);
    address->length = sizeof ipv6;
    return 0;
}

static int set_ipv4(skua_address *address, const struct in_addr *host, uint16_t port)
{
    struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = *host };
    memcpy(&address->storage, &ipv4, sizeof ipv4);
    address->length = sizeof ipv4;
    return 0;
}

/* TCP's and UDP's: host:port, the host in brackets if it has colons itself. */
static int parse_ip(skua_address *address, const char *text)
{
    char host[INET6_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    uint16_t port;
    struct in_addr ipv4;
    struct in6_addr ipv6;
    if (colon == NULL || parse_port(colon + 1, &port) < 0)
        return -EINVAL;
    size_t length = (size_t)(colon - text);
    bool brackets = length >= 2 && text[0] == '[' && colon[-1] == ']';
    const char *begin = brackets ? text + 1 : text;
    length -= brackets ? 2 : 0;
    if (length >= sizeof host)
        return -EINVAL;
    memcpy(host, begin, length);
    host[length] = '\0';
    if (brackets)
        return inet_pton(AF_INET6, host, &ipv6) == 1 ? set_ipv6(address, &ipv6, port) : -EINVAL;
    return inet_pton(AF_INET, host, &ipv4) == 1 ? set_ipv4(address, &ipv4, port) : -EINVAL;
}

void skuai_address_set_port(skua_address *address, uint16_t port)
{
    struct sockaddr_in6 ipv6;
    struct sockaddr_in ipv4;
    if (address->storage.ss_family == AF_INET6) {
        memcpy(&ipv6, &address->storage, sizeof ipv6);
        ipv6.sin6_port = htons(port);
        memcpy(&address->storage, &ipv6, sizeof ipv6);
    } else if (address->storage.ss_family == AF_INET) {
        memcpy(&ipv4, &address->storage, sizeof ipv4);
        ipv4.sin_port = htons(port);
        memcpy(&address->storage, &ipv4, sizeof ipv4);
    }
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* A name of labels; the last one is no number, so that a miswritten IPv4 address is not looked up (RFC 3696). */
static bool is_name(const char *name)
{
    const char *last = strrchr(name, '.');
    bool has_letter = false;
    for (const char *c = name; *c != '\0'; c++)
        if (!is_digit(*c) && !is_letter(*c) && *c != '-' && *c != '_' && *c != '.')
            return false;
    if (last != NULL && last[1] == '\0') { /* the root's dot */
        if (last == name)
            return false;
        for (last--; last > name && *last != '.'; last--)
            ;
    }
    for (const char *c = last != NULL ? last : name; *c != '\0'; c++)
        has_letter = has_letter || is_letter(*c) || *c == '_';
    return has_letter;
}

int skuai_address_parse_host(struct skuai_host *host, const char *text)
{
    host->is_datagram = has_prefix(&text, "udp://");
    if (!host->is_datagram && !has_prefix(&text, "tcp://"))
        return -EINVAL;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || parse_port(colon + 1, &host->port) < 0)
        return -EINVAL;
    size_t length = (size_t)(colon - text);
    host->is_number = length >= 2 && text[0] == '[' && colon[-1] == ']';
    text += host->is_number ? 1 : 0;
    length -= host->is_number ? 2 : 0;
    if (length >= sizeof host->name)
        return -ENAMETOOLONG;
    memcpy(host->name, text, length);
    host->name[length] = '\0';
    bool is_good = host->is_number ? strchr(host->name, '%') != NULL : is_name(host->name);
    return is_good ? 0 : -EINVAL;
}

/* A path with its terminator; an abstract name with a zero in front and none behind. */
static int parse_unix(skua_address *address, const char *text)
{
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    size_t length = strlen(text);
    if (length == 0 || (length == 1 && *text == '@'))
        return -EINVAL;
    if (length >= sizeof local.sun_path)
        return -ENAMETOOLONG;
    memcpy(local.sun_path, text, length);
    bool is_abstract = *text == '@';
    if (is_abstract)
        local.sun_path[0] = '\0';
    memcpy(&address->storage, &local, sizeof local);
    address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (is_abstract ? 0 : 1));
    return 0;
}

int skua_address_parse(skua_address *address, const char *text)
{
    memset(address, 0, sizeof *address);
    if (has_prefix(&text, "tcp://") || has_prefix(&text, "udp://"))
        return parse_ip(address, text);
    if (has_prefix(&text, "unix:"))
        return parse_unix(address, text);
    return -EINVAL;
}

/* ---- what is wrong ---------------------------------------------------------------------------------------------- */

/* Of what stands behind tcp:// or udp://, and is refused. */
static const char *explain_ip(const char *text)
{
    const char *colon = strrchr(text, ':'), *bracket = strchr(text, ']');
    uint16_t port;
    bool has_brackets = *text == '[' && bracket != NULL;
    if (colon == NULL || (has_brackets && colon < bracket))
        return "it has no port: end with one, as in tcp://localhost:80 (0 to listen at a free one)";
    if (!has_brackets && strchr(text, ':') != colon)
        return "an IPv6 address takes brackets: tcp://[::1]:80";
    if (parse_port(colon + 1, &port) < 0)
        return "behind the last colon stands no port: a number from 0 to 65535";
    if (colon == text)
        return "it has no host: 0.0.0.0 or [::] are all addresses of this machine, localhost its own";
    return "its host is none: give a name of letters, digits and hyphens, an IPv4 address of four numbers, or an IPv6 "
           "address in brackets";
}

const char *skua_address_explain(const char *text)
{
    skua_address address;
    struct skuai_host host;
    int rc = skua_address_parse(&address, text);
    if (rc == 0 || (rc == -EINVAL && (rc = skuai_address_parse_host(&host, text)) == 0))
        return NULL;
    if (rc == -ENAMETOOLONG)
        return "it is too long: a host has at most 255 bytes, a unix socket's path 107";
    if (has_prefix(&text, "unix:"))
        return "it has no name: write unix:/run/name.sock, or unix:@name without a file";
    if (has_prefix(&text, "tcp://") || has_prefix(&text, "udp://"))
        return explain_ip(text);
    return "it begins with none of tcp://, udp:// and unix:";
}

/* ---- as text ---------------------------------------------------------------------------------------------------- */

static int format_unix(const skua_address *address, char *text, size_t size)
{
    struct sockaddr_un local;
    size_t offset = offsetof(struct sockaddr_un, sun_path);
    memcpy(&local, &address->storage, sizeof local);
    int length = address->length > offset ? (int)(address->length - offset) : 0;
    if (length == 0)
        return snprintf(text, size, "unix:"); /* the unnamed end of a pair, or of who connects */
    if (local.sun_path[0] == '\0')
        return snprintf(text, size, "unix:@%.*s", length - 1, local.sun_path + 1);
    return snprintf(text, size, "unix:%.*s", (int)strnlen(local.sun_path, (size_t)length), local.sun_path);
}

int skua_address_format(const skua_address *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
    switch (address->storage.ss_family) {
    case AF_INET:
        memcpy(&ipv4, &address->storage, sizeof ipv4);
        inet_ntop(AF_INET, &ipv4.sin_addr, host, sizeof host);
        return snprintf(text, size, "tcp://%s:%u", host, (unsigned)ntohs(ipv4.sin_port));
    case AF_INET6:
        memcpy(&ipv6, &address->storage, sizeof ipv6);
        inet_ntop(AF_INET6, &ipv6.sin6_addr, host, sizeof host);
        return snprintf(text, size, "tcp://[%s]:%u", host, (unsigned)ntohs(ipv6.sin6_port));
    case AF_UNIX:
        return format_unix(address, text, size);
    default:
        if (size > 0)
            *text = '\0';
        return -EAFNOSUPPORT;
    }
}
