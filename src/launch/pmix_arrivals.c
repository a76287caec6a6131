/* Ranks announce themselves by a key of their own, which a server gives out as soon as it has it
 * (direct modex): asking needs no collective. PMIx Standard 4.1, "Data Access and Sharing". */
#include "base/clock.h"
#include "launch/arrival.h"
#include "launch/sources.h"

#include <pmix.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char KEY[] = "lockstep.rank"; /* "HOST PROCESS" */

int pmix_announce(const launch *self, ls_error *error) {
    char text[320];
    snprintf(text, sizeof text, "%s %ld", self->host, (long)getpid());
    pmix_value_t value = {.type = PMIX_STRING, .data.string = text};
    pmix_status_t status = PMIx_Put(PMIX_GLOBAL, KEY, &value);
    if (status == PMIX_SUCCESS)
        status = PMIx_Commit();
    if (status != PMIX_SUCCESS)
        return ls_fail(error, LS_BAD_LAUNCH, "the PMIx server does not take what a rank says: %s",
                       PMIx_Error_string(status));
    return LS_OK;
}

/* A question that is under way. What PMIx_Get_nb is given must stay as it is until the answer,
 * which may come after nobody waits for it: never freed. */
typedef struct question {
    arrival *out;
    bool of_host; /* else: of KEY */
    pmix_proc_t whose;
    pmix_info_t limit;
} question;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool listening; /* answers after the patience are not wanted */
static int unanswered;

static void read_announcement(const char *text, arrival *out) {
    const char *space = strrchr(text, ' ');
    if (!space)
        return;
    out->here = true;
    out->process = strtol(space + 1, NULL, 10);
    snprintf(out->host, sizeof out->host, "%.*s", (int)(space - text), text);
}

static void answered(pmix_status_t status, pmix_value_t *value, void *context) {
    question *self = context;
    pthread_mutex_lock(&mutex);
    bool told = listening && status == PMIX_SUCCESS && value && value->type == PMIX_STRING &&
                value->data.string;
    if (told && !self->of_host)
        read_announcement(value->data.string, self->out);
    else if (told && !self->out->here)
        snprintf(self->out->host, sizeof self->out->host, "%s", value->data.string);
    unanswered--;
    pthread_mutex_unlock(&mutex);
}

static void ask(int rank, const char *key, int patience_seconds, question *about) {
    about->whose.rank = (pmix_rank_t)rank;
    snprintf(about->whose.nspace, sizeof about->whose.nspace, "%s", pmix_namespace());
    PMIX_INFO_CONSTRUCT(&about->limit);
    PMIX_INFO_LOAD(&about->limit, PMIX_TIMEOUT, &patience_seconds, PMIX_INT);
    pthread_mutex_lock(&mutex);
    unanswered++;
    pthread_mutex_unlock(&mutex);
    if (PMIx_Get_nb(&about->whose, key, &about->limit, 1, answered, about) != PMIX_SUCCESS) {
        pthread_mutex_lock(&mutex);
        unanswered--;
        pthread_mutex_unlock(&mutex);
    }
}

static bool all_answered(void) {
    pthread_mutex_lock(&mutex);
    bool all = unanswered == 0;
    pthread_mutex_unlock(&mutex);
    return all;
}

void pmix_arrivals(int first, int count, double patience_seconds, arrival *out) {
    question *questions = calloc((size_t)count * 2, sizeof *questions);
    double until = clock_seconds() + patience_seconds;
    memset(out, 0, (size_t)count * sizeof *out);
    pthread_mutex_lock(&mutex);
    listening = true;
    pthread_mutex_unlock(&mutex);
    for (int index = 0; questions && index < count; index++) {
        question *about = &questions[2 * index];
        about[0] = (question){.out = &out[index]};
        about[1] = (question){.out = &out[index], .of_host = true};
        ask(first + index, PMIX_HOSTNAME, (int)patience_seconds, &about[1]);
        ask(first + index, KEY, (int)patience_seconds, &about[0]);
    }
    while (clock_seconds() < until && !all_answered())
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    pthread_mutex_lock(&mutex);
    listening = false;
    pthread_mutex_unlock(&mutex);
}
