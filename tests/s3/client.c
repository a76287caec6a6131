/* The S3 client by hand, for s3.py:
 *
 *   client put|get BUCKET KEY FILE    settings from the environment, as a run has them
 *
 * CLIENT_PART_BYTES, CLIENT_PAUSE, CLIENT_STALL and CLIENT_ATTEMPTS change them; SIGTERM gives up.
 * Prints how many requests were tried again. Exit code and line as the program's. */
#include "s3/s3.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double number(const char *name, double otherwise) {
    const char *value = getenv(name);
    return value ? strtod(value, NULL) : otherwise;
}

static s3_client *running;

static void give_up(int number) {
    (void)number;
    s3_give_up(running);
}

static int run(char **words, ls_error *error) {
    s3_settings settings;
    s3_client *client = NULL;
    LS_TRY(s3_settings_find(&settings, error));
    settings.part_bytes = (int64_t)number("CLIENT_PART_BYTES", (double)settings.part_bytes);
    settings.first_pause_seconds = number("CLIENT_PAUSE", settings.first_pause_seconds);
    settings.stall_seconds = number("CLIENT_STALL", settings.stall_seconds);
    settings.attempts = (int)number("CLIENT_ATTEMPTS", settings.attempts);
    LS_TRY(s3_open(&settings, &client, error));
    running = client;
    signal(SIGTERM, give_up);
    int status = strcmp(words[1], "put") == 0
                     ? s3_put_file(client, words[2], words[3], words[4], error)
                     : s3_get_file(client, words[2], words[3], words[4], error);
    signal(SIGTERM, SIG_DFL);
    printf("%lld\n", (long long)s3_retries(client));
    s3_close(client);
    return status;
}

int main(int argc, char **argv) {
    ls_error error = {0};
    if (argc != 5)
        return 99;
    run(argv, &error);
    if (error.code)
        fprintf(stderr, "lockstep: %s\n", error.text);
    return error.code;
}
