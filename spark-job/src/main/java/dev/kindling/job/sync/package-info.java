/** One optimiser step: trainables down, exact gradient sums up. */
@NullMarked
package dev.kindling.job.sync;

import org.jspecify.annotations.NullMarked;
