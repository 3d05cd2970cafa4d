/* cli/lock.c - `larder lock`: the answer is the file. */
#include "cli/lock.h"

#include "base/clock.h"
#include "cli/command.h"

#include <arpa/inet.h>
#include <stdio.h>

#define DAY_LEN 10
#define DAY_BEGIN "T00:00:00Z"

/* "2026-01-31": where that day begins in UTC. */
static bool day_parse(const char *text, int64_t *ret)
{
    char begin[DAY_LEN + sizeof(DAY_BEGIN)];

    if (strlen(text) != DAY_LEN) {
        return false;
    }
    snprintf(begin, sizeof(begin), "%s" DAY_BEGIN, text);
    return clock_parse(slice_str(begin), ret);
}

/* "24h" ago, or a time, or a day. */
static bool since_parse(const char *text, int64_t *ret)
{
    int64_t now = clock_wall_s();
    uint64_t ago;

    if (clock_parse(slice_str(text), ret) || day_parse(text, ret)) {
        return true;
    }
    if (!duration_parse(slice_str(text), &ago)) {
        return false;
    }
    ago /= 1000;
    *ret = ago < (uint64_t)now ? now - (int64_t)ago : 0;
    return true;
}

/* The address as the server writes it. */
static bool client_parse(const char *text, char out[INET6_ADDRSTRLEN])
{
    unsigned char address[sizeof(struct in6_addr)];

    for (int family = AF_INET;; family = AF_INET6) {
        if (inet_pton(family, text, address) == 1) {
            return inet_ntop(family, address, out, INET6_ADDRSTRLEN) != NULL;
        }
        if (family == AF_INET6) {
            snprintf(out, INET6_ADDRSTRLEN, "unix");
            return strcmp(text, out) == 0;
        }
    }
}

int lock_run(const struct flags *flags)
{
    struct admin_query q = {.name = ""};
    struct flags as_json = *flags;
    char client[INET6_ADDRSTRLEN];

    if (flags->since != NULL && !since_parse(flags->since, &q.since)) {
        fprintf(stderr,
                "larder: --since: \"%.40s\" must be a duration such as 24h or 7d, a day such as "
                "2026-01-31, or a time such as 2026-01-31T12:00:00Z\n",
                flags->since);
        return 2;
    }
    if (flags->client != NULL) {
        if (!client_parse(flags->client, client)) {
            fprintf(stderr,
                    "larder: --client: \"%.60s\" must be an IP address such as 10.0.0.7, or unix\n",
                    flags->client);
            return 2;
        }
        q.client = client;
    }
    as_json.json = true;
    return command_run(&as_json, "lock", &q, NULL);
}
