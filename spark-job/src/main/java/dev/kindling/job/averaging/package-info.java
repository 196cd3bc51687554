/**
 * Parameter averaging through Deeplearning4j Spark: its training master sends the network's
 * parameters and updater state to the workers, each of which takes some steps by itself.
 */
@NullMarked
package dev.kindling.job.averaging;

import org.jspecify.annotations.NullMarked;
