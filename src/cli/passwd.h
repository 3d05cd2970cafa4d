/* cli/passwd.h - `larder passwd FILE USER`: sets a password in an htpasswd file. */
#ifndef CLI_PASSWD_H
#define CLI_PASSWD_H

#include "cli/flags.h"

int passwd_run(const struct flags *flags);

#endif
