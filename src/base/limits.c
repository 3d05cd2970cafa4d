/* base/limits.c - the limits in force. */
#include "base/limits.h"

struct limits limits = LIMITS_DEFAULT;
