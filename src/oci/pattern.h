/*
 * oci/pattern.h - which names are hosted: patterns such as "stage/" with two stars, "cache/" with
 * one, or a plain name.
 *
 * One star stands for any run of characters inside a component, none included. A component that is
 * two stars stands for any number of components; as the last one, for at least one (so "stage" and
 * two stars holds all below stage, not stage itself). Pure; any thread.
 */
#ifndef OCI_PATTERN_H
#define OCI_PATTERN_H

#include "base/str.h"

/* Whether this is a pattern: 1 to 255 bytes, no empty component, two stars only as a component of
 * their own, and otherwise characters that a name may have. */
bool pattern_valid(struct slice pattern);

/* Whether the pattern holds that name. Both are valid. Takes at most the product of the lengths. */
bool pattern_match(struct slice pattern, struct slice name);

/* Whether a text is the pattern, in which each star stands for any run of characters, slashes too.
 * For words that are no names of repositories. Takes at most the product of the lengths. */
bool pattern_star(struct slice pattern, struct slice text);

/* Whether the pattern could hold a name whose first component is `upstream_name` (which may have a
 * port, and be an alias). Such a pattern would never be asked: an upstream's name comes first. */
bool pattern_may_match_prefix(struct slice pattern, struct slice upstream_name);

#endif
