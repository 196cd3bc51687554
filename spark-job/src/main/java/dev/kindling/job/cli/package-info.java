/** The command line: picocli commands, exit codes, the one JSON object on stdout. */
@NullMarked
package dev.kindling.job.cli;

import org.jspecify.annotations.NullMarked;
