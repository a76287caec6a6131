/* The list of rules. */
#include "train/optim/rule.h"

#include <string.h>

extern const optimizer_rule rule_adam, rule_adamw, rule_sgd;

static const optimizer_rule *const rules[RULE_COUNT] = {&rule_adam, &rule_adamw, &rule_sgd};
const char rule_choices[] = "adam|adamw|sgd";

const optimizer_rule *rule_at(int number) {
    return rules[number];
}

int rule_find(const char *name) {
    int number = 0;
    while (strcmp(rules[number]->name, name) != 0)
        number++;
    return number;
}
