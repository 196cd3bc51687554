/** What a run leaves behind from time to time, so that the same command goes on from there. */
@NullMarked
package dev.kindling.job.resume;

import org.jspecify.annotations.NullMarked;
