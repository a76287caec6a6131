#include "data/memory_budget.h"

void budget_start(memory_budget *self, int64_t bytes) {
    *self = (memory_budget){.total = bytes, .left = bytes};
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->given, NULL);
}

static bool take(memory_budget *self, int64_t bytes, bool wait) {
    pthread_mutex_lock(&self->lock);
    while (wait && bytes <= self->total && self->left < bytes)
        pthread_cond_wait(&self->given, &self->lock);
    bool taken = self->left >= bytes;
    if (taken)
        self->left -= bytes;
    pthread_mutex_unlock(&self->lock);
    return taken;
}

/* What is kept for a shard that grew leaves `total` with it: nobody waits for it. */
bool budget_take(memory_budget *self, int64_t bytes) {
    return take(self, bytes, true);
}

bool budget_try(memory_budget *self, int64_t bytes) {
    bool taken = take(self, bytes, false);
    pthread_mutex_lock(&self->lock);
    if (taken)
        self->total -= bytes;
    pthread_cond_broadcast(&self->given);
    pthread_mutex_unlock(&self->lock);
    return taken;
}

void budget_give(memory_budget *self, int64_t bytes) {
    pthread_mutex_lock(&self->lock);
    self->left += bytes;
    pthread_cond_broadcast(&self->given);
    pthread_mutex_unlock(&self->lock);
}

void budget_end(memory_budget *self) {
    pthread_cond_destroy(&self->given);
    pthread_mutex_destroy(&self->lock);
}
