#!/bin/sh
# Builds stages of a Dockerfile, each from what any build before has pushed, and pushes them.
#
#     docker-stages.sh IMAGE CONTEXT STAGE...
#
# IMAGE is a hosted name with its host, as 127.0.0.1:5000/stage/app; the tags are the stages. On a
# machine that has built nothing yet, steps that are unchanged come from there and do not run again.
# BUILD_OPTIONS are more options of `docker build`.
set -eu
image=$1
context=$2
shift 2
cache=
for stage in "$@"; do
    cache="$cache --cache-from $image:$stage"
done
for stage in "$@"; do
    # shellcheck disable=SC2086 # several words
    DOCKER_BUILDKIT=1 docker build --target "$stage" $cache ${BUILD_OPTIONS:-} \
        --build-arg BUILDKIT_INLINE_CACHE=1 --tag "$image:$stage" "$context"
    docker push "$image:$stage"
done
