/**
 * From rows of any source to micro-batches: read by Spark SQL, tokenised once, ordered by example.
 */
@NullMarked
package dev.kindling.job.ingest;

import org.jspecify.annotations.NullMarked;
