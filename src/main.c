/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way in. All that hasten can do is a subcommand, and each is a file in cmd/; this file exists
 * so that everything else can be linked into the unit tests, which bring a main of their own.
 *
 * SIGPIPE is ignored from the first moment: a client or a reader that goes away is an error value
 * at the write, never the end of the process.
 */
#include <signal.h>

#include "cmd/cmd.h"

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    return cmd_main(argc, argv);
}
