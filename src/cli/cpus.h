/*
 * cli/cpus.h - how many CPUs this process may use.
 */
#ifndef CLI_CPUS_H
#define CLI_CPUS_H

/* What affinity and the cgroup's quota allow; at least 1. */
unsigned cpus_allowed(void);

/* The pure part: CPUs that a cgroup v2 `cpu.max` ("max 100000", "150000 100000") allows, rounded
 * up; 0 where it sets no limit or is not such a text. */
unsigned cpus_of_quota(const char *text);

#endif
