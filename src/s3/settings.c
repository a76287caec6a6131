/* Credentials, region and endpoint, as Amazon's tools find them. */
#include "s3/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

/* LS_BAD_INPUT where it is too long. */
static int take(const char *what, const char *value, char *out, size_t capacity, ls_error *error) {
    if (strlen(value) >= capacity)
        return ls_fail(error, LS_BAD_INPUT, "%s: longer than %zu letters", what, capacity - 1);
    strcpy(out, value);
    return LS_OK;
}

/* Without the blanks around it. */
static char *trimmed(char *text) {
    text += strspn(text, " \t\r\n");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]))
        text[--length] = '\0';
    return text;
}

/* Of the section of this name in a file of "[section]" and "name = value". */
static void take_pairs(FILE *file, const char *section, s3_profile_pair *pairs, int count) {
    char line[8192];
    bool here = false;
    while (fgets(line, sizeof line, file)) {
        char *text = trimmed(line), *equals = strchr(text, '=');
        if (text[0] == '[') {
            text[strcspn(text, "]")] = '\0';
            here = strcmp(trimmed(text + 1), section) == 0;
        } else if (here && equals && text[0] != '#' && text[0] != ';') {
            *equals = '\0';
            for (int pair = 0; pair < count; pair++)
                if (strcmp(trimmed(text), pairs[pair].name) == 0)
                    snprintf(pairs[pair].value, sizeof pairs[pair].value, "%s",
                             trimmed(equals + 1));
        }
    }
}

int s3_profile_read(const char *path, const char *section, s3_profile_pair *pairs, int count,
                    ls_error *error) {
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT || errno == ENOTDIR
                   ? LS_OK
                   : ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read credentials", path);
    take_pairs(file, section, pairs, count);
    fclose(file);
    return LS_OK;
}

/* The file that a variable names, else the one of that name in ~/.aws. */
static void file_of(const char *name, const char *otherwise, char *out, size_t capacity) {
    const char *given = variable(name), *home = variable("HOME");
    if (given)
        snprintf(out, capacity, "%s", given);
    else
        snprintf(out, capacity, "%s/.aws/%s", home ? home : "", otherwise);
}

static int find_in_file(s3_settings *out, const char *profile, ls_error *error) {
    s3_profile_pair pairs[] = {{.name = "aws_access_key_id"},
                               {.name = "aws_secret_access_key"},
                               {.name = "aws_session_token"}};
    char path[4096];
    file_of("AWS_SHARED_CREDENTIALS_FILE", "credentials", path, sizeof path);
    LS_TRY(s3_profile_read(path, profile, pairs, 3, error));
    if (!pairs[0].value[0] && !pairs[1].value[0])
        return LS_OK;
    if (!pairs[0].value[0] || !pairs[1].value[0])
        return ls_fail(error, LS_BAD_INPUT, "%s: profile '%.80s' has no %s", path, profile,
                       pairs[pairs[0].value[0] ? 1 : 0].name);
    LS_TRY(take(pairs[0].name, pairs[0].value, out->access_key, sizeof out->access_key, error));
    LS_TRY(take(pairs[1].name, pairs[1].value, out->secret_key, sizeof out->secret_key, error));
    return take(pairs[2].name, pairs[2].value, out->session_token, sizeof out->session_token,
                error);
}

static int find_in_environment(s3_settings *out, ls_error *error) {
    const char *access = variable("AWS_ACCESS_KEY_ID");
    const char *secret = variable("AWS_SECRET_ACCESS_KEY"), *token = variable("AWS_SESSION_TOKEN");
    if (!access && !secret)
        return LS_OK;
    if (!access || !secret)
        return ls_fail(error, LS_BAD_INPUT, "%s is set, %s is not: expected both",
                       access ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                       access ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    LS_TRY(take("AWS_ACCESS_KEY_ID", access, out->access_key, sizeof out->access_key, error));
    LS_TRY(take("AWS_SECRET_ACCESS_KEY", secret, out->secret_key, sizeof out->secret_key, error));
    return token ? take("AWS_SESSION_TOKEN", token, out->session_token, sizeof out->session_token,
                        error)
                 : LS_OK;
}

static int find_region(s3_settings *out, const char *profile, ls_error *error) {
    s3_profile_pair pair = {.name = "region"};
    char path[4096], section[256];
    const char *region = variable("AWS_REGION");
    region = region ? region : variable("AWS_DEFAULT_REGION");
    if (!region) {
        bool plain = strcmp(profile, "default") == 0;
        snprintf(section, sizeof section, "%s%s", plain ? "" : "profile ", profile);
        file_of("AWS_CONFIG_FILE", "config", path, sizeof path);
        LS_TRY(s3_profile_read(path, section, &pair, 1, error));
        region = pair.value[0] ? pair.value : "us-east-1";
    }
    if (region[strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        return ls_fail(error, LS_BAD_INPUT, "the region '%.80s' (AWS_REGION) is none", region);
    return take("AWS_REGION", region, out->region, sizeof out->region, error);
}

static int find_endpoint(s3_settings *out, ls_error *error) {
    const char *url = variable("AWS_ENDPOINT_URL_S3");
    url = url ? url : variable("AWS_ENDPOINT_URL");
    if (!url)
        return LS_OK;
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "AWS_ENDPOINT_URL: expected http://... or https://..., found '%.200s'", url);
    LS_TRY(take("AWS_ENDPOINT_URL", url, out->endpoint, sizeof out->endpoint, error));
    for (size_t length = strlen(out->endpoint); out->endpoint[length - 1] == '/'; length--)
        out->endpoint[length - 1] = '\0';
    return LS_OK;
}

int s3_settings_find(s3_settings *out, ls_error *error) {
    const char *profile = variable("AWS_PROFILE");
    profile = profile ? profile : "default";
    *out = (s3_settings){.part_bytes = (int64_t)16 << 20,
                         .attempts = 6,
                         .first_pause_seconds = 0.5,
                         .stall_seconds = 30};
    LS_TRY(find_region(out, profile, error));
    LS_TRY(find_endpoint(out, error));
    LS_TRY(find_in_environment(out, error));
    if (!out->access_key[0])
        LS_TRY(find_in_file(out, profile, error));
    const char *disabled = variable("AWS_EC2_METADATA_DISABLED");
    if (!out->access_key[0] && !(disabled && strcasecmp(disabled, "true") == 0))
        LS_TRY(s3_metadata_find(out, error));
    if (!out->access_key[0])
        return ls_fail(error, LS_BAD_INPUT,
                       "no credentials for S3: expected AWS_ACCESS_KEY_ID and "
                       "AWS_SECRET_ACCESS_KEY, a profile '%.80s' in ~/.aws/credentials, or an "
                       "instance's role",
                       profile);
    return LS_OK;
}
