/*
 * cli/commands.h - the commands, each in a file of its own: NAME_run() gives the exit status.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/check.h"
#include "cli/export.h"
#include "cli/gc.h"
#include "cli/import.h"
#include "cli/inventory.h"
#include "cli/lock.h"
#include "cli/ls.h"
#include "cli/passwd.h"
#include "cli/pin.h"
#include "cli/rm.h"
#include "cli/serve.h"
#include "cli/stages.h"
#include "cli/stats.h"
#include "cli/verify.h"
#include "cli/version.h"
#include "cli/warm.h"

#endif
