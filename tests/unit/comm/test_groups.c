/* Ranks in groups of two, and of the ranks of a node: `mpirun -n 4 test_groups [KIND]`, as
 * test_comm.c. A reduce_scatter comes to the sum over all ranks, an all-gather stays in its group;
 * several are outstanding at once. With groups whose ranks do not follow each other too. */
#include "comm/groups.h"
#include "comm_fixture.h"
#include "launch/lifeline.h"

#include "../check.h"

#include <stdio.h>
#include <string.h>

enum { LENGTH = 70001, WORKS = 3 };

static comm_settings settings_of(const launch *here) {
    return (comm_settings){.rank = here->rank,
                           .size = here->size,
                           .host = here->host,
                           .device = memory,
                           .control = control};
}

/* Which of a group's parts has element `index`. */
static void cut(int size, int64_t length, int64_t *counts) {
    for (int place = 0; place < size; place++)
        counts[place] = length * (place + 1) / size - length * place / size;
    counts[0] += size > 1 ? 7 : 0;
    counts[size - 1] -= size > 1 ? 7 : 0;
}

static int64_t first_of(const int64_t *counts, int place) {
    int64_t first = 0;
    for (int before = 0; before < place; before++)
        first += counts[before];
    return first;
}

/* The own parts' sums over all ranks, of calls that are all on their way. */
static void check_reduce_scatter(comm *group, bool of_comm) {
    array buffers[WORKS];
    comm_work works[WORKS] = {{0}};
    int64_t counts[8];
    cut(group->size, LENGTH, counts);
    for (int index = 0; index < WORKS; index++) {
        buffers[index] = array_filled(DTYPE_F32, LENGTH, all->rank);
        if (of_comm) {
            void *shared;
            CHECK(group->is->allocate(group, LENGTH * sizeof(float), "a test", &shared, &error) ==
                      LS_OK,
                  "memory");
            memcpy(shared, buffers[index].host, LENGTH * sizeof(float));
            buffers[index].data = buffers[index].host = shared;
        }
        CHECK(group->is->reduce_scatter(group, stream, buffers[index].data, counts, DTYPE_F32,
                                        REDUCTION_SUM, &works[index], &error) == LS_OK,
              "begin");
    }
    for (int index = 0; index < WORKS; index++)
        CHECK(group->is->wait(group, stream, &works[index], &error) == LS_OK, "wait");
    int64_t first = first_of(counts, group->rank), end = first + counts[group->rank];
    for (int index = 0; index < WORKS; index++) {
        if (!of_comm)
            array_take(&buffers[index]);
        int64_t wrong = wrong_of(&buffers[index], DTYPE_F32, first, end, REDUCTION_SUM);
        CHECK(wrong == 0, "call %d: %lld of %lld elements are wrong", index, (long long)wrong,
              (long long)(end - first));
        if (of_comm)
            group->is->release(group, buffers[index].data);
        else
            array_free(&buffers[index]);
    }
}

/* Each part is then that of the group's rank which has it. */
static void check_allgather(comm *group, const comm_groups *groups) {
    array buffer = array_filled(DTYPE_F32, LENGTH, all->rank);
    comm_work work = {0};
    int64_t counts[8], wrong = 0;
    cut(group->size, LENGTH, counts);
    CHECK(group->is->allgather(group, stream, buffer.data, counts, DTYPE_F32, &work, &error) ==
              LS_OK,
          "begin");
    CHECK(group->is->wait(group, stream, &work, &error) == LS_OK, "wait");
    array_take(&buffer);
    for (int rank = 0, place = 0; rank < all->size; rank++) {
        if (groups->of[rank] != groups->mine)
            continue;
        int64_t first = first_of(counts, place);
        for (int64_t index = first; index < first + counts[place]; index++)
            wrong += load(buffer.host, DTYPE_F32, index) != value_of(rank, index);
        place++;
    }
    CHECK(wrong == 0, "%lld elements are not the group's", (long long)wrong);
    array_free(&buffer);
}

static void check_allreduce(comm *group) {
    array buffer = array_filled(DTYPE_F32, LENGTH, all->rank);
    comm_work work = {0};
    CHECK(group->is->allreduce(group, stream, buffer.data, LENGTH, DTYPE_F32, REDUCTION_SUM, &work,
                               &error) == LS_OK,
          "begin");
    CHECK(group->is->wait(group, stream, &work, &error) == LS_OK, "wait");
    array_take(&buffer);
    CHECK(wrong_of(&buffer, DTYPE_F32, 0, LENGTH, REDUCTION_SUM) == 0, "not all ranks' sum");
    array_free(&buffer);
}

static void check_groups(const launch *here, const char *within, const char *host, int expected,
                         const char *name) {
    comm_settings settings = settings_of(here);
    comm_groups groups;
    comm *group = NULL;
    CHECK(comm_groups_find(control, within, host, &groups, &error) == LS_OK, "find");
    CHECK(groups.size == expected && groups.count == all->size / expected, "%d groups of %d",
          groups.count, groups.size);
    if (comm_grouped_open(&settings, &groups, all, &group, &error) == LS_OK) {
        CHECK(group->rank == groups.place && group->size == groups.size, "rank %d of %d",
              group->rank, group->size);
        check_reduce_scatter(group, false);
        if (!memory)
            check_reduce_scatter(group, true);
        check_allgather(group, &groups);
        check_allreduce(group);
        comm_close(group);
    }
    comm_groups_free(&groups);
    END_CASE(name);
}

static void check_refusals(const launch *here) {
    comm_groups groups;
    const char *host = here->rank == 0 ? "one" : "two";
    CHECK(comm_groups_find(control, "node", host, &groups, &error) == LS_BAD_LAUNCH &&
              strstr(error.text, "nodes have 1 and 3 ranks") != NULL,
          "found: %s", error.text);
    error = (ls_error){0};
    comm_groups_free(&groups);
    CHECK(comm_groups_check("node", &error) == LS_OK, "node");
    CHECK(comm_groups_check("3", &error) == LS_OK, "3");
    CHECK(comm_groups_check("3 nodes", &error) == LS_BAD_INPUT, "3 nodes");
    CHECK(comm_groups_check("0", &error) == LS_BAD_INPUT, "0");
    error = (ls_error){0};
    CHECK(comm_groups_size("world", 8, 0) == 8 && comm_groups_size("node", 8, 4) == 4 &&
              comm_groups_size("2", 8, 4) == 2 && comm_groups_size("3", 8, 4) == 0 &&
              comm_groups_size("node", 8, 0) == 0,
          "sizes");
    END_CASE("unlike nodes, and what is no group, are refused");
}

int main(int argc, char **argv) {
    launch here;
    char host[32];
    const char *kind = argc > 1 ? argv[1] : "host";
    if (comm_fixture_open(kind, &here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    check_groups(&here, "2", here.host, 2, "groups of two ranks that follow each other");
    snprintf(host, sizeof host, "node%d", here.rank % 2);
    check_groups(&here, "node", host, 2, "nodes whose ranks were dealt out in turn");
    check_groups(&here, "1", here.host, 1, "groups of one rank");
    check_groups(&here, "world", here.host, all->size, "one group");
    check_refusals(&here);
    comm_fixture_close();
    if (launch_finish(&here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    if (here.rank == 0)
        return check_done();
    return check_failures != 0;
}
