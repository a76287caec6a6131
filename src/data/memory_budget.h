/* Memory that several threads share: each takes what its next step needs, and waits for the others
 * where too little is left, so that all together never have more than the bound. */
#ifndef LOCKSTEP_DATA_MEMORY_BUDGET_H
#define LOCKSTEP_DATA_MEMORY_BUDGET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct memory_budget {
    pthread_mutex_t lock;
    pthread_cond_t given;
    int64_t total, left;
} memory_budget;

void budget_start(memory_budget *self, int64_t bytes);

/* false: more than all of it, which never comes. Who waits here holds nothing of it. */
bool budget_take(memory_budget *self, int64_t bytes);
/* Without waiting: for who holds some of it already. */
bool budget_try(memory_budget *self, int64_t bytes);
void budget_give(memory_budget *self, int64_t bytes);

void budget_end(memory_budget *self);

#endif
