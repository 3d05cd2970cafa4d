/* test_log.c - how many events of one name there are within a second. */
#include "../../src/base/log.c"

#include "tap.h"

#include <sys/mman.h>

static uint64_t now_ms;

uint64_t clock_mono_ms(void)
{
    return now_ms;
}

void clock_text(char out[32])
{
    snprintf(out, 32, "now");
}

static int file;

/* Lines with `word` among those that were logged since the last call. */
static unsigned lines(const char *word)
{
    static off_t from;
    char text[16384] = "";
    ssize_t n = pread(file, text, sizeof(text) - 1, from);
    unsigned found = 0;

    for (const char *at = text; (at = strstr(at, word)) != NULL; at++) {
        found++;
    }
    from += n > 0 ? n : 0;
    return found;
}

static void several(unsigned n, bool rarely)
{
    for (unsigned i = 0; i < n; i++) {
        if (rarely) {
            log_rarely(LOG_INFO, "test.rare", "number %u", i);
        } else {
            log_event(LOG_INFO, "test.often", "number %u", i);
        }
    }
}

static void test_often(void)
{
    now_ms = 1000;
    several(60, false);
    CHECK_INT(lines("test.often number"), EVENTS_A_SECOND);
    now_ms = 1999;
    several(1, false);
    CHECK_INT(lines("now"), 0);
    now_ms = 2000;
    several(1, false);
    CHECK_INT(lines("test.often 11 more events of this name were not logged"), 1);
}

static void test_rarely(void)
{
    now_ms = 5000;
    several(30, true);
    several(30, false);
    CHECK_INT(lines("test.rare"), 1);
    now_ms = 6000;
    several(1, true);
    CHECK_INT(lines("test.rare 29 more events of this name were not logged"), 1);
    now_ms = 9000;
    several(1, true);
    CHECK_INT(lines("test.rare"), 1);
}

int main(void)
{
    file = memfd_create("log", MFD_CLOEXEC);
    dup2(file, STDERR_FILENO);
    test_often();
    test_rarely();
    return tap_done();
}
