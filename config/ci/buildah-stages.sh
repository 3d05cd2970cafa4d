#!/bin/sh
# Builds stages of a Dockerfile by buildah, with the layers of all builds in a cache, and pushes
# them.
#
#     buildah-stages.sh IMAGE CACHE CONTEXT STAGE...
#
# IMAGE and CACHE are hosted names with their host, as 127.0.0.1:5000/stage/app and
# 127.0.0.1:5000/cache/app; the tags of IMAGE are the stages. BUILDAH is the command with its
# options, BUILD_OPTIONS are more options of `buildah build`.
set -eu
image=$1
cache=$2
context=$3
shift 3
for stage in "$@"; do
    # shellcheck disable=SC2086 # several words
    ${BUILDAH:-buildah} build --layers --cache-from "$cache" --cache-to "$cache" \
        --target "$stage" ${BUILD_OPTIONS:-} --tag "$image:$stage" "$context"
    ${BUILDAH:-buildah} push "$image:$stage"
done
