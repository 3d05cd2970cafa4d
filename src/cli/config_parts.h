/*
 * cli/config_parts.h - what the files of the configuration's reader share.
 *
 *   config.c            defaults, the order of file and flags, its life
 *   config_sections.c   all sections of the file but upstreams
 *   config_access.c     the section access
 *   config_upstreams.c  the section upstreams, and --upstream
 *   config_values.c     grammar of addresses, names, URLs and sizes
 *   config_check.c      what can only be said of the whole
 *   config_files.c      whether the files that it names can be used
 *   config_json.c       the tree
 *
 * Each function gives 0, or -1 with the error in the node's err.
 */
#ifndef CLI_CONFIG_PARTS_H
#define CLI_CONFIG_PARTS_H

#include "cli/config.h"
#include "cli/config_json.h"

/* The whole file over what *c holds. */
int config_read_file(const struct config_node *n, struct config *c) MUST_CHECK;

/* One element of `listen`, or the value of --listen: added. */
int config_read_listener(const struct config_node *n, void *config) MUST_CHECK;
void config_clear_listeners(struct config *c);
/* A pattern of hosted names: added, with errors at n. *h is taken over and emptied; the pattern is
 * copied. */
int config_add_hosted(const struct config_node *n, struct config *c, const char *pattern,
                      struct config_hosted *h) MUST_CHECK;
void config_fini_hosted(struct config_hosted *h);
void config_clear_hosted(struct config *c);
/* The section access, in place of what was there. */
int config_read_access(const struct config_node *n, void *config) MUST_CHECK;
void config_clear_access(struct config *c);
int config_read_workers(const struct config_node *n, void *at) MUST_CHECK;
int config_read_level(const struct config_node *n, void *at) MUST_CHECK;
int config_read_format(const struct config_node *n, void *at) MUST_CHECK;
int config_read_upstreams(const struct config_node *n, void *config) MUST_CHECK;

/* Every --upstream, in their order: the URLs of one NAME become its endpoints. */
int config_flag_upstreams(const struct config_flags *flags, struct config *c,
                          struct err *err) MUST_CHECK;
/* The one of that name, or NULL. */
struct config_upstream *config_find_upstream(const struct config *c, const char *name);
/* Added at the end, with nothing but its name. */
struct config_upstream *config_add_upstream(struct config *c, const char *name);
void config_fini_upstream(struct config_upstream *u);

/* Strings with a grammar; *ret as with config_read_string(). */
int config_read_address(const struct config_node *n, char **ret) MUST_CHECK;
/* An http or https URL without user information, query and fragment. */
int config_read_url(const struct config_node *n, char **ret) MUST_CHECK;
/* A host name or address without port. */
int config_read_host(const struct config_node *n, char **ret) MUST_CHECK;
/* Whether host[:port] in lower case can name an upstream; says so at n where not. */
int config_check_name(const struct config_node *n, const char *name) MUST_CHECK;
/* Bytes as a number or "50GB", with *ret_percent 0, or "50%". */
int config_read_size(const struct config_node *n, uint64_t *ret_bytes,
                     unsigned *ret_percent) MUST_CHECK;
/* Whether two listeners would bind the same. */
bool config_same_address(const char *a, const char *b);

/* A list of strings with one at its end; the string's owner is the list. */
void config_list_add(char ***list, size_t *n, char *string);
void config_list_free(char ***list, size_t *n);

/* Names against names, hosted patterns against names, credentials against endpoints, addresses
 * against each other, pushes against roles. `name` stands for where it all comes from. */
int config_check(const struct config *c, const char *name, struct err *err) MUST_CHECK;

#endif
