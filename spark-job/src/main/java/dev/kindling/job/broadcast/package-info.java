/** The frozen base, sent to each executor once and kept off-heap there. */
@NullMarked
package dev.kindling.job.broadcast;

import org.jspecify.annotations.NullMarked;
