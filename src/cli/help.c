/* cli/help.c - the texts of `--help`. */
#include "cli/help.h"

#define STORE_HELP                                                                                 \
    "\n"                                                                                           \
    "Asks the server that runs on the data directory; where none does, works on it directly.\n"    \
    "\n"                                                                                           \
    "  --config FILE            the configuration of the server\n"                                 \
    "  --data DIR               where everything is kept\n"
#define JSON_HELP "  --json                   what was found, as JSON\n"
#define HELP_HELP "  -h, --help               this text\n"

static const char *const HELP[COMMAND_COUNT] = {
    [COMMAND_SERVE] =
        "usage: larder serve [FLAG]...\n"
        "\n"
        "Runs the cache proxy. A flag replaces the value of the configuration file.\n"
        "\n"
        "  --config FILE            the configuration, JSON; `larder check FILE` checks it\n"
        "  --data DIR               where everything is kept\n"
        "  --listen ADDR:PORT       where clients connect, or unix:/path; may be repeated\n"
        "  --upstream NAME=URL      where registry NAME is reached; may be repeated\n"
        "  --hosted PATTERN         names of Larder's own repositories; may be repeated\n"
        "  --tag-ttl DURATION       how long a tag is answered without asking upstream (5m)\n"
        "  --offline                ask no upstream, serve what is here\n"
        "  --take-over              take the place of the server that runs on the data directory,\n"
        "                           which ends once its transfers have; SIGUSR2 starts this\n"
        "  --lock FILE              tags of mirrored repositories mean what FILE says, and no "
        "others\n"
        "                           are there\n"
        "  --workers N              threads that serve; 0: one for each CPU\n"
        "  --log-level LEVEL        error, warn, info or debug\n"
        "  --log-format FORMAT      text or json\n"
        "  -h, --help               this text\n",
    [COMMAND_CHECK] = "usage: larder check [FLAG]... [FILE]\n"
                      "\n"
                      "Checks a configuration file, and the files that it names, and says what it "
                      "means; without\n"
                      "FILE that of --config, without that the defaults. Exit status 2 where "
                      "something is wrong.\n"
                      "\n"
                      "  --config FILE            the same as FILE\n"
                      "  --data DIR               where everything is kept\n"
                      "  --lock FILE              a lock file, too, as `larder serve` takes it\n"
                      "  -h, --help               this text\n",
    [COMMAND_STAGES] =
        "usage: larder stages [FLAG]... [REPOSITORY]\n"
        "\n"
        "Shows which image extends which: those that were pushed and the mirrored ones below them, "
        "or\n"
        "what has to do with REPOSITORY, which may be a mirrored one (docker.io/library/golang). "
        "Sizes\n"
        "are those of the layers as they are stored; + is what an image adds to the one above it.\n"
        "From scratch is what extends no image that is here.\n" STORE_HELP JSON_HELP HELP_HELP,
    [COMMAND_LS] =
        "usage: larder ls [FLAG]... [REPOSITORY]\n"
        "\n"
        "Lists the repositories that were pushed to and their tags, or those of REPOSITORY, which "
        "may\n"
        "be a mirrored one. Sizes are what is here, each blob once. Without a tag are manifests "
        "that\n"
        "neither a tag nor an index with one holds, and what only they need; with REPOSITORY each "
        "is\n"
        "named.\n" STORE_HELP
        "  --all                    the mirrored repositories too\n" JSON_HELP HELP_HELP,
    [COMMAND_RM] = "usage: larder rm [FLAG]... NAME...\n"
                   "\n"
                   "Removes what was pushed, and says what it removed. NAME is one of\n"
                   "\n"
                   "  REPOSITORY:TAG           the tag alone\n"
                   "  REPOSITORY@DIGEST        the manifest, with its tags\n"
                   "  REPOSITORY               all that is in the repository\n"
                   "\n"
                   "Bytes that nobody holds any more are freed behind that; layers by `larder "
                   "gc`.\n" STORE_HELP JSON_HELP HELP_HELP,
    [COMMAND_GC] = "usage: larder gc [FLAG]...\n"
                   "\n"
                   "Applies the rules of `hosted` now, and removes blobs that no manifest refers "
                   "to.\n" STORE_HELP
                   "  --dry-run                only say what would go\n" JSON_HELP HELP_HELP,
    [COMMAND_LOCK] =
        "usage: larder lock [FLAG]...\n"
        "\n"
        "Prints what was pulled in the last 30 days as a lock file: which digest each tag meant "
        "when\n"
        "it was last asked for, and for which platforms it was pulled. A server can be held to it\n"
        "(`larder serve --help`).\n" STORE_HELP
        "  --since TIME             what was pulled since then: 24h, 7d, 2026-01-31 (UTC), or\n"
        "                           2026-01-31T12:00:00Z\n"
        "  --client ADDR            what the client at this address pulled; unix: by a socket\n"
        "  --json                   changes nothing\n" HELP_HELP,
    [COMMAND_IMPORT] =
        "usage: larder import [FLAG]... FILE...|-|DIR\n"
        "\n"
        "Takes images out of archives: bundles of `larder export`, image layouts (skopeo, podman,\n"
        "buildah, ctr export), and what docker save and podman save write. An archive is a tar "
        "file,\n"
        "its parts in order (FILE.000 FILE.001 ...), a folder, or - for standard input. Every "
        "digest\n"
        "is verified; names appear when all that they need is here. What was taken stays when it "
        "is\n"
        "interrupted, and a second run goes on from there.\n" STORE_HELP
        "  --name NAME:TAG          the name of an image that has none in its archive, or of the "
        "only\n"
        "                           one in it\n"
        "  --trust PUBKEY           take nothing but bundles whose list this key signed (PEM, "
        "Ed25519);\n"
        "                           may be repeated\n"
        "  --replace                tags of hosted repositories may be moved to other "
        "images\n" HELP_HELP,
    [COMMAND_STATS] =
        "usage: larder stats [FLAG]...\n"
        "\n"
        "Shows what the server that runs on the data directory has done and does now: on a "
        "terminal\n"
        "anew each second until Ctrl-C, else once. Exit status 1 where none runs.\n"
        "\n"
        "  --config FILE            the configuration of the server\n"
        "  --data DIR               where everything is kept\n"
        "  --json                   all counters, as JSON, once\n" HELP_HELP,
    [COMMAND_VERIFY] =
        "usage: larder verify [FLAG]...\n"
        "\n"
        "Reads every blob again, while the server serves. What is missing, cut short, unreadable "
        "or "
        "not\n"
        "its digest is moved to quarantine and named. A manifest is written anew where the index "
        "has\n"
        "a copy of it. What was pushed and is lost is named each time, with where to push it "
        "again.\n"
        "Exit status 1 where something stays bad or is missing.\n" STORE_HELP
        "  --repair                 fetch again what comes from an upstream, also what earlier "
        "runs\n"
        "                           moved to quarantine\n"
        "  --rate SIZE              bytes read in a second (50MB); 0B: as many as there "
        "are\n" HELP_HELP,
    [COMMAND_EXPORT] =
        "usage: larder export -o FILE|-|DIR [FLAG]... [IMAGE]...\n"
        "\n"
        "Writes images as one archive (an OCI layout, that `larder import` and other tools read), "
        "to\n"
        "standard output, or into a folder that is there: what it has already is not written "
        "again.\n"
        "Nothing is fetched; of an index those images go that are here. Exit status 1 where "
        "something\n"
        "is missing.\n" STORE_HELP "  -o, --output FILE        where to\n"
        "  --file FILE              images, one a line; - for standard input\n"
        "  --lock FILE              the images of a lock file, as it has them\n"
        "  --all                    every image that is whole here\n"
        "  --platform LIST          linux/amd64,linux/arm64 or all: these must be here; the first "
        "one\n"
        "                           is what `docker load` finds\n"
        "  --referrers              signatures, SBOMs and attestations too\n"
        "  --have FILE              leave out what the inventory FILE has\n"
        "  --since FILE             leave out what the bundle FILE has\n"
        "  --split SIZE             parts FILE.000, FILE.001 … of so many bytes (4GB, 650MiB)\n"
        "  --sign FILE              sign by this Ed25519 key, PEM\n" HELP_HELP,
    [COMMAND_INVENTORY] =
        "usage: larder inventory [FLAG]...\n"
        "\n"
        "Writes which blobs are here, for `larder export` on the other side: 33 bytes for "
        "each.\n" STORE_HELP
        "  -o, --output FILE        where to; without it standard output\n" HELP_HELP,
    [COMMAND_WARM] =
        "usage: larder warm [FLAG]... [IMAGE]...\n"
        "\n"
        "Has images fetched that are not here yet, so that the next build finds them, or an "
        "export.\n"
        "Exit status 1 where one could not be fetched; the others are, all the same.\n"
        "\n"
        "  --file LIST              a reference a line, # begins a comment; - is standard input\n"
        "  --lock FILE              the images of a lock file, at the digests that it has\n"
        "  --dockerfile FILE        the images that its stages start from\n"
        "  --platform LIST          linux/amd64,linux/arm64 or all; default is this machine's\n"
        "  --referrers              signatures, SBOMs and attestations as well\n"
        "  --pin                    keep them when room is needed\n" STORE_HELP HELP_HELP,
    [COMMAND_PIN] =
        "usage: larder pin [FLAG]... IMAGE\n"
        "\n"
        "Keeps an image, mirrored or pushed, when room is needed: its manifests and all they "
        "name.\n"
        "It must be here whole: `larder warm` fetches what is missing.\n" STORE_HELP JSON_HELP
            HELP_HELP,
    [COMMAND_UNPIN] = "usage: larder unpin [FLAG]... IMAGE\n"
                      "\n"
                      "Lets an image that was pinned give way again. What it shares with another\n"
                      "pinned image stays pinned.\n" STORE_HELP JSON_HELP HELP_HELP,
    [COMMAND_PASSWD] =
        "usage: larder passwd FILE USER\n"
        "\n"
        "Sets the password of a user in an htpasswd file (`auth.htpasswd`), which is made where\n"
        "there is none. The password is asked for, or read from standard input. A server that\n"
        "runs takes note of it by itself.\n"
        "\n"
        "  --config FILE, --data DIR  have no meaning here\n"
        "  -h, --help                 this text\n",
    [COMMAND_VERSION] = "usage: larder version\n"
                        "\n"
                        "Prints the version.\n"
                        "\n"
                        "  --config FILE, --data DIR  have no meaning here\n"
                        "  -h, --help                 this text\n",
    [COMMAND_HELP] = "usage: larder help [COMMAND]\n"
                     "\n"
                     "Prints how the program, or one command, is used.\n"
                     "\n"
                     "  --config FILE, --data DIR  have no meaning here\n"
                     "  -h, --help                 this text\n",
};

static const char GENERAL_HELP[] =
    "usage: larder COMMAND [FLAG]... [ARGUMENT]...\n"
    "\n"
    "A cache proxy for OCI registries: between builders and registries, each layer is fetched "
    "once.\n"
    "\n"
    "  serve     run the proxy\n"
    "  check     check a configuration file\n"
    "  stages    show which image extends which\n"
    "  ls        list repositories and tags\n"
    "  rm        remove tags, manifests, repositories\n"
    "  gc        remove what is not kept any longer\n"
    "  lock      print what was pulled, with digests\n"
    "  import    take images out of archives\n"
    "  stats     show what the server does\n"
    "  verify    read all blobs again, and take out those that are bad\n"
    "  export    write images to a file that can be carried\n"
    "  inventory write which blobs are here\n"
    "  warm      fetch images before they are asked for\n"
    "  pin       keep an image when room is needed\n"
    "  unpin     let it give way again\n"
    "  passwd    set the password of a user\n"
    "  version   print the version\n"
    "  help      say how a command is used\n"
    "\n"
    "  --config FILE   the configuration, JSON\n"
    "  --data DIR      where everything is kept\n"
    "  -h, --help      of the program, or behind a command of that one\n"
    "  --version       the same as the command\n";

const char *help_general(void)
{
    return GENERAL_HELP;
}

const char *help_of(enum command_id command)
{
    return HELP[command];
}
