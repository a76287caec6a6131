/* The energy of CPU packages, from a folder that stands for the kernel's powercap zones. */
#include "check.h"
#include "monitor/packages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_file(const char *zone, const char *name, const char *text) {
    char path[128];
    mkdir(zone, 0777);
    snprintf(path, sizeof path, "%s/%s", zone, name);
    FILE *file = fopen(path, "w");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0, "%s", path);
}

static void make_zone(const char *zone, const char *name, const char *energy, const char *range) {
    write_file(zone, "name", name);
    write_file(zone, "energy_uj", energy);
    write_file(zone, "max_energy_range_uj", range);
}

static void two_packages(void) {
    packages *all = NULL;
    ls_error error = {0};
    make_zone("intel-rapl:0", "package-0\n", "5000000\n", "10000000\n");
    make_zone("intel-rapl:1", "package-1-die-0\n", "100\n", "10000000\n");
    make_zone("intel-rapl:0:0", "core\n", "7\n", "10000000\n");
    make_zone("intel-rapl-mmio:0", "package-0\n", "9\n", "10000000\n");
    make_zone("intel-rapl:2", "psys\n", "9\n", "10000000\n");
    make_zone("dtpm", "package-0\n", "9\n", "10000000\n");
    CHECK(packages_open(&all, &error) == LS_OK, "%s", error.text);
    CHECK(packages_count(all) == 2, "%d packages", packages_count(all));
    CHECK(packages_joules(all) == 0, "%g J at first", packages_joules(all));
    write_file("intel-rapl:0", "energy_uj", "7500000\n");
    write_file("intel-rapl:1", "energy_uj", "600100\n");
    write_file("intel-rapl:0:0", "energy_uj", "8000000\n");
    write_file("intel-rapl:2", "energy_uj", "8000000\n");
    CHECK(fabs(packages_joules(all) - 3.1) < 1e-9, "%g J", packages_joules(all));
    check_case("packages alone are counted, all of them, from when they are opened");
    write_file("intel-rapl:0", "energy_uj", "500000\n"); /* 2.5 J to the end, and 0.5 J */
    CHECK(fabs(packages_joules(all) - 6.1) < 1e-9, "%g J", packages_joules(all));
    check_case("a counter that came round");
    write_file("intel-rapl:1", "energy_uj", "what\n");
    CHECK(isnan(packages_joules(all)), "a number that was none");
    write_file("intel-rapl:1", "energy_uj", "700100\n");
    CHECK(isnan(packages_joules(all)), "what was missed is known again");
    packages_close(all);
    check_case("a read that fails: not known from then on");
}

static void expect(const char *what, const char *why) {
    packages *all = NULL;
    ls_error error = {0};
    int status = packages_open(&all, &error);
    CHECK(status == LS_FAILED && !all && strstr(error.text, why), "%s: %d, %s", what, status,
          error.text);
}

static void none(const char *folder) {
    write_file("intel-rapl:1", "max_energy_range_uj", "\n");
    expect("no range", "max_energy_range_uj");
    write_file("intel-rapl:1", "energy_uj", "-\n");
    expect("no number", "expected a number, found '-'");
    CHECK(unlink("intel-rapl:1/energy_uj") == 0, "unlink");
    expect("no counter", "intel-rapl:1/energy_uj: No such file");
    write_file("intel-rapl:0", "name", "core\n");
    write_file("intel-rapl:1", "name", "core\n");
    expect("no package", "no zone of a CPU package");
    setenv("LOCKSTEP_POWERCAP", "/nowhere/powercap", 1);
    expect("no folder", "/nowhere/powercap: No such file");
    setenv("LOCKSTEP_POWERCAP", folder, 1);
    CHECK(isnan(packages_joules(NULL)) && packages_count(NULL) == 0, "of none");
    packages_close(NULL);
    check_case("why there is none, in a line");
}

int main(void) {
    char folder[] = "/tmp/packages.XXXXXX", command[64];
    CHECK(mkdtemp(folder) && chdir(folder) == 0, "%s", folder);
    setenv("LOCKSTEP_POWERCAP", folder, 1);
    two_packages();
    none(folder);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK(chdir("/") == 0 && system(command) == 0, "%s", command);
    return check_done();
}
