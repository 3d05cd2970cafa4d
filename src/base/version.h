/*
 * base/version.h - the version of the program; the build may set another.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#ifndef LARDER_VERSION
#define LARDER_VERSION "0.1.0"
#endif

#endif
