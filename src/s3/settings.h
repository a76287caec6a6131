/* Where settings come from (the room's own). */
#ifndef LOCKSTEP_S3_SETTINGS_H
#define LOCKSTEP_S3_SETTINGS_H

#include "s3/s3.h"

typedef struct s3_profile_pair {
    const char *name;
    char
        value[8192]; /* "" where the section has none of that name; longer than any that is taken */
} s3_profile_pair;

/* The values of a section; none where the file is not there. */
int s3_profile_read(const char *path, const char *section, s3_profile_pair *pairs, int count,
                    ls_error *error);

/* Of the role that the instance's metadata service gives (IMDSv2, at
 * AWS_EC2_METADATA_SERVICE_ENDPOINT or 169.254.169.254). Where no such service answers within a
 * second, nothing is found (*out is as it was), which is no error. */
int s3_metadata_find(s3_settings *out, ls_error *error);

#endif
